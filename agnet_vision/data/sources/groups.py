"""Groups of images that no split divides: those of one driver, patient or video."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

from agnet_vision.data.sources.listing import Listing, image_name
from agnet_vision.errors import ConfigError


def assign_groups(listing: Listing, pattern: str) -> None:
    """Read the group of each image from its path inside the layout.

    Args:
        listing: listing whose samples get their groups.
        pattern: a regular expression; the group is its first parenthesis, or all that it matches.

    Raises:
        ConfigError: the pattern is no regular expression, it finds nothing in a path, or there are
            groups already.
    """
    if any(sample.group is not None for samples in listing.splits.values() for sample in samples):
        raise ConfigError(
            f"group_regex={pattern} must be the only source of groups; leave it out, "
            "or the list that names them"
        )
    group_of = _group_finder(pattern)
    for split, samples in listing.splits.items():
        listing.splits[split] = [
            sample._replace(group=group_of(image_name(sample.path, listing.layout)))
            for sample in samples
        ]


def _group_finder(pattern: str) -> Callable[[str], str]:
    """Make the function that reads the group from a path."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"group_regex={pattern} must be a regular expression: {error}") from error

    def group_of(path: str) -> str:
        """Read the group from one path."""
        match = expression.search(path)
        group = None if match is None else match.group(1 if expression.groups else 0)
        if group is None:
            raise ConfigError(
                f"group_regex={pattern} must match every path, finds nothing in {path}"
            )
        return group

    return group_of


def report_divided_groups(listing: Listing) -> None:
    """Record the groups that are in two of the given splits."""
    first: dict[str, str] = {}
    divided: dict[tuple[str, str, str], int] = defaultdict(int)
    for split, samples in listing.splits.items():
        for group in (sample.group for sample in samples if sample.group is not None):
            if first.setdefault(group, split) != split:
                divided[group, first[group], split] += 1
    for (group, first_split, split), number in divided.items():
        detail = f"the group {group} is in {first_split}, and {number:,} times in {split}"
        listing.report("group_overlap", listing.layout, detail)
