"""Marks that are clicked on the page, and the corrections they lead to; nothing of Gradio here."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable
from copy import deepcopy
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agnet_vision.data.image import read_image
from agnet_vision.data.sources.listing import image_name
from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.correction_report import centered, change_figure
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.explain.overlays import THEMES, draw_image, outline_box, paint_evidence
from agnet_vision.explain.suspects import Suspect, find_suspects
from agnet_vision.models.agnet import AGNet
from agnet_vision.options.resolve import correction_options
from agnet_vision.training.correct import Correction, CorrectionWarning
from agnet_vision.training.last_layer import Layer
from agnet_vision.training.opened_run import OpenedRun
from agnet_vision.training.run_dir import locked_run_dir

LOOKED_AT = 200  # training images whose evidence is looked at
OFFERED = 40  # of these, the most concentrated
COMPARED = 6  # images before and after
SIDE, DPI = 480, 100  # of a drawing, in pixels
LINES = {"no": "#FFFFFF", "yes": "#56D364"}

Pixels = UInt8[np.ndarray, "height width 3"]


class Mark(NamedTuple):
    """A mark of an image: its number among the suspects, a box in fractions, and what it says."""

    number: int
    box: tuple[float, float, float, float]
    look: str


class Correcting:
    """A run, marks on its training images, and the last correction made of them.

    Args:
        checkpoint: folder or checkpoint of the run, which stays as it is.
        device: where the network runs.

    Raises:
        AGNetError: it is of no run, or its images are not there.
    """

    def __init__(self, checkpoint: str, device: str) -> None:
        self._temporary = TemporaryDirectory(prefix="agnet_correct_")
        self._options = {"checkpoint": checkpoint, "workers": 0, "device": device}
        self.marks: list[Mark] = []
        self._fitted: list[Mark] = []  # those of the last correction
        self._explain = lru_cache(maxsize=OFFERED)(self._explained)
        self.correction: Correction | None = None
        self.run = OpenedRun(correction_options(self._given()))
        self._network = centered(deepcopy(self.run.model)).to(self.run.device)

    @cached_property
    def suspects(self) -> list[Suspect]:
        """The training images whose evidence is most concentrated."""
        samples = self.run.table.splits["train"]
        drawn = np.random.default_rng(0).permutation(len(samples))[:LOOKED_AT]
        return find_suspects(self._network, [samples[row].path for row in drawn])[:OFFERED]

    def describe(self, number: int) -> str:
        """Say what image this is, what is known of it, and how much is marked."""
        suspect = self.suspects[number]
        given = self.run.table.classes[suspect.target]
        images = len({mark.number for mark in self.marks})
        return (
            f"**{number + 1} of {len(self.suspects)}**, {self._name(number)}, taken for {given}: "
            f"{suspect.share:.0%} of its evidence lies in one place. Marks: {len(self.marks)}, on "
            f"images: {images}."
        )

    def draw(self, number: int) -> Pixels:
        """Paint an image's evidence over it, with its marks."""
        explanation = self._explain(number)
        height, width = explanation.image.shape[:2]
        scale = SIDE / DPI / max(height, width)
        figure = Figure(figsize=(width * scale, height * scale), dpi=DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        draw_image(axes, explanation.image, explanation.frame)
        paint_evidence(explanation, axes, THEMES["light"])
        for mark in self.marks:
            if mark.number == number:
                box = np.multiply(mark.box, [width, height] * 2)
                outline_box(axes, box, LINES[mark.look], linewidth=2.5)
        axes.set_axis_off()
        return _pixels(figure)

    def click(self, number: int, column: int, row: int, look: str) -> None:
        """Mark the region at a pixel of an image's drawing."""
        explanation = self._explain(number)
        height, width = explanation.image.shape[:2]
        scale = max(height, width) / SIDE
        region = explanation.region_at(scale * column / width, scale * row / height)
        mark = Mark(number, region, look)
        if mark not in self.marks:
            self.marks.append(mark)

    def undo(self) -> int | None:
        """Take the last mark back, and return the number of its image."""
        return self.marks.pop().number if self.marks else None

    def train(self, tell: Callable[[float, str], object]) -> str:
        """Fit the last layer to the marks, and say what came of it.

        The images are read once; the next time only marked ones are.

        Args:
            tell: is told how far it is.

        Raises:
            AGNetError: there is no mark.
        """
        if not self.marks:
            raise ConfigError("there is no mark yet; click on a place of an image")
        marks = list(self.marks)
        self._write_marks(self._marks_file, marks)
        correction = Correction(
            correction_options(self._given()), RunFolder(Path(self._temporary.name)), self.run
        )
        for done, split in enumerate(("train", "augmented", "val")):
            tell(0.25 * done, f"storing images: {split}")
            getattr(self.run, split)
        tell(0.75, "storing marked images")
        correction.store()
        tell(0.9, "fitting")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CorrectionWarning)
            correction.fit()

        self.correction, self._fitted = correction, marks
        seconds = sum(correction.seconds.values())
        words = [f"**Trained again** in {seconds:.0f} s: {correction.describe()}."]
        words += [str(each.message) for each in caught if each.category is CorrectionWarning]
        return "\n\n".join(words)

    def changes(self) -> list[tuple[Pixels, str]]:
        """Draw images before and after, the marked ones first, and name the answers."""
        if self.correction is None:
            return []
        after = self._with(self.correction.chosen.layer)
        marked = dict.fromkeys(mark.number for mark in self.marks)
        shown = []
        for number in list(dict.fromkeys([*marked, *range(len(self.suspects))]))[:COMPARED]:
            first = self._explain(number)
            second = explain(after, first.image, target=first.target)
            old, new = (each.classes[int(each.probabilities.argmax())] for each in (first, second))
            boxes = [mark.box for mark in self.marks if mark.number == number]
            caption = old if old == new else f"{old}, now {new}"
            shown.append((_pixels(change_figure(first, second, boxes)), caption))
        return shown

    def save(self) -> str:
        """Write the corrected run and its marks, test it, and say where it lies."""
        if self.correction is None:
            return "Train again first."
        given = {name: value for name, value in self._given().items() if name != "run_dir"}
        config = correction_options(given)
        with locked_run_dir(Path(config.run_dir), is_new=True) as run_dir:
            marks = run_dir / "marks.csv"
            self._write_marks(marks, self._fitted)
            self.correction.config = config.model_copy(update={"marks": str(marks)})
            self.correction.folder = RunFolder(run_dir)
            self.correction.write()
            self.correction.test()
        later = "" if self.marks == self._fitted else " Marks of later are not in it: train again."
        return f"**Saved** to `{run_dir}`, marks beside it; the run before is as it was.{later}"

    def _write_marks(self, path: Path, marks: list[Mark]) -> None:
        """Write marks as ``agnet correct`` reads them."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("path", "x0", "y0", "x1", "y1", "look"))
            writer.writerows((self._name(mark.number), *mark.box, mark.look) for mark in marks)

    @property
    def _marks_file(self) -> Path:
        return Path(self._temporary.name) / "marks.csv"

    def _given(self) -> dict[str, object]:
        return {**self._options, "marks": str(self._marks_file), "run_dir": self._temporary.name}

    def _name(self, number: int) -> str:
        table = self.run.table
        return image_name(self.suspects[number].path, table.layout or table.root)

    def _explained(self, number: int) -> Explanation:
        suspect = self.suspects[number]
        return explain(self._network, read_image(suspect.path), target=suspect.target)

    def _with(self, layer: Layer) -> AGNet:
        """Copy the network with another last layer."""
        model = deepcopy(self.run.model)
        with torch.no_grad():
            model.head.classifier.linear.weight.copy_(layer.weight)
            model.head.classifier.linear.bias.copy_(layer.bias)
        return centered(model)


def _pixels(figure: Figure) -> Pixels:
    """Render a figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
