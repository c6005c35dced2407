"""Commands: their options, the work they do, and examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agnet_vision.options.compose import Composed
    from agnet_vision.options.fields import Options

# Name -> what it does; the module of that name in this room has the command itself.
COMMANDS = {
    "train": "train a network, test it, and write a report",
    "evaluate": "test a network on a dataset, by default that of its run",
    "correct": "train the last layer again where marks say what must not count",
    "probe": "compare heads in minutes on the stored maps of a backbone that stays as it is",
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
# Group of which a command takes a file -> what its files hold.
GROUPS = {
    "dataset": "where the images come from",
    "backbone": "the network that makes the feature map; any name of timm.list_models() is one",
    "model": "the whole method, or one of the paper's ablations",
    "regions": "where regions come from: the paper's keypoints, or a control",
    "trainer": "accelerator, devices and strategy together",
    "logger": "where losses and scores are logged; several: logger=[csv,wandb]",
    "experiment": "values that other options have from the start",
}


@dataclass(frozen=True)
class Command:
    """A command with typed options.

    Attributes:
        schema: its options.
        call: does the work, with the checked options.
        examples: what may follow its name on the command line.
        check: checks the options; None: by the schema alone.
        has_run_dir: whether its results go to Hydra's folder, so that ``--multirun`` makes sense.
    """

    schema: type[Options]
    call: Callable[[Any], object]
    examples: tuple[str, ...]
    check: Callable[[Composed], Options] | None = None
    has_run_dir: bool = False

    def run(self, composed: Composed) -> None:
        """Check the options, and do the work."""
        from agnet_vision.options.validation import validate

        check = self.check
        self.call(check(composed) if check else validate(self.schema, composed.values))


def load_command(name: str) -> Command:
    """Import one command, and no other."""
    command: Command = import_module(f"agnet_vision.cli.{name}").COMMAND
    return command
