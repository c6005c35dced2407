"""Completion in bash, asked as bash asks it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from agnet_vision.cli.completion import bash_script


def complete(*words: str) -> list[str]:
    """Complete the last of the words after ``agnet``."""
    listed = " ".join(f"'{word}'" for word in ("agnet", *words))
    asked = f"COMP_WORDS=({listed}); COMP_CWORD={len(words)}; _agnet; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(
        ["bash", "-c", f"{bash_script()}\n{asked}"], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_completes_commands_and_options_and_leaves_values_to_bash() -> None:
    assert complete("ex") == ["export", "extract"]
    assert complete("train", "optimizer.l") == ["optimizer.lr=", "optimizer.layer_decay="]
    assert "images=" in complete("predict", "")
    assert complete("predict", "checkpoint", "=", "out") == []
