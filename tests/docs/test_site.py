"""The site builds without a warning, and reaches every page."""

from __future__ import annotations

import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = {
        line
        for block in re.findall(
            r"^```\{toctree\}\n(.*?)^```", index, flags=re.MULTILINE | re.DOTALL
        )
        for line in block.splitlines()
        if line and not line.startswith(":")
    }
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.glob("*.md")}
    pages |= {f"notebooks/{path.stem}" for path in (DOCS / "notebooks").glob("*.md")}
    assert pages - {"index"} == listed


def test_every_name_of_the_reference_exists() -> None:
    names = re.findall(r"^\.\. auto\w+:: ([\w.]+)", (DOCS / "api.md").read_text("utf-8"), re.M)
    assert len(names) > 15
    for name in names:
        pkgutil.resolve_name(name)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_builds_without_a_warning(tmp_path: Path) -> None:
    """Tutorials run anew, and a failing cell fails the build."""
    pytest.importorskip("myst_nb")
    pytest.importorskip("furo")
    options = f"-q --fail-on-warning --keep-going -d {tmp_path / 'doctrees'}".split()
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(DOCS), str(tmp_path / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    page = (tmp_path / "html" / "notebooks" / "method.html").read_text(encoding="utf-8")
    assert page.count("<img") >= 3  # the figures its cells draw
