"""What a layout holds, counted and named by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from agnet_vision.data.sources.listing import FATAL, Listing, Problem, Sample, image_name


def test_value_counts_hold_every_class_of_every_split() -> None:
    samples = [Sample(Path("a"), 0), Sample(Path("b"), 2), Sample(Path("c"), 2)]
    listing = Listing(("ant", "bee", "cat"), {"train": samples, "test": samples[:1]})
    assert listing.counts() == {
        "train": {"ant": 1, "bee": 0, "cat": 2},
        "test": {"ant": 1, "bee": 0, "cat": 0},
    }


def test_value_fatal_problems_are_selected_in_order() -> None:
    listing = Listing(("ant",))
    for kind in ("undecodable", "empty_class", "near_duplicate", "one_class"):
        listing.report(kind, Path("x"), "y")
    assert [problem.kind for problem in listing.fatal()] == ["empty_class", "one_class"]
    assert {problem.kind for problem in listing.fatal()} <= FATAL


def test_a_problem_is_one_printable_line() -> None:
    assert str(Problem("bad_name", "a\udcff.jpg", "not Unicode")) == "a\\udcff.jpg: not Unicode"


@pytest.mark.parametrize(
    ("path", "name"), [("/data/cat/1.jpg", "cat/1.jpg"), ("/elsewhere/1.jpg", "../elsewhere/1.jpg")]
)
def test_value_names_are_relative_to_the_layout(path: str, name: str) -> None:
    assert image_name(Path(path), Path("/data")) == name
