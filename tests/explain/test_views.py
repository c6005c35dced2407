"""Test-time augmentation: what a view shows, its regions show as well."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agnet_vision.explain.predict import Predictor
from agnet_vision.explain.prepared import prepare_image
from agnet_vision.explain.views import ViewMaker, cut_out, mirror
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints

from .conftest import photograph


def make_model(source: str = "keypoints", **data_config: object) -> AGNet:
    torch.manual_seed(0)
    proposer = RegionProposer(source, num_clusters=3)
    model = AGNet("test_resnet", 3, num_clusters=3, proposer=proposer).eval()
    model.data_config |= data_config
    return model


def points_at(*xy: tuple[float, float]) -> Keypoints:
    count = len(xy)
    positions = np.array(xy, np.float32).reshape(-1, 2)
    return Keypoints(positions, np.ones(count, np.float32), np.zeros(count, np.int64))


def test_value_points_stay_on_their_pixels() -> None:
    """A dot painted at a keypoint is at the keypoint of every view."""
    image, points = np.zeros((40, 60, 3), np.uint8), points_at((12.5, 30.5))
    image[30, 12] = 255
    mirrored, moved = mirror(image, points)
    assert mirrored[tuple(np.floor(moved.xy[0]).astype(int)[::-1])].tolist() == [255] * 3
    window, moved = cut_out(image, points, (10, 20, 50, 40))
    assert window.shape == (20, 40, 3)
    assert window[tuple(np.floor(moved.xy[0]).astype(int)[::-1])].tolist() == [255] * 3


def test_value_mirroring_twice_changes_nothing() -> None:
    image, points = photograph(), points_at((1, 2), (30, 4.5))
    again, moved = mirror(*mirror(image, points))
    assert np.array_equal(again, image)
    np.testing.assert_allclose(moved.xy, points.xy)


@pytest.mark.parametrize("crop_mode", ["center", "squash"])
def test_value_views_of_every_augmentation(crop_mode: str) -> None:
    model, image = make_model(crop_mode=crop_mode, crop_pct=0.8), photograph(height=100, width=160)
    plain = prepare_image(model, image)

    (alone,) = ViewMaker(model, "none")([image])[0]
    assert torch.equal(alone.input, plain.input)

    first, second = ViewMaker(model, "flip")([image])[0]
    assert torch.equal(first.input, plain.input)
    torch.testing.assert_close(second.input, plain.input.flip(-1), atol=0.05, rtol=0)
    x0, y0, x1, y1 = plain.regions.boxes[0].unbind(1)
    expected = torch.stack([1 - x1, y0, 1 - x0, y1], dim=1) * plain.regions.mask[0][:, None]
    torch.testing.assert_close(second.regions.boxes[0], expected, atol=0.02, rtol=0)

    views = ViewMaker(model, "crops")([image])[0]
    assert len(views) == 10
    middle = views[4]
    torch.testing.assert_close(middle.input, plain.input, atol=1.0, rtol=0)
    assert (middle.input - plain.input).abs().mean() < 0.06
    torch.testing.assert_close(middle.regions.boxes, plain.regions.boxes, atol=0.03, rtol=0)


def test_value_crops_show_the_corners() -> None:
    model, image = make_model(crop_pct=0.5), np.zeros((80, 160, 3), np.uint8)
    image[:20, -20:] = 255  # only the upper right corner is bright
    views = ViewMaker(model, "crops")([image])[0]
    brightest = [int(view.input.amax(0).flatten().argmax()) for view in views]
    side = views[0].input.shape[-1]
    bright = [float(view.input.max()) > 0 for view in views]
    assert bright == [False, True, False, False, False] * 2
    assert brightest[1] % side > side // 2  # at the right
    assert brightest[6] % side < side // 2  # mirrored


def test_value_crops_of_what_is_not_cropped_are_one() -> None:
    model = make_model(crop_mode="squash", crop_pct=1.0)
    assert len(ViewMaker(model, "crops")([photograph()])[0]) == 2


@pytest.mark.parametrize("source", ["keypoints", "grid", "random"])
@pytest.mark.parametrize("augmentation", ["flip", "crops"])
def test_value_answers_are_the_mean_over_the_views(source: str, augmentation: str) -> None:
    model = make_model(source)
    images = [photograph(0), photograph(1, 60, 120)]
    found = Predictor(model, batch_size=3, augmentation=augmentation).outputs(images)
    for number, image in enumerate(images):
        logits, embeddings = [], []
        for view in ViewMaker(model, augmentation)([image])[0]:
            with torch.no_grad():
                feature_map = model.forward_features(view.input[None])
                logits.append(model.head(feature_map, view.regions)[0])
                embeddings.append(model.head(feature_map, view.regions, pre_logits=True)[0])
        expected = torch.stack(logits).softmax(1).mean(0)
        np.testing.assert_allclose(found.probabilities[number], expected, atol=1e-5)
        np.testing.assert_allclose(
            found.embeddings[number], torch.stack(embeddings).mean(0), atol=1e-4
        )


def test_value_a_mirrored_image_gets_the_same_answer() -> None:
    predictor = Predictor(make_model(), augmentation="flip")
    image = photograph(height=100, width=100)
    found = predictor.outputs([image, np.ascontiguousarray(image[:, ::-1])]).probabilities
    # Keypoints of the mirror image are found anew, and are not quite the mirrored ones.
    np.testing.assert_allclose(found[0], found[1], atol=0.02)


def test_raises_on_an_unknown_augmentation() -> None:
    with pytest.raises(ValueError, match="must be one of none, flip, crops, got 'rotate'"):
        ViewMaker(make_model(), "rotate")
