from __future__ import annotations

from pathlib import Path

from agnet_vision.data.sources.samples import read_samples
from tests.data import miniatures


def test_value_ppmi(tmp_path: Path, incomplete: None) -> None:
    miniatures.ppmi(tmp_path)
    table = read_samples("ppmi", tmp_path, val_fraction=0)
    assert table.classes[0] == "play_bassoon"
    assert {
        s.path.parts[-3]
        for s in table.splits["train"]
        if table.classes[s.label] == "with_french_horn"
    } == {"frenchhorn"}
