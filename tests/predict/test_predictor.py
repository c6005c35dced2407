"""Files in, rows out, one row also for a file that is no image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agnet_vision.data.image import read_image
from agnet_vision.data.preprocessing import move_points
from agnet_vision.data.views import TestTimeViews
from agnet_vision.errors import ConfigError, PredictionError
from agnet_vision.explain.explanation import explain
from agnet_vision.models.agnet import AGNet
from agnet_vision.predict.files import find_images
from agnet_vision.predict.predictor import Predictor, choose_device
from agnet_vision.predict.prepared import Preparation, batch_of
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Regions
from tests.conftest import block_image


@pytest.fixture(scope="module")
def model() -> AGNet:
    torch.manual_seed(0)
    return AGNet("test_resnet", 3, num_clusters=3, classes=("ant", "bee, wild", "cat")).eval()


def test_value_rows_come_in_order_and_equal_single_images(image_folder: Path, model: AGNet) -> None:
    rows = list(Predictor(model, batch_size=4)(find_images(image_folder)))
    names = ["0.png", "1.png", "2.png", "3.png", "3b.jpg", "4.png"]
    assert [row.path.name for row in rows] == names
    assert [row.error is None for row in rows] == [True] * 4 + [False, True]
    assert rows[4].top() == []
    for row in rows[:4]:
        explanation = explain(model, read_image(row.path))
        np.testing.assert_allclose(row.probabilities, explanation.probabilities, atol=1e-5)
        assert row.top(2)[0] == (
            model.classes[explanation.target],
            pytest.approx(explanation.probabilities.max(), abs=1e-5),
        )


def test_value_a_folder_a_pattern_a_path_and_arrays(image_folder: Path, model: AGNet) -> None:
    """The same answers however the images are named."""
    predict = Predictor(model, batch_size=4)
    expected = {row.path: row.probabilities for row in predict(find_images(image_folder))}
    first = image_folder / "0.png"
    for images in (str(image_folder), [f"{image_folder}/[0-2].png", image_folder / "3.png"], first):
        rows = list(predict(images))
        assert rows[0].path == first
        for row in rows:
            np.testing.assert_equal(row.probabilities, expected[row.path])

    array = read_image(first)
    for images in (array, [array], np.stack([array])):
        (row,) = predict(images)
        assert row.path == Path("image 0")
        np.testing.assert_allclose(row.probabilities, expected[first], atol=1e-6)
    assert [row.path.name for row in predict([first, array])] == ["0.png", "image 1"]


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (block_image().astype(np.float32), r"float32 of shape \(90, 140, 3\)"),
        (block_image()[..., :1], r"uint8 of shape \(90, 140, 1\)"),
        (torch.zeros(3, 8, 8), r"torch.float32 of shape \(3, 8, 8\)"),
        ([7], "int of shape"),
    ],
)
def test_raises_on_what_is_no_image(model: AGNet, image: object, found: str) -> None:
    with pytest.raises(ValueError, match=f"arrays of uint8 in RGB, got {found}"):
        next(Predictor(model)(image))


def test_raises_where_nothing_is(model: AGNet, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no images at"):
        next(Predictor(model)(tmp_path))


def test_no_keypoints_are_found_where_none_are_needed(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AGNet("test_resnet", 3, num_clusters=3, variant="backbone_only").eval()
    path = image_folder / "0.png"
    expected = explain(model, read_image(path)).probabilities

    def find(self: RegionProposer, images: object) -> None:
        raise AssertionError("keypoints were sought")

    monkeypatch.setattr(RegionProposer, "keypoints_many", find)
    (row,) = Predictor(model)([path])
    np.testing.assert_allclose(row.probabilities, expected, atol=1e-5)


def test_raises_on_weights_that_answer_nothing(image_folder: Path) -> None:
    torch.manual_seed(0)
    model = AGNet("test_resnet", 3, num_clusters=2)
    with torch.no_grad():
        model.head.classifier.linear.bias[0] = float("inf")
    with pytest.raises(PredictionError, match="NaN or infinity"):
        next(Predictor(model)([image_folder / "0.png"]))
    with pytest.raises(PredictionError, match="NaN or infinity"):
        explain(model, block_image())


@pytest.mark.parametrize("name", ["gpu", "foo", "cuda:99"])
def test_raises_on_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(ConfigError, match="device=cpu"):
        choose_device(name)


@pytest.mark.parametrize(
    ("source", "tta"),
    [("keypoints", "none"), ("keypoints", "whole"), ("grid", "whole")],
)
def test_value_answers_are_the_mean_over_the_views(source: str, tta: str) -> None:
    torch.manual_seed(0)
    proposer = RegionProposer(source, num_clusters=3)
    model = AGNet("test_resnet", 3, num_clusters=3, proposer=proposer).eval()
    images = [block_image(0), block_image(1, 60, 120)]
    found = Predictor(model, batch_size=3, tta=tta).outputs(images)
    for number, image in enumerate(images):
        (points,) = proposer.keypoints_many([image])
        logits, embeddings = [], []
        for pixels, matrix in TestTimeViews(model.data_config, tta)(image):
            moved = points._replace(xy=move_points(points.xy, matrix))
            size = (pixels.shape[2], pixels.shape[1])
            boxes, mask = map(torch.from_numpy, proposer.draw_boxes([moved], size, seeds=[0]))
            with torch.no_grad():
                feature_map, regions = model.forward_features(pixels[None]), Regions(boxes, mask)
                logits.append(model.head(feature_map, regions)[0])
                embeddings.append(model.head(feature_map, regions, pre_logits=True)[0])
        expected = torch.stack(logits).softmax(1).mean(0)
        np.testing.assert_allclose(found.probabilities[number], expected, atol=1e-5)
        np.testing.assert_allclose(
            found.embeddings[number], torch.stack(embeddings).mean(0), atol=1e-4
        )


def test_value_images_are_prepared_each_as_alone(model: AGNet) -> None:
    images = [block_image(0, 100, 200), block_image(1, 100, 60), np.zeros((30, 30, 3), np.uint8)]
    prepared = Preparation(model)(images)
    x0, y0, x1, y1 = prepared[0].frame  # the center crop
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((100, 50), abs=1)
    assert x1 - x0 == pytest.approx(y1 - y0, rel=0.02)

    inputs, regions = batch_of(prepared)
    for number, image in enumerate(images):
        (alone,) = Preparation(model)([image])
        torch.testing.assert_close(inputs[number], alone.input)
        torch.testing.assert_close(regions.boxes[number], alone.regions.boxes[0])
        assert torch.equal(regions.mask[number], alone.regions.mask[0])
