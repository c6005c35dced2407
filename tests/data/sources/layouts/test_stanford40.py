from __future__ import annotations

from pathlib import Path

from agnet_vision.data.sources.samples import SampleTable, read_samples
from tests.data import miniatures


def names(table: SampleTable, split: str) -> list[str]:
    return [sample.path.name for sample in table.splits[split]]


def test_value_stanford40(tmp_path: Path, incomplete: None) -> None:
    miniatures.stanford40(tmp_path)
    table = read_samples("stanford40", tmp_path, val_fraction=0)
    assert names(table, "train")[0] == "applauding_001.jpg"  # despite its Windows line end
    assert names(table, "test")[-1] == "writing_on_a_book_002.jpg"
