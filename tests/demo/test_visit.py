"""What the page says and shows, without a browser."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from agnet_vision.demo import visit
from agnet_vision.errors import ImageReadError
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions import keypoints


def test_value_only_detectors_that_are_there_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    keypoints._opencv_detector.cache_clear()
    for module in (cv2, getattr(cv2, "xfeatures2d", None)):
        monkeypatch.delattr(module, "AKAZE_create", raising=False)
    names = set(visit.region_sources())
    assert names == {
        "keypoints: sift",
        "keypoints: orb",
        "keypoints: dense",
        "control: grid",
        "control: random",
    }


@pytest.mark.parametrize("source", visit.region_sources())
def test_value_every_source_of_regions_works(
    source: str, models: dict[str, AGNet], uploads: Path
) -> None:
    model = models["full"]
    explanation = visit.explain_file(model, str(uploads / "pebbles.jpg"), source, 2)
    assert bool(len(explanation.keypoints.xy)) == source.startswith("keypoints")
    assert explanation.mask.sum() <= 4
    words = visit.remark(model, explanation, source, 2)
    assert f"κ = 2, {source}" in words
    assert "trained with κ = 4, keypoints: sift" in words


def test_value_the_trained_choice_needs_no_warning(models: dict[str, AGNet], uploads: Path) -> None:
    model = models["full"]
    explanation = visit.explain_file(model, str(uploads / "pebbles.jpg"), "keypoints: sift", 4)
    words = visit.remark(model, explanation, "keypoints: sift", 4)
    assert words.startswith("11 regions of 11 slots")
    assert "trained" not in words
    assert ("is uniform" in words) != explanation.separates_regions()


def test_value_a_network_without_regions_says_so(models: dict[str, AGNet], uploads: Path) -> None:
    model = models["without regions"]
    explanation = visit.explain_file(model, str(uploads / "pebbles.jpg"), "control: grid", 3)
    assert "whole image only" in visit.remark(model, explanation, "control: grid", 3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bomb.png", "10000 x 10000 is more than"),
        ("fake.png", "not an image"),
        ("gone.png", "no such file"),
    ],
)  # fmt: skip
def test_raises_on_files_that_are_no_images(
    name: str, words: str, models: dict[str, AGNet], uploads: Path
) -> None:
    with pytest.raises(ImageReadError, match=words):
        visit.explain_file(models["full"], str(uploads / name), "keypoints: sift", 4)
