"""Commands: their options, the work they do, and examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from agnet_vision.options.compose import Composed
from agnet_vision.options.fields import Options
from agnet_vision.options.validation import validate

# Name -> what it does; the module of that name in this room has the command itself.
COMMANDS = {
    "train": "train a network, test it, and write a report",
    "evaluate": "test a network on a dataset",
    "predict": "classify images, and draw where the network looked",
    "export": "write a network for other programs: ONNX, int8, torch.export, a folder to share",
    "report": "write the report of a run again, or beside a baseline",
    "demo": "open a local web page: drop an image, see the class and why",
    "prepare": "get a dataset, check it, repair it",
    "extract": "find and store the keypoints of a dataset, ahead of training",
    "faithfulness": "measure how well heat maps tell what matters",
    "study": "compare kinds of training over seeds, or runs that are there",
    "search": "look for the best network within a latency budget",
    "benchmark": "measure a part of the library",
}


@dataclass(frozen=True)
class Command:
    """A command with typed options.

    Attributes:
        schema: its options.
        call: does the work, with the checked options.
        examples: what may follow its name on the command line.
        groups: groups of which it takes a file -> what they hold.
        check: checks the options; None: by the schema alone.
        has_run_dir: whether its results go to Hydra's folder, so that ``--multirun`` makes sense.
    """

    schema: type[Options]
    call: Callable[[Any], object]
    examples: tuple[str, ...]
    groups: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Composed], Options] | None = None
    has_run_dir: bool = False

    def run(self, composed: Composed) -> None:
        """Check the options, and do the work."""
        self.call((self.check or self._check)(composed))

    def _check(self, composed: Composed) -> Options:
        return validate(self.schema, composed.values)


def load_command(name: str) -> Command:
    """Import one command, and no other."""
    command: Command = import_module(f"agnet_vision.cli.{name}").COMMAND
    return command
