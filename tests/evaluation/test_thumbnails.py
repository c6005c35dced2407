"""Cards show what they say, and points are counted."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from agnet_vision.errors import ImageReadError
from agnet_vision.evaluation.run_folder import RunFolder, RunResults
from agnet_vision.evaluation.thumbnails import (
    SHOWN,
    SIDE,
    confident_mistakes,
    make_cards,
    random_images,
    thumbnail,
)
from agnet_vision.explain.explanation import explain
from agnet_vision.models.agnet import AGNet
from tests.conftest import block_image
from tests.explain.conftest import with_importance


@pytest.fixture
def run(runs: tuple[Path, Path]) -> RunResults:
    return RunFolder(runs[1]).read_results()


def pixels_of(address: str) -> np.ndarray:
    data = base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def test_value_the_left_half_is_the_image_and_the_right_one_the_evidence(model: AGNet) -> None:
    image = block_image(height=150, width=150)
    explanation = with_importance(explain(model, image), 0.0)  # nothing outlined
    pixels = pixels_of(thumbnail(explanation)).astype(int)
    expected = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(int)
    inner = slice(40, -40)  # the frame of the network; what it crops is darkened
    left, right = pixels[:, :SIDE], pixels[:, -SIDE:]
    assert np.abs(left - expected)[inner, inner].mean() < 25
    spread = right.max(axis=2) - right.min(axis=2)
    assert np.median(spread[inner, inner]) < 30  # gray
    assert spread.max() > 100  # with color laid over it where the evidence is


def test_value_regions_are_outlined_only_where_they_are_separated(model: AGNet) -> None:
    explanation = explain(model, block_image())
    alike, also, ranked = (
        thumbnail(with_importance(explanation, spread)) for spread in (0.0, 0.005, 0.5)
    )
    assert alike == also != ranked


def test_value_mistakes_come_most_confident_first(run: RunResults) -> None:
    chosen = confident_mistakes(run)
    assert (run.predicted[chosen] != run.label[chosen]).all()
    assert (np.diff(run.probability[chosen].max(axis=1)) <= 0).all()
    assert len(random_images(run)) == SHOWN


def test_value_cards_say_what_was_predicted(run: RunResults, model: AGNet, tmp_path: Path) -> None:
    chosen = random_images(run)[:2]
    for number, card in zip(chosen, make_cards(run, model, run.root, chosen), strict=True):
        assert card.path == run.paths[number]
        assert card.predicted == run.classes[run.predicted[number]]
        assert card.confidence == pytest.approx(float(run.probability[number].max()))
    with pytest.raises(ImageReadError, match="no such file"):
        make_cards(run, model, tmp_path, chosen)
