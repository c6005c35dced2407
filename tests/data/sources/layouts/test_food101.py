from __future__ import annotations

from pathlib import Path

from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import read_samples
from tests.data import miniatures


def test_value_food101(tmp_path: Path, incomplete: None) -> None:
    miniatures.food101(tmp_path)
    table = read_samples("food101", tmp_path, val_fraction=0)
    assert all(
        sample.path.parent.name == table.classes[sample.label] for sample in table.splits["test"]
    )
    miniatures.write_image(tmp_path / "food-101" / "images" / "gruel" / "1.jpg")
    assert "extra_class" in {problem.kind for problem in read_listing("food101", tmp_path).problems}


def test_one_folder_deeper(tmp_path: Path, incomplete: None) -> None:
    miniatures.food101(tmp_path / "food-101")
    table = read_samples("food101", tmp_path, val_fraction=0)
    assert table.layout == tmp_path / "food-101" / "food-101"
    assert len(table.splits["train"]) == 101
