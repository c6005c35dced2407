"""The demo set: same arguments, same bytes, no short cut.

It appears whole or not at all.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from agnet_vision.data.demo import generate as demo
from agnet_vision.data.demo.generate import generate_demo
from agnet_vision.data.demo.marks import MARKS
from agnet_vision.data.demo.scene import paint_scene
from agnet_vision.data.image import read_image
from agnet_vision.errors import DatasetError
from agnet_vision.regions.boxes import boxes_from_keypoints
from agnet_vision.regions.proposer import RegionProposer

SMALL = {"num_train": 12, "num_val": 6, "num_test": 6, "image_size": 48}
CHANCE = 1 / len(MARKS)


def _bytes(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_smoke(tmp_path):
    generate_demo(tmp_path / "demo", **SMALL)
    pictures = sorted((tmp_path / "demo").glob("*/*/*.jpg"))
    assert len(pictures) == 24
    assert {path.parent.name for path in pictures} == set(MARKS)
    assert {path.parts[-3] for path in pictures} == {"train", "val", "test"}
    assert read_image(pictures[0]).shape == (48, 48, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]  # the scratch folder is gone


def test_same_arguments_same_bytes_and_no_picture_twice(tmp_path):
    generate_demo(tmp_path / "a", **SMALL)
    generate_demo(tmp_path / "b", **SMALL)
    generate_demo(tmp_path / "c", **SMALL, seed=1)
    first, again, other = (_bytes(tmp_path / name) for name in "abc")
    assert first == again
    assert len(set(first.values()) | set(other.values())) == len(first) + len(other)


def test_a_longer_split_extends_a_shorter_one(tmp_path):
    generate_demo(tmp_path / "short", **SMALL)
    generate_demo(tmp_path / "long", **(SMALL | {"num_train": 18, "num_test": 12}))
    short, longer = _bytes(tmp_path / "short"), _bytes(tmp_path / "long")
    assert {name: longer[name] for name in short if name.endswith(".jpg")} == {
        name: digest for name, digest in short.items() if name.endswith(".jpg")
    }


def test_second_call_leaves_the_files_alone(tmp_path):
    generate_demo(tmp_path / "demo", **SMALL)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*")}
    generate_demo(tmp_path / "demo", **SMALL)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*")} == before


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "demo").mkdir()
    generate_demo(tmp_path / "demo", **SMALL)
    assert (tmp_path / "demo" / "demo.json").is_file()


def test_an_interrupted_call_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(rng, mark, *, image_size):
        if mark == "cross":
            raise KeyboardInterrupt
        return paint_scene(rng, mark, image_size=image_size)

    monkeypatch.setattr(demo, "paint_scene", interrupt)
    with pytest.raises(KeyboardInterrupt):
        generate_demo(tmp_path / "demo", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_was_faster_is_no_error(tmp_path, monkeypatch):
    root = tmp_path / "demo"

    def overtaken(rng, mark, *, image_size):
        monkeypatch.setattr(demo, "paint_scene", paint_scene)
        generate_demo(root, **SMALL)
        return paint_scene(rng, mark, image_size=image_size)

    monkeypatch.setattr(demo, "paint_scene", overtaken)
    generate_demo(root, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_raises_and_touches_nothing_it_did_not_make(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(DatasetError, match="holds other files"):
        generate_demo(tmp_path / "photos", **SMALL)
    assert (tmp_path / "photos" / "mine.jpg").read_bytes() == b"mine"


def test_raises_on_another_or_a_damaged_set(tmp_path):
    root = tmp_path / "demo"
    generate_demo(root, **SMALL)
    with pytest.raises(DatasetError, match="another demo set"):
        generate_demo(root, **SMALL, seed=1)
    next(root.glob("train/*/*.jpg")).unlink()
    with pytest.raises(DatasetError, match="should hold 12 images, found 11"):
        generate_demo(root, **SMALL)
    (root / "demo.json").write_text("{")
    with pytest.raises(DatasetError, match=r"demo\.json cannot be read"):
        generate_demo(root, **SMALL)


@pytest.fixture(scope="module")
def shortcuts(tmp_path_factory):
    """What a lazy learner could use instead of the mark.

    It is taken from 480 training and 300 test images.
    """
    root = tmp_path_factory.mktemp("demo") / "set"
    generate_demo(root, num_train=480, num_val=6, num_test=300)
    return {split: _features(sorted((root / split).glob("*/*.jpg"))) for split in ("train", "test")}


def _features(paths: list[Path]) -> dict[str, np.ndarray]:
    features: dict[str, list] = {
        "label": [],
        "color": [],
        "thumbnail": [],
        "keypoints": [],
        "boxes": [],
    }
    propose = RegionProposer()
    for path in paths:
        picture = read_image(path)
        histogram = cv2.calcHist([picture], [0, 1, 2], None, [4, 4, 4], [0, 256] * 3).ravel()
        xy, _, group = propose.keypoints(picture)
        features["label"].append(MARKS.index(path.parent.name))
        features["color"].append(np.sqrt(histogram))
        features["thumbnail"].append(
            cv2.resize(picture, (8, 8), interpolation=cv2.INTER_AREA).ravel()
        )
        features["keypoints"].append(
            [len(xy), *xy.mean(0), *xy.std(0), *np.sort(np.bincount(group, minlength=8))]
        )
        features["boxes"].append(
            boxes_from_keypoints(xy, group, image_size=(128, 128))[0][:8].ravel()
        )
    return {name: np.array(rows, dtype=np.float64) for name, rows in features.items()}


# 300 pictures: one standard deviation of a blind guess is 0.02. A cross has a few keypoints more
# than a bar, which shows in their number; what reaches the network are boxes, and those say
# nothing.
@pytest.mark.parametrize(
    ("feature", "margin"),
    [("color", 0.07), ("thumbnail", 0.07), ("keypoints", 0.12), ("boxes", 0.07)],
)
@pytest.mark.parametrize("learner", ["linear", "forest"])
def test_no_short_cut_to_the_class(shortcuts, feature, margin, learner):
    match learner:
        case "linear":
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
        case _:
            model = RandomForestClassifier(100, min_samples_leaf=3, random_state=0)
    model.fit(shortcuts["train"][feature], shortcuts["train"]["label"])
    accuracy = model.score(shortcuts["test"][feature], shortcuts["test"]["label"])
    assert accuracy < CHANCE + margin, f"{feature} gives the class away: {accuracy:.3f}"
