from __future__ import annotations

from pathlib import Path

import pytest

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
