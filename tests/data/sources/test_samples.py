from __future__ import annotations

import os
from pathlib import Path

import pytest

from agnet_vision.data.sources.samples import read_samples
from agnet_vision.errors import DatasetError
from tests.data import miniatures


@pytest.mark.parametrize("name", sorted(miniatures.WRITERS.keys() - {"caltech256"}))
def test_every_layout(tmp_path: Path, name: str, incomplete: None) -> None:
    miniatures.WRITERS[name](tmp_path)
    table = read_samples(name, tmp_path)
    assert list(table.splits) == ["train", "val", "test"]
    paths = [sample.path for samples in table.splits.values() for sample in samples]
    assert len(set(paths)) == len(paths)
    assert all(path.is_file() for path in paths)
    assert {sample.label for sample in table.splits["train"]} == set(range(len(table.classes)))
    assert read_samples(name, str(tmp_path)).splits == table.splits


def test_folder_without_splits_is_split_by_seed(tmp_path: Path) -> None:
    miniatures.folder(tmp_path, split=False, per_class=20)
    table = read_samples("folder", tmp_path, test_fraction=0.2, val_fraction=0.25)
    sizes = [len(samples) for samples in table.splits.values()]
    assert sum(sizes) == 60
    assert sizes == pytest.approx([36, 12, 12], abs=10)
    for samples in table.splits.values():
        assert {sample.label for sample in samples} == {0, 1, 2}
    first, second = (read_samples("folder", tmp_path, seed=seed).splits for seed in (1, 2))
    assert first != second


def test_home_folder_in_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    miniatures.folder(tmp_path / "photos")
    assert read_samples("folder", "~/photos").root == tmp_path / "photos"


@pytest.mark.slow
def test_stanford40_whole() -> None:
    root = os.environ.get("AGNET_SHARED")
    if not root or not Path(root, "stanford40").is_dir():
        pytest.skip("set AGNET_SHARED to a folder that holds stanford40")
    table = read_samples("stanford40", Path(root, "stanford40"))
    assert len(table.splits["test"]) == 5532
    assert len(table.splits["train"]) + len(table.splits["val"]) == 4000
    assert len(table.splits["val"]) == pytest.approx(400, abs=4 * 19)
    assert table.problems == []


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ((), "no training image"),
        (("ant/notes.txt", "bee/notes.txt"), "no training image"),
        (("1.png", "2.png"), "2 images lie outside the class folders"),
        (("ant/1.png", "ant/2.png"), "at least two classes, there is one: 'ant'"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    tmp_path: Path, paths: tuple[str, ...], message: str
) -> None:
    for path in paths:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    with pytest.raises(DatasetError, match=message):
        read_samples("folder", tmp_path)
