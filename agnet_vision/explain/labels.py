"""Names as labels: short, and never taken for formulas by matplotlib or for markup by Rich."""

from __future__ import annotations


def class_label(name: str, length: int = 24) -> str:
    """Make a class's name a label for a figure.

    Underscores become blanks, what is longer than ``length`` letters is cut, and a dollar sign is
    escaped: matplotlib sets what stands between two of them as a formula.
    """
    name = " ".join(name.replace("_", " ").split())
    short = name if len(name) <= length else f"{name[: length - 1]}…"
    return short.replace("$", r"\$")
