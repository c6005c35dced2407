"""The demo set: same arguments, same bytes, whole or not at all, and no short cut to the class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from agnet_vision.data import demo
from agnet_vision.data.demo import MARKS, generate_demo, is_inside, paint_image
from agnet_vision.data.image import read_image
from agnet_vision.errors import DatasetError
from agnet_vision.regions.boxes import boxes_from_keypoints
from agnet_vision.regions.proposer import RegionProposer

SMALL: dict[str, Any] = {"num_train": 12, "num_val": 6, "num_test": 6, "image_size": 48}
CHANCE = 1 / len(MARKS)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("*/*/*.jpg")}


def test_smoke(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()  # an empty folder is filled
    generate_demo(tmp_path / "demo", **SMALL)
    images = sorted((tmp_path / "demo").glob("*/*/*.jpg"))
    assert len(images) == 24
    assert {path.parent.name for path in images} == set(MARKS)
    assert {path.parts[-3] for path in images} == {"train", "val", "test"}
    assert read_image(images[0]).shape == (48, 48, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]  # the scratch folder is gone

    before = {path: path.stat().st_mtime_ns for path in images}
    generate_demo(tmp_path / "demo", **SMALL)
    assert {path: path.stat().st_mtime_ns for path in images} == before


def test_same_arguments_same_bytes_and_no_image_twice(tmp_path: Path) -> None:
    generate_demo(tmp_path / "first", **SMALL)
    generate_demo(tmp_path / "longer", **(SMALL | {"num_train": 18, "num_test": 12}))
    generate_demo(tmp_path / "other", **SMALL, seed=1)
    first, longer, other = (contents(tmp_path / name) for name in ("first", "longer", "other"))
    assert first.items() < longer.items()  # a longer split extends a shorter one
    assert len({*longer.values(), *other.values()}) == len(longer) + len(other)


def test_an_interrupted_call_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(rng: np.random.Generator, mark: str, *, image_size: int) -> np.ndarray:
        if mark == "cross":
            raise KeyboardInterrupt
        return paint_image(rng, mark, image_size=image_size)

    monkeypatch.setattr(demo, "paint_image", interrupt)
    with pytest.raises(KeyboardInterrupt):
        generate_demo(tmp_path / "demo", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_was_faster_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "demo"

    def overtaken(rng: np.random.Generator, mark: str, *, image_size: int) -> np.ndarray:
        monkeypatch.setattr(demo, "paint_image", paint_image)
        generate_demo(root, **SMALL)
        return paint_image(rng, mark, image_size=image_size)

    monkeypatch.setattr(demo, "paint_image", overtaken)
    generate_demo(root, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_raises_on_what_is_no_such_set(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(DatasetError, match="holds other files"):
        generate_demo(tmp_path / "photos", **SMALL)
    assert (tmp_path / "photos" / "mine.jpg").read_bytes() == b"mine"

    root = tmp_path / "demo"
    generate_demo(root, **SMALL)
    with pytest.raises(DatasetError, match="another demo set"):
        generate_demo(root, **SMALL, seed=1)


def test_marks_cover_one_area() -> None:
    axis = np.arange(-2, 2, 0.01) + 0.005
    for mark in (*MARKS, "disc"):
        inside = is_inside(mark, *np.meshgrid(axis, axis))
        assert inside.sum() * 1e-4 == pytest.approx(np.pi, rel=0.01)
        assert not inside[[0, -1]].any()
        assert not inside[:, [0, -1]].any()


def test_the_class_changes_the_mark_and_nothing_else() -> None:
    for stream in range(8):
        generators = [np.random.default_rng(stream) for _ in MARKS]
        pairs = zip(generators, MARKS, strict=True)
        images = np.stack([paint_image(rng, mark, image_size=96) for rng, mark in pairs])
        assert len({str(rng.bit_generator.state) for rng in generators}) == 1
        rows, columns = np.nonzero(np.ptp(images.astype(int), axis=0).max(axis=-1))
        assert 0 < len(rows) < 0.05 * 96 * 96
        assert max(np.ptp(rows), np.ptp(columns)) < 0.3 * 96


@pytest.fixture(scope="module")
def shortcuts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """What a lazy learner could use instead of the mark, of 480 training and 300 test images."""
    root = tmp_path_factory.mktemp("demo") / "set"
    generate_demo(root, num_train=480, num_val=6, num_test=300)
    return {split: features(sorted((root / split).glob("*/*.jpg"))) for split in ("train", "test")}


def features(paths: list[Path]) -> dict[str, np.ndarray]:
    rows: dict[str, list] = {
        name: [] for name in ("label", "color", "thumbnail", "keypoints", "boxes")
    }
    propose = RegionProposer()
    for path in paths:
        image = read_image(path)
        histogram = cv2.calcHist([image], [0, 1, 2], None, [4, 4, 4], [0, 256] * 3).ravel()
        xy, _, group = propose.keypoints(image)
        counts = np.sort(np.bincount(group, minlength=8))
        boxes, _ = boxes_from_keypoints(xy, group, image_size=(128, 128))
        rows["label"].append(MARKS.index(path.parent.name))
        rows["color"].append(np.sqrt(histogram))
        rows["thumbnail"].append(cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA).ravel())
        rows["keypoints"].append([len(xy), *xy.mean(0), *xy.std(0), *counts])
        rows["boxes"].append(boxes[:8].ravel())
    return {name: np.array(values, dtype=np.float64) for name, values in rows.items()}


# 300 images: one standard deviation of a blind guess is 0.02. A cross has a few keypoints more than
# a bar, which shows in their number; what reaches the network are boxes, and those say nothing.
@pytest.mark.parametrize(
    ("feature", "margin"),
    [("color", 0.07), ("thumbnail", 0.07), ("keypoints", 0.12), ("boxes", 0.07)],
)
@pytest.mark.parametrize("learner", ["linear", "forest"])
def test_no_short_cut_to_the_class(
    shortcuts: dict[str, dict[str, np.ndarray]], feature: str, margin: float, learner: str
) -> None:
    if learner == "linear":
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    else:
        model = RandomForestClassifier(100, min_samples_leaf=3, random_state=0)
    model.fit(shortcuts["train"][feature], shortcuts["train"]["label"])
    accuracy = model.score(shortcuts["test"][feature], shortcuts["test"]["label"])
    assert accuracy < CHANCE + margin, f"{feature} gives the class away: {accuracy:.3f}"
