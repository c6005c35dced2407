"""Boxes against a slow oracle, the controls, and the proposer on every picture there is."""

from __future__ import annotations

import json
import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from agnet_vision.data.image import read_image
from agnet_vision.grouping import group_points
from agnet_vision.regions import RegionProposer, boxes_from_keypoints, grid_boxes, random_boxes, union_boxes
from agnet_vision.structures import num_regions
from tests import reference_regions
from tests.test_keypoints import blob, texture


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Fit on one thread: the matrices are small, and tests may share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def labelled_points(seed: int, points: int = 60, groups: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-20, 220, (points, 2)).astype(np.float32), rng.integers(0, groups, points)


def check_invariants(boxes, mask, num_clusters):
    assert boxes.shape == (num_regions(num_clusters), 4)
    assert boxes.dtype == np.float32
    assert mask.dtype == bool
    assert boxes[-1].tolist() == [0, 0, 1, 1]
    assert mask[-1]
    assert (boxes >= 0).all()
    assert (boxes <= 1).all()
    assert (boxes[~mask] == 0).all()
    assert (boxes[mask, 2:] > boxes[mask, :2]).all(), "every region has an area"
    present = int(mask[:num_clusters].sum())
    assert mask[:present].all(), "groups fill the first slots"
    assert mask.sum() == present * (present + 1) // 2 + 1


def test_value_boxes_equal_plain_loops():
    for seed in range(30):
        groups = 1 + seed % 8
        xy, group = labelled_points(seed, points=3 * seed, groups=groups)
        boxes, mask = boxes_from_keypoints(xy, group, (200, 150), 8)
        expected, expected_mask = reference_regions.boxes(xy, group, (200, 150), 8)
        np.testing.assert_array_equal(mask, expected_mask)
        np.testing.assert_allclose(boxes, expected, atol=1e-6)
        check_invariants(boxes, mask, 8)


def test_value_hand_worked():
    xy = np.array([[10, 40], [30, 60], [150, 10], [190, 30]], dtype=np.float32)
    boxes, mask = boxes_from_keypoints(xy, np.array([0, 0, 5, 5]), (200, 100), 2)
    expected = [[0.75, 0.1, 0.95, 0.3], [0.05, 0.4, 0.15, 0.6], [0.05, 0.1, 0.95, 0.6], [0, 0, 1, 1]]
    np.testing.assert_allclose(boxes, expected, atol=1e-7)
    assert mask.all()


def test_value_corner_of_a_wide_picture():
    (boxes,), (mask,) = RegionProposer(keep_fraction=1)(
        [np.hstack([np.zeros((80, 240, 3), np.uint8), texture(60, 80)])]
    )
    assert mask[0]
    primary = boxes[:8][mask[:8]]
    assert (primary[:, 0] > 0.75).all(), "x is a fraction of the width"
    assert primary[:, 1].min() < 0.3
    assert primary[:, 3].max() > 0.7


def test_empty_all_points_left_the_frame():
    xy, group = labelled_points(0)
    boxes, mask = boxes_from_keypoints(xy + 1000, group, (200, 150), 8)
    check_invariants(boxes, mask, 8)
    assert mask.sum() == 1


def test_value_points_outside_do_not_count():
    xy, group = labelled_points(1)
    inside = (xy >= 0).all(axis=1) & (xy <= (200, 150)).all(axis=1)
    for first, second in zip(
        boxes_from_keypoints(xy, group, (200, 150)),
        boxes_from_keypoints(xy[inside], group[inside], (200, 150)),
        strict=True,
    ):
        np.testing.assert_array_equal(first, second)


def test_value_single_point_is_one_pixel_wide():
    for x, y in ((50.0, 20.0), (0.0, 0.0), (100.0, 40.0)):
        boxes, mask = boxes_from_keypoints(np.array([[x, y]], np.float32), np.array([3]), (100, 40), 8)
        check_invariants(boxes, mask, 8)
        np.testing.assert_allclose(boxes[0, 2:] - boxes[0, :2], (1 / 100, 1 / 40), atol=1e-6)
    boxes, mask = boxes_from_keypoints(np.array([[0.3, 0.5]], np.float32), np.array([0]), (1, 1), 8)
    assert boxes[0].tolist() == [0, 0, 1, 1]


