"""Disks that are full, and checkpoints that were cut off."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from agnet_vision import load_model
from agnet_vision.errors import CheckpointError, ConfigError
from benchmarks.faults.child import in_child, options, same_weights, train_once, write_images

SIZES_IN_MB = (1, 3, 6, 9, 12)


def fill_disk(folder: Path) -> dict[str, Any]:
    """Train on full disks, then make room and go on."""
    root = write_images(folder / "data", {"train": 7, "val": 3, "test": 3})
    whole = folder / "whole" / "run"
    assert in_child(train_once, options(root, whole)).code == 0
    disk = folder / "disk"
    disk.mkdir()
    outcome: dict[str, Any] = {"disks": 0, "one_line": 0, "same": 0, "errors": []}
    for size in SIZES_IN_MB:
        if subprocess.run([*_mount(size), str(disk)], check=False).returncode:
            return {**outcome, "not_run": "mounting a small disk needs the rights of root"}
        try:
            given = options(root, disk / "run", cache_dir=folder / "cache", resume="auto")
            ended = in_child(train_once, given)
            if ended.code == 0:
                continue  # it had room
            outcome["disks"] += 1
            outcome["one_line"] += ended.error.startswith(("DiskFullError", "CheckpointError"))
            outcome["errors"].append(ended.error.partition(":")[0])
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
            again = in_child(train_once, given)
            same = again.code == 0 and same_weights(whole / "last.ckpt", disk / "run" / "last.ckpt")
            outcome["same"] += same
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    return outcome


def _mount(size: int) -> list[str]:
    return ["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs"]


def cut_checkpoints(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Cut checkpoints to random lengths, and open them.

    Length 0 is included; they are opened in both ways.
    """
    root = write_images(folder / "data", {"train": 7, "val": 3, "test": 3})
    run_dir = folder / "run"
    given = options(root, run_dir, test=False, epochs=1)
    assert in_child(train_once, given).code == 0
    whole = {name: (run_dir / name).read_bytes() for name in ("last.ckpt", "best.ckpt")}
    return {
        "files": count,
        "refused": dict(in_child(_open_all, run_dir, whole, given, count, seed).result),
    }


def _open_all(
    run_dir: Path, whole: dict[str, bytes], given: dict[str, Any], count: int, seed: int
) -> Counter[str]:
    """Count how the cut checkpoints are answered."""
    generator = random.Random(seed)
    answers = Counter[str]()
    for number in range(count):
        name = ("last.ckpt", "best.ckpt")[number % 2]
        copy = Path(shutil.copytree(run_dir, run_dir.parent / str(number)))
        length = 0 if number < 2 else generator.randrange(len(whole[name]))
        (copy / name).write_bytes(whole[name][:length])
        try:
            if name == "best.ckpt":
                load_model(copy)
            else:
                train_once({**given, "run_dir": copy, "resume": True, "epochs": 2})
            answers["taken"] += 1
        except (CheckpointError, ConfigError) as error:
            answers[f"{name}: {type(error).__name__}"] += 1
        shutil.rmtree(copy)
    return answers
