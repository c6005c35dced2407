"""Files found, and files named after them."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from agnet_vision.data.sources.readers import read_listing
from agnet_vision.errors import ConfigError
from agnet_vision.predict.files import SkippedWarning, find_images, name_outputs
from tests.data import miniatures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("0.png", "1.png", "deep/2.jpg", "notes.md", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_value_find_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [p.name for p in find_images(folder / "notes.md")] == ["notes.md"]
    assert [p.name for p in find_images(folder)] == ["0.png", "1.png", "2.jpg"]
    assert [p.name for p in find_images(str(folder / "[01].*"))] == ["0.png", "1.png"]
    assert len(find_images([folder / "0.png", str(folder)])) == 4
    monkeypatch.setattr(sys, "stdin", io.StringIO("\ufeffa.jpg\n\nb c.jpg\n"))
    assert find_images("-") == [Path("a.jpg"), Path("b c.jpg")]
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{folder}/deep\n[a].jpg\n"))
    assert find_images("-") == [folder / "deep/2.jpg", Path("[a].jpg")]
    with pytest.raises(ConfigError, match="no images at"):
        find_images(str(folder / "*.bmp"))
    with pytest.raises(ConfigError, match=r"list\.txt is no image; .* images=- < list\.txt"):
        find_images("list.txt")


LITTER = (".ipynb_checkpoints", "@eaDir", "__MACOSX", ".AppleDouble", "lost+found")


def test_folders_are_read_as_datasets_are(tmp_path: Path) -> None:
    root, other = tmp_path / "photos [2020]", tmp_path / "other"
    places = [root / "a", root / "b" / "deep", other]
    places += [root / "a" / name for name in (*LITTER, "$Recycle.Bin", "System Volume Information")]
    for number, place in enumerate(places):
        miniatures.write_image(place / "1.png", number)
    (root / "linked").symlink_to(other)
    (root / "a" / "photo.HEIC").touch()
    expected = [root / name / "1.png" for name in ("a", "b/deep", "linked")]
    listed = read_listing("folder", root)

    with pytest.warns(SkippedWarning, match=r"photo\.HEIC: skipped, as are 1 files"):
        assert find_images(root) == expected
    assert [sample.path for sample in listed.splits["train"]] == expected
    assert [Path(p.path).name for p in listed.problems if p.kind == "skipped"] == ["photo.HEIC"]

    assert find_images(f"{root}/**/*.png") == expected
    with pytest.warns(SkippedWarning, match=r"photo\.HEIC"):
        assert find_images(f"{root}/a/*") == expected[:1]
    with pytest.raises(ConfigError, match=r"no images at .*photo\.HEIC: skipped"):
        find_images(f"{root}/a/*.HEIC")


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (["a/cat.jpg", "a/dog.v2.png"], ["cat.jpg.svg", "dog.v2.png.svg"]),
        (["p/a/cat.jpg", "p/b/cat.jpg"], ["a/cat.jpg.svg", "b/cat.jpg.svg"]),
        (["p/cat.jpg", "p/b/cat.jpg", "p/b/dog"], ["cat.jpg.svg", "b/cat.jpg.svg", "b/dog.svg"]),
        (["cat.jpg", "cat.png", "cat"], ["cat.jpg.svg", "cat.png.svg", "cat.svg"]),
        (["cat.jpg", "cat.jpg"], ["cat.jpg.svg", "cat.jpg.svg"]),
        (["x/../cat.jpg", "cat.jpg"], ["cat.jpg.svg", "cat.jpg.svg"]),
    ],
)
def test_value_outputs_never_share_a_name(inputs: list[str], outputs: list[str]) -> None:
    names = name_outputs([Path(path) for path in inputs], ".svg")
    assert [str(names[Path(path)]) for path in inputs] == outputs