def test_value_a_mirror_keeps_the_slots():
    xy, group = labelled_points(2)
    boxes, _ = boxes_from_keypoints(xy, group, (200, 150))
    mirrored, _ = boxes_from_keypoints(xy * (-1, 1) + (200, 0), group, (200, 150))
    np.testing.assert_allclose(mirrored[:-1], boxes[:-1][:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (1, 0, 1, 0), atol=1e-6)


def test_value_refit_after_an_affine_map_gives_the_same_boxes():
    points = RegionProposer().keypoints(texture(200, 150))
    matrix = np.array([[0.9, -0.2], [0.15, 0.8]])
    moved = (points.xy.astype(np.float64) @ matrix.T + (30, 5)).astype(np.float32)
    refit = boxes_from_keypoints(moved, group_points([moved])[0], (220, 180))
    kept = boxes_from_keypoints(moved, points.group, (220, 180))
    np.testing.assert_array_equal(refit[1], kept[1])
    np.testing.assert_allclose(refit[0], kept[0], atol=1e-6)


@given(
    xy=st.integers(0, 40).flatmap(lambda n: arrays(np.float32, (n, 2), elements=st.floats(-50, 350, width=32))),
    seed=st.integers(0, 99),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
@settings(max_examples=60, deadline=None)
def test_property_boxes(xy, seed, size):
    group = np.random.default_rng(seed).integers(0, 5, len(xy))
    boxes, mask = boxes_from_keypoints(xy, group, size, 5)
    check_invariants(boxes, mask, 5)
    expected, expected_mask = reference_regions.boxes(xy, group, size, 5)
    np.testing.assert_array_equal(mask, expected_mask)
    np.testing.assert_allclose(boxes, expected, atol=1e-5)


@pytest.mark.parametrize("kappa", [1, 2, 3, 7, 8, 9, 12])
def test_value_controls(kappa):
    boxes, mask = grid_boxes(kappa)
    check_invariants(boxes, mask, kappa)
    areas = (boxes[:kappa, 2:] - boxes[:kappa, :2]).prod(axis=1)
    np.testing.assert_allclose(areas, 1 / kappa, rtol=1e-5)
    assert mask.all()
    first, again = (random_boxes(kappa, np.random.default_rng(5)) for _ in range(2))
    check_invariants(*first, kappa)
    np.testing.assert_array_equal(first[0], again[0])


def test_value_grid_of_eight():
    boxes, _ = grid_boxes(8)
    assert boxes[1].tolist() == [0.25, 0, 0.5, 0.5]
    assert boxes[4].tolist() == [0, 0.5, 0.25, 1]
    np.testing.assert_array_equal(union_boxes(boxes[:8], 8)[0], boxes)


def pictures() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    dot = np.zeros((100, 130, 3), np.uint8)
    dot[50:53, 40:43] = 255
    row = np.zeros((60, 200, 3), np.uint8)
    row[28:32, 10::12] = 255
    return {
        "blank": np.zeros((64, 64, 3), np.uint8),
        "one colour": np.full((50, 70, 3), 137, np.uint8),
        "1x1": np.zeros((1, 1, 3), np.uint8),
        "1x500": rng.integers(0, 256, (1, 500, 3), dtype=np.uint8),
        "500x1": rng.integers(0, 256, (500, 1, 3), dtype=np.uint8),
        "12 megapixels": np.kron(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8), np.ones((100, 100, 1), np.uint8)),
        "checkerboard": np.repeat(
            (np.indices((160, 160)).sum(0) // 16 % 2 * 255).astype(np.uint8)[..., None], 3, axis=2
        ),
        "noise": rng.integers(0, 256, (200, 150, 3), dtype=np.uint8),
        "one dot": dot,
        "row of dots": row,
        "not contiguous": texture(200, 160)[::2, ::-1],
        "grey": texture(90, 60)[..., 0],
        "rgba": np.concatenate([texture(90, 60), np.zeros((60, 90, 1), np.uint8)], axis=2),
        "photo-like": texture(224, 224, 4),
    }


@pytest.mark.parametrize(
    "options", [{}, {"detector": "orb"}, {"detector": "dense"}, {"grouping": "sklearn"}, {"source": "random"}]
)
def test_unbreakable_and_independent_of_the_batch(options):
    proposer, images = RegionProposer(**options), pictures()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        together = proposer(list(images.values()))
    names = list(images)
    backwards = proposer([images[name] for name in reversed(names)])
    for index, name in enumerate(names):
        check_invariants(together.boxes[index].numpy(), together.mask[index].numpy(), 8)
        assert torch.equal(together.boxes[index], backwards.boxes[len(names) - 1 - index]), name
        assert torch.equal(together.boxes[index], proposer([images[name]]).boxes[0]), name


def test_shape_and_types():
    regions = RegionProposer(num_clusters=3)([texture(40, 30), texture(64, 80)])
    assert regions.boxes.shape == (2, 7, 4)
    assert regions.boxes.dtype == torch.float32
    assert regions.mask.dtype == torch.bool
    assert RegionProposer()([]).boxes.shape == (0, 37, 4)
    points = RegionProposer().keypoints(texture(64, 80))
    assert points.xy.dtype == np.float32
    assert points.group.dtype == np.int64
    assert len(points.xy) == len(points.response) == len(points.group)


def test_value_few_keypoints():
    regions = RegionProposer()([np.zeros((64, 64, 3), np.uint8), blob(100, 100, 50, 50)])
    assert regions.mask[0].sum() == 1, "without keypoints, the whole image"
    assert regions.mask[1, -1]


@pytest.mark.parametrize("save", ["palette", "cmyk", "grey16", "rgba", "exif", "animated"])
def test_unbreakable_files(tmp_path, save):
    image = Image.fromarray(texture(90, 60))
    match save:
        case "palette":
            image.quantize(16).save(path := tmp_path / "a.png")
        case "cmyk":
            image.convert("CMYK").save(path := tmp_path / "a.jpg")
        case "grey16":
            Image.fromarray(texture(90, 60)[..., 0].astype(np.uint16) * 257).save(path := tmp_path / "a.png")
        case "rgba":
            image.convert("RGBA").save(path := tmp_path / "a.png")
        case "exif":
            exif = Image.Exif()
            exif[0x0112] = 6
            image.save(path := tmp_path / "a.jpg", exif=exif)
        case _:
            image.save(path := tmp_path / "a.gif", save_all=True, append_images=[Image.fromarray(texture(90, 60, 1))])
    array = read_image(path)
    assert array.shape == ((90, 60, 3) if save == "exif" else (60, 90, 3))
    assert RegionProposer()([array]).mask.sum() > 1


def test_value_settings_round_trip():
    proposer = RegionProposer(detector="orb", num_clusters=5, seed=3)
    told = json.loads(json.dumps(proposer.settings()))
    assert RegionProposer.from_settings(told).settings() == proposer.settings()
    assert pickle.loads(pickle.dumps(proposer)).settings() == proposer.settings()
    assert "opencv" in told["versions"]
    with pytest.raises(ValueError, match="got clusters"):
        RegionProposer.from_settings({"clusters": 3})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "saliency"}, "source must be one of keypoints, grid, random, got 'saliency'"),
        ({"detector": "surf"}, "detector must be one of"),
        ({"num_clusters": 0}, "num_clusters must be"),
        ({"grouping": "kmeans"}, "grouping must be one of"),
        ({"seed": -1}, "seed must not be negative"),
        ({"keep_fraction": 2}, "keep_fraction"),
    ],
)
def test_raises_options(options, message):
    with pytest.raises(ValueError, match=message):
        RegionProposer(**options)


def test_raises_wrong_images():
    proposer = RegionProposer()
    with pytest.raises(ValueError, match=r"pass \[image\]"):
        proposer(texture(40, 40))
    with pytest.raises(TypeError, match="uint8, got float32"):
        proposer([np.zeros((9, 9, 3), np.float32)])
    with pytest.raises(TypeError, match="uint8, got Tensor"):
        proposer([torch.zeros(3, 9, 9)])


def test_raises_boxes():
    xy, group = labelled_points(0)
    with pytest.raises(ValueError, match="num_clusters must be at least the number of groups, got 4 for 8 groups"):
        boxes_from_keypoints(xy, group, (200, 150), 4)
    with pytest.raises(ValueError, match="image_size"):
        boxes_from_keypoints(xy, group, (0, 150))
