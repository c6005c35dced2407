"""Get a dataset, check it against its card, mend it.

python tools/prepare_dataset.py dataset=food101 [dataset.root=...] [report=out.json]
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import hydra
from omegaconf import DictConfig
from options import check_options

from agnet_vision.data.prepare.check import CheckResult
from agnet_vision.data.prepare.contact_sheet import draw_sheet
from agnet_vision.data.prepare.prepare import can_be_mended, prepare_dataset
from agnet_vision.data.sources.card import load_card
from agnet_vision.errors import ConfigError, friendly_errors


@hydra.main(version_base=None, config_path="../conf", config_name="prepare_dataset")
def main(config: DictConfig) -> None:
    """Prepare, report, and exit with 0 only when nothing contradicts the card."""
    with friendly_errors():
        options = {str(key): value for key, value in config.dataset.items()}
        name = options.pop("name")
        _require_writable(config.report, config.sheet, config.groups)
        result = prepare_dataset(
            name,
            allow_download=config.download,
            mend=config.mend,
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
            print(f"the {min(24, len(result.pairs))} most alike pairs: {sheet}")
    print_summary(name, result)
    sys.exit(0 if result.agrees else 1)


def _require_writable(*paths: str | None) -> None:
    """Refuse results that could not be written, before hours of reading."""
    for path in (Path(path) for path in paths if path is not None):
        parent = next(folder for folder in path.absolute().parents if folder.exists())
        if path.is_dir() or not parent.is_dir() or not os.access(parent, os.W_OK):
            raise ConfigError(f"{path} cannot be written; name a file, in a folder that is yours")


def print_summary(name: str, result: CheckResult) -> None:
    """Print counts, the card's note and the first problems of every kind."""
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
    if can_be_mended(card, result):
        print(
            "with mend=true its archives are unpacked again, which may cure missing, damaged and miscounted files"
        )
    if result.groups and result.pairs:
        print(
            "to keep such images on one side of the split: run this with groups=groups.csv, then train with "
            "dataset.csv=groups.csv dataset.group_column=group"
        )
    what = "can be used as it is" if name == "folder" else "agrees with its card"
    print(
        f"it {what}"
        if result.agrees
        else "it is NOT as it should be: mend or delete what is listed above"
    )


if __name__ == "__main__":
    with friendly_errors():
        check_options("prepare_dataset")
        main()
