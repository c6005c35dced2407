"""Where evidence lies: a planted square is found, and the shares are those of an explanation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from PIL import Image
from scipy.spatial import Delaunay
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from agnet_vision.explain.explanation import explain
from agnet_vision.explain.suspects import BOX_SIDE, find_suspects
from agnet_vision.models.agnet import AGNet


def save(path: Path, square: tuple[int, int] | None, strength: int = 255) -> Path:
    """Save a gray image of 200 x 100 pixels with a bright square of 20."""
    pixels = np.full((100, 200, 3), 60, dtype=np.uint8)
    if square:
        x, y = square
        pixels[y : y + 20, x : x + 20] = strength
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def brightness(monkeypatch: pytest.MonkeyPatch) -> AGNet:
    """Build a network whose map is an image's brightness, which speaks for class 1."""
    head = {"pooling": "average"}
    model = AGNet("test_resnet", 2, variant="backbone_only", num_clusters=3, head_kwargs=head)

    def forward_features(images: Float[Tensor, "batch 3 height width"]) -> Tensor:
        bright = adaptive_avg_pool2d(images, 10)[:, :1] - images[:, :1, :1, :1]
        return bright.repeat(1, model.head.in_channels, 1, 1)

    monkeypatch.setattr(model, "forward_features", forward_features)
    with torch.no_grad():
        model.head.classifier.linear.weight[0] = 0.0
        model.head.classifier.linear.weight[1] = 1.0
    return model


def test_value_a_planted_square_is_found_where_it_is(brightness: AGNet, tmp_path: Path) -> None:
    # The frame is the middle 100 x 100 pixels, and a cell is 10 x 10 of them.
    paths = [save(tmp_path / f"{x}.png", (x, 30)) for x in (60, 120)]
    plain = save(tmp_path / "plain.png", None)
    found = {suspect.path: suspect for suspect in find_suspects(brightness, [plain, *paths])}
    assert [*found][-1] == plain
    for path, (x0, x1) in zip(paths, ((60, 80), (120, 140)), strict=True):
        suspect = found[path]
        left, top, right, bottom = suspect.box
        assert left <= x0 / 200
        assert right >= x1 / 200
        assert top <= 0.3
        assert bottom >= 0.5
        assert right - left == pytest.approx(BOX_SIDE / 2, abs=0.02)
        assert suspect.share == pytest.approx(1, abs=1e-3)
        assert suspect.target == 1


@pytest.mark.parametrize("variant", ["full", "backbone_only"])
def test_value_the_share_is_that_of_the_explained_cells(variant: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AGNet("test_resnet", 4, variant=variant, num_clusters=3).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    with torch.no_grad():  # so that the mean over the classes, which is taken away, is zero
        linear = model.head.classifier.linear
        linear.weight.sub_(linear.weight.mean(dim=0))

    (suspect,) = find_suspects(model, [tmp_path / "noise.png"])
    explanation = explain(model, pixels, target=suspect.target)
    cells = explanation.cells
    np.testing.assert_allclose(suspect.cells, cells, atol=1e-5)
    size = round(BOX_SIDE * len(cells))
    starts = range(len(cells) - size + 1)
    positive = cells.clip(min=0)
    sums = [positive[y : y + size, x : x + size].sum() for y in starts for x in starts]
    assert suspect.share == pytest.approx(max(sums) / positive.sum(), rel=1e-4)

    hull = Delaunay(model.proposer.keypoints(pixels).xy)
    x0, y0, x1, y1 = explanation.frame
    columns, rows = (np.linspace(a, b, 2 * len(cells) + 1)[1::2] for a, b in ((x0, x1), (y0, y1)))
    middles = np.stack(np.meshgrid(columns, rows), axis=-1)
    outside = hull.find_simplex(middles) < 0
    expected = positive[outside].sum() / positive.sum()
    assert suspect.outside_hull == pytest.approx(expected, rel=1e-4)


def test_an_image_without_positive_evidence_has_no_share(brightness: AGNet, tmp_path: Path) -> None:
    (suspect,) = find_suspects(brightness, [save(tmp_path / "plain.png", None)])
    assert suspect.share == 0
    assert suspect.outside_hull is None
