from __future__ import annotations

import pytest

from agnet_vision.data.sources.card import DATASET_NAMES, load_card
from agnet_vision.errors import ConfigError

BENCHMARKS = {
    "aucd_v1": 10,
    "aucd_v2": 10,
    "stanford40": 40,
    "ppmi": 24,
    "food101": 101,
    "caltech256": 256,
}


@pytest.mark.parametrize("name", DATASET_NAMES)
def test_smoke(name: str) -> None:
    card = load_card(name)
    assert card.name == name
    assert card.metric in ("acc", "mAP")
    assert card.how_to_get
    assert card.license


@pytest.mark.parametrize("name", DATASET_NAMES)
def test_a_card_does_not_contradict_itself(name: str) -> None:
    card = load_card(name)
    assert len(set(card.classes)) == len(card.classes)
    for split, counts in card.counts.items():
        assert (len(counts), sum(counts)) == (len(card.classes), card.splits[split])
    if card.totals:
        assert len(card.totals) == len(card.classes)
        assert sum(card.totals) == sum(card.splits.values())


@pytest.mark.parametrize(("name", "number"), BENCHMARKS.items())
def test_value_classes(name: str, number: int) -> None:
    assert len(load_card(name).classes) == number


def test_value_official() -> None:
    assert load_card("aucd_v1").splits == {"train": 12_977, "test": 4_331}
    assert load_card("aucd_v2").splits == {"train": 12_555, "test": 1_923}
    assert load_card("stanford40").splits == {"train": 4_000, "test": 5_532}
    assert load_card("ppmi").splits == {"train": 2_400, "test": 2_400}
    assert load_card("food101").splits == {"train": 75_750, "test": 25_250}
    assert load_card("caltech256").splits == {"train": 256 * 60, "test": 29_780 - 256 * 60}
    assert min(load_card("caltech256").totals) == 80  # as the publishers promise
    assert {name for name in BENCHMARKS if load_card(name).metric == "mAP"} == {
        "stanford40",
        "ppmi",
    }
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
