"""What a run or a benchmark ran on, and the command that started it."""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = (
    "agnet_vision",
    "torch",
    "torchvision",
    "timm",
    "pytorch-lightning",
    "torchmetrics",
    "albumentations",
    "numpy",
    "opencv-python-headless",
    "scikit-learn",
)


def environment(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Describe versions, hardware, commit and command of a computation, ready for JSON."""
    device = torch.device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "command": this_command(),
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": name or f"{device.type}, {_processor()}",
        "threads": torch.get_num_threads(),
        "versions": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def this_command() -> str:
    """Return this process's command line, to be typed again."""
    program = Path(sys.argv[0])
    words = ["agnet"] if program.name == "agnet" else ["python", sys.argv[0]]
    return shlex.join([*words, *sys.argv[1:]])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Name the commit of the checkout, with a plus if files were changed since."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=12"]
    try:
        return subprocess.check_output(command, text=True, timeout=10).strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _processor() -> str:
    """Name the processor, as far as the system tells."""
    file = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.*)", file.read_text() if file.is_file() else "")
    return name[1] if name else platform.processor() or platform.machine()
