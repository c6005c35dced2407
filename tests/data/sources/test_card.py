from __future__ import annotations

import pytest

from agnet_vision.data.sources.card import DATASET_NAMES, load_card
from agnet_vision.errors import ConfigError

# Number of classes, metric, training and test images, as the publishers say.
BENCHMARKS = {
    "aucd_v1": (10, "acc", 12_977, 4_331),
    "aucd_v2": (10, "acc", 12_555, 1_923),
    "stanford40": (40, "mAP", 4_000, 5_532),
    "ppmi": (24, "mAP", 2_400, 2_400),
    "food101": (101, "acc", 75_750, 25_250),
    "caltech256": (256, "acc", 256 * 60, 29_780 - 256 * 60),
}


@pytest.mark.parametrize("name", DATASET_NAMES)
def test_a_card_does_not_contradict_itself(name: str) -> None:
    card = load_card(name)
    assert card.name == name
    assert card.how_to_get
    assert card.license
    assert len(set(card.classes)) == len(card.classes)
    for split, counts in card.counts.items():
        assert (len(counts), sum(counts)) == (len(card.classes), card.splits[split])
    if card.totals:
        assert len(card.totals) == len(card.classes)
        assert sum(card.totals) == sum(card.splits.values())


@pytest.mark.parametrize("name", BENCHMARKS)
def test_value_official(name: str) -> None:
    card = load_card(name)
    assert (len(card.classes), card.metric, *card.splits.values()) == BENCHMARKS[name]
    assert [*card.splits] == ["train", "test"]


def test_value_details() -> None:
    assert min(load_card("caltech256").totals) == 80  # as the publishers promise
    assert load_card("aucd_v1").classes[7] == "Hair & Makeup"
    assert load_card("aucd_v1").classes != load_card("aucd_v2").classes
    assert load_card("food101").files[0].md5 == "85eeb15f3717b99a5da872d97d918f87"
    assert load_card("caltech256").files[0].md5 == "67b4f42ca05d46448c6bb8ecd2220f6d"


def test_licensed_data_has_no_address_to_download() -> None:
    for name in ("aucd_v1", "aucd_v2"):
        assert load_card(name).files == ()
        assert "agreement" in load_card(name).how_to_get


def test_raises() -> None:
    with pytest.raises(ConfigError, match="imagenet is not known"):
        load_card("imagenet")
