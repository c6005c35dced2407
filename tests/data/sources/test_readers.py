from __future__ import annotations

from pathlib import Path

import pytest

from agnet_vision.data.prepare.check import check_dataset
from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import read_samples
from agnet_vision.errors import ConfigError
from tests.data import miniatures
from tests.data.miniatures import aucd_v1, aucd_v2, stanford40, write_image


def test_extra_classes_of_the_benchmarks_are_named(tmp_path: Path) -> None:
    for name, write in (("aucd_v1", aucd_v1), ("aucd_v2", aucd_v2), ("stanford40", stanford40)):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    extra = {
        "aucd_v1": tmp_path / "aucd_v1" / "v1_cam1_no_split" / "Sleeping",
        "aucd_v2": tmp_path
        / "aucd_v2"
        / "v2_cam1_cam2_ split_by_driver"
        / "Camera 2"
        / "test"
        / "c10",
        "stanford40": tmp_path / "stanford40" / "ImageSplits" / "dancing_train.txt",
    }
    for name, path in extra.items():
        path.write_text("x.jpg\n") if path.suffix else write_image(path / "1.jpg")
        problems = read_listing(name, tmp_path / name).problems
        assert [p.path for p in problems if p.kind == "extra_class"] == [str(path)]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("folder", {"group_regex": "("}, "must be a regular expression"),
        ("folder", {"group_regex": "nobody"}, "finds nothing in train/ant/001.png"),
        ("imagenet", {}, "dataset=imagenet is not known"),
    ],
)
def test_raises_wrong_options(
    tmp_path: Path, name: str, options: dict[str, object], message: str
) -> None:
    miniatures.folder(tmp_path)
    with pytest.raises(ConfigError, match=message):
        read_samples(name, tmp_path, **options)


def test_demo_is_drawn_when_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(root: Path) -> None:
        miniatures.folder(root)
        (root / "demo.json").write_text("{}")

    monkeypatch.setattr("agnet_vision.data.sources.readers.generate_demo", draw)
    table = read_samples("demo", tmp_path / "demo")
    assert len(table.classes) == 3
    monkeypatch.setattr(
        "agnet_vision.data.sources.readers.generate_demo", None
    )  # not called a second time
    assert read_samples("demo", tmp_path / "demo").splits == table.splits


def test_group_on_both_sides_of_a_given_split_is_named(root: Path) -> None:
    result = read_listing("folder", root, group_regex=r"/(ant|bee|шмель)/")
    named = [problem.detail for problem in result.problems if problem.kind == "group_overlap"]
    assert len(named) == 6
    assert named[0] == "the group ant is in train, and 2 times in val"
    assert not check_dataset(
        "folder", root, workers=1, show_progress=False, group_regex="(ant|bee|шмель)"
    ).agrees


def test_folder_groups_stay_on_one_side(tmp_path: Path) -> None:
    for number in range(60):
        miniatures.write_image(
            tmp_path / "ab"[number % 2] / f"patient{number // 6}_{number}.png", number
        )
    table = read_samples("folder", tmp_path, group_regex=r"patient(\d+)")
    groups = {
        split: {sample.group for sample in samples} for split, samples in table.splits.items()
    }
    assert groups["train"] | groups["val"] | groups["test"] == set(map(str, range(10)))
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["val"]
    assert not groups["val"] & groups["test"]


def test_every_dataset_of_files_takes_groups_from_paths(tmp_path: Path, incomplete: None) -> None:
    miniatures.aucd_v2(tmp_path)
    table = read_samples("aucd_v2", tmp_path, val_fraction=0.3, group_regex=r"(\d)\.jpg")
    groups = {split: {s.group for s in table.splits[split]} for split in table.splits}
    assert groups["train"] | groups["val"] == set("0123456789")
    assert not groups["train"] & groups["val"]


def test_raises_two_sources_of_groups(tmp_path: Path) -> None:
    miniatures.write_images(tmp_path / f"{i}.png" for i in range(4))
    rows = [f"{i}.png,{'xy'[i % 2]},{i}" for i in range(4)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,patient", *rows]))
    options = {"csv": tmp_path / "list.csv", "group_column": "patient"}
    with pytest.raises(ConfigError, match="must be the only source of groups"):
        read_samples("folder", tmp_path, group_regex="(.)", **options)
