"""The files of a run folder: scores, predictions, plots, and what the run ran on."""

from __future__ import annotations

import csv
import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from agnet_vision.data.sources.samples import Sample
from agnet_vision.evaluation.metrics import Predictions

PACKAGES = ("agnet_vision", "torch", "torchvision", "timm", "pytorch-lightning", "torchmetrics", "albumentations", "numpy",
            "opencv-python-headless", "scikit-learn")  # fmt: skip

COLOURS = ("#D55E00", "#2b8fce")  # as in the report
MAX_NUMBERED = 24  # classes whose confusion matrix has its counts in the cells; in more cells they would not be legible


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def write_predictions(
    path: Path,
    predictions: Predictions,
    samples: Sequence[Sample],
    classes: Sequence[str],
    root: Path,
) -> None:
    """Write ``path,label,predicted`` and a probability column a class; paths are relative to the dataset's root if in it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["path", "label", "predicted", *(f"probability_{name}" for name in classes)]
        )
        for index, label, probability in zip(
            *(values.tolist() for values in predictions), strict=True
        ):
            image = samples[index].path
            shown = image.relative_to(root) if image.is_relative_to(root) else image
            predicted = max(range(len(classes)), key=probability.__getitem__)
            # 9 digits give every 32-bit number back exactly.
            columns = [f"{value:.9g}" for value in probability]
            writer.writerow([shown.as_posix(), classes[label], classes[predicted], *columns])


def this_command() -> str:
    """Return the command line of this process, to be typed again."""
    return shlex.join(["python", *sys.argv])


def environment(device: torch.device) -> dict[str, Any]:
    """Describe versions, hardware, commit and command."""
    return {
        "command": this_command(),
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{device.type}, {_processor()}",
        "threads": torch.get_num_threads(),
        "versions": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def read_history(run_dir: Path) -> list[dict[str, float]]:
    """Read the CSV logs of a run, one row an epoch, oldest first; after a resume, the newer log counts.

    Returns:
        Rows with ``epoch`` and whatever was logged at its end, such as ``train/loss_epoch`` and ``val/acc``.
    """
    epochs: dict[int, dict[str, float]] = {}
    logs = sorted(
        (run_dir / "csv").glob("version_*/metrics.csv"),
        key=lambda path: int(path.parent.name.split("_")[1]),
    )
    for log in logs:
        with log.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                values = {key: float(value) for key, value in row.items() if value}
                if "epoch" in values and (
                    "train/loss_epoch" in values or any(k.startswith("val/") for k in values)
                ):
                    epochs.setdefault(int(values["epoch"]), {}).update(values)
    return [epochs[epoch] for epoch in sorted(epochs)]


def plot_curves(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Draw training loss, and validation accuracy and mAP, over the epochs."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    panels = (
        (left, "loss", {"train/loss_epoch": "training", "val/loss": "validation"}),
        (right, "validation", {"val/acc": "accuracy", "val/mAP": "mAP"}),
    )
    for axes, title, lines in panels:
        for (key, label), colour in zip(lines.items(), COLOURS, strict=True):
            points = [(row["epoch"] + 1, row[key]) for row in history if key in row]
            if points:
                axes.plot(*zip(*points, strict=True), marker=".", label=label, color=colour)
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    right.set_ylim(0, 1.03)
    figure.savefig(path, dpi=120)


def plot_confusion(path: Path, confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
    """Draw the confusion matrix, each row divided by the number of its images."""
    counts = torch.tensor(confusion, dtype=torch.float32)
    share = counts / counts.sum(dim=1, keepdim=True).clamp_min(1)
    side = max(4.0, 0.28 * len(classes) + 2)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    drawn = axes.imshow(share.numpy(), cmap="cividis", vmin=0, vmax=1)
    if len(classes) <= MAX_NUMBERED:
        for true, row in enumerate(confusion):
            for predicted, count in enumerate(row):
                ink = "black" if share[true, predicted] > 0.5 else "white"
                axes.text(
                    predicted, true, str(count), ha="center", va="center", color=ink, fontsize=8
                )
    names = [name.replace("_", " ") for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted class", ylabel="true class")
    figure.colorbar(drawn, ax=axes, shrink=0.7, label="share of the true class")
    figure.savefig(path, dpi=100)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Name the commit of the checkout the library runs from, with a plus sign when files were changed."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _processor() -> str:
    """Name the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
