"""Benchmarks in their official layouts, in miniature."""

from __future__ import annotations

import re
from collections import Counter
from hashlib import sha256
from pathlib import Path

from agnet_vision.data.sources.card import load_card
from agnet_vision.data.sources.layouts.caltech256 import draw_training_paths
from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import SampleTable, read_samples
from tests.data import miniatures


def names(table: SampleTable, split: str) -> list[str]:
    return [sample.path.name for sample in table.splits[split]]


def test_value_stanford40(tmp_path: Path, incomplete: None) -> None:
    miniatures.stanford40(tmp_path)
    table = read_samples("stanford40", tmp_path, val_fraction=0)
    assert names(table, "train")[0] == "applauding_001.jpg"  # despite its Windows line end
    assert names(table, "test")[-1] == "writing_on_a_book_002.jpg"


def test_value_ppmi(tmp_path: Path, incomplete: None) -> None:
    miniatures.ppmi(tmp_path)
    table = read_samples("ppmi", tmp_path, val_fraction=0)
    assert table.classes[0] == "play_bassoon"
    assert {
        s.path.parts[-3]
        for s in table.splits["train"]
        if table.classes[s.label] == "with_french_horn"
    } == {"frenchhorn"}


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


def test_value_caltech256(tmp_path: Path) -> None:
    miniatures.caltech256(tmp_path)
    for seed in (0, 4):
        table = read_samples("caltech256", tmp_path, val_fraction=0, split_seed=seed)
        train = {s.path.relative_to(tmp_path).as_posix() for s in table.splits["train"]}
        test = {s.path.relative_to(tmp_path).as_posix() for s in table.splits["test"]}
        assert not train & test
        assert (len(train), len(test)) == (256 * 60, 29_780 - 256 * 60)
        assert not any(
            "clutter" in path or "greg" in path or "RENAME2" in path for path in train | test
        )


# Of the lists that the published figures were made with: one path a line.
SHA256 = (
    "88b5497dc97dc7a83b89f363c6e6554fa6c270dc9d9af1e034002b399460668d",
    "4bc5e358230cd6ef4ca31755ddbffa2198c3e6a3e173e62b318f5e87e4982862",
    "65d9a1c6f2cc8aad874091e70b08a849db8202ad471fc73a951938bb6d7ea9f6",
    "3bbd0f2c8e85db349913ce1c8d33f19e5f44284298f39a74163e291d70a2745f",
    "6b420fd1257abf1d366d4fb233be759b3827399050ca72d47afbc8b533469236",
)


def test_value_training_paths() -> None:
    """Five different lists of 60 different paths per class are the same everywhere."""
    card = load_card("caltech256")
    lists = [draw_training_paths(card.classes, card.totals, seed) for seed in range(5)]
    texts = ["".join(f"{path}\n" for path in paths) for paths in lists]
    assert tuple(sha256(text.encode()).hexdigest() for text in texts) == SHA256
    late = sum(int(line[-8:-4]) > 80 for line in lists[0])
    expected = sum(60 * (total - 80) / total for total in card.totals)
    assert abs(late - expected) < 4 * expected**0.5  # no part of a class is preferred
    for lines in lists:
        assert len(set(lines)) == len(lines) == 256 * 60
        assert set(Counter(line.split("/")[0] for line in lines).values()) == {60}
        assert all(re.fullmatch(r"(\d{3})\.[a-z0-9-]+/\1_\d{4}\.jpg", line) for line in lines)
