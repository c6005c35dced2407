"""``agnet prepare``: a dataset fetched, checked and repaired."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from agnet_vision.cli.command import Command
from agnet_vision.options.dataset import DatasetConfig
from agnet_vision.options.fields import LocalPath, Options, Seed, option

if TYPE_CHECKING:
    from agnet_vision.data.prepare.check import CheckResult


class PrepareConfig(Options):
    """Options of ``agnet prepare``."""

    dataset: DatasetConfig
    download: bool = option("get what is missing, where the license allows it")
    repair: bool = option(
        "unpack the archives again when files are missing or damaged; AUC, folder, hf and demo "
        "have none and refuse it",
    )
    seed: Seed = option("seed of the splits that training would draw")
    near_duplicates: bool = option("look for nearly identical images across splits")
    report: LocalPath | None = option("write what was found to this JSON file")
    groups: LocalPath | None = option(
        "of a folder: write a CSV in which nearly identical images share a group"
    )
    sheet: LocalPath | None = option(
        "draw the most alike pairs into this PNG file; null: beside the report"
    )
    workers: int | None = option("processes that read images; null: one per core", ge=1)


def call(config: PrepareConfig) -> None:
    """Prepare a dataset, and report.

    Exits with 0 only if nothing contradicts the card.
    """
    from agnet_vision.data.prepare.contact_sheet import MAX_PAIRS, draw_sheet
    from agnet_vision.data.prepare.prepare import prepare_dataset

    options = config.dataset.model_dump()
    result = prepare_dataset(
        options.pop("name"),
        allow_download=config.download,
        repair=config.repair,
        seed=config.seed,
        find_near_duplicates=config.near_duplicates,
        workers=config.workers,
        show_progress=sys.stderr.isatty(),
        **options,
    )
    if config.report is not None:
        result.write(Path(config.report))
    if config.groups is not None and result.groups:
        result.write_groups(Path(config.groups))
    sheet = config.sheet or (config.report and Path(config.report).with_suffix(".png"))
    if sheet and result.pairs:
        draw_sheet(result.pairs, Path(sheet))
        print(f"the {min(MAX_PAIRS, len(result.pairs))} most alike pairs: {sheet}")
    _print_summary(config.dataset.name, result)
    if not result.agrees:
        sys.exit(1)


def _print_summary(name: str, result: CheckResult) -> None:
    """Print counts, the card's note and each kind's first problems."""
    from agnet_vision.data.prepare.prepare import can_be_repaired
    from agnet_vision.data.sources.card import load_card

    card = load_card(name)
    counts = ", ".join(
        f"{split} {sum(classes.values()):,}" for split, classes in result.splits.items()
    )
    print(f"{card.title}: {counts}")
    if card.note:
        print(f"note: {card.note}")
    for kind, number in Counter(problem.kind for problem in result.problems).items():
        print(f"{kind}: {number:,}")
        for problem in [problem for problem in result.problems if problem.kind == kind][:3]:
            print(f"  {problem}")
    if can_be_repaired(card, result):
        print(
            "with repair=true its archives are unpacked again, which may cure missing, damaged and "
            "miscounted files"
        )
    if result.groups and result.pairs:
        print(
            "to keep such images on one side of the split: run this with groups=groups.csv, "
            "then train with dataset.csv=groups.csv dataset.group_column=group"
        )
    what = "can be used as it is" if card.own else "agrees with its card"
    bad = "it is NOT as it should be: repair or delete what is listed above"
    print(f"it {what}" if result.agrees else bad)


COMMAND = Command(
    schema=PrepareConfig,
    call=call,
    examples=(
        "dataset=food101",
        "dataset=folder dataset.root=my_photos report=problems.json",
    ),
)
