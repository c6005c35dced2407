"""``--help`` and the page of options, written from schemas and defaults.

``python -m agnet_vision.cli.reference`` writes the page anew.
"""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from agnet_vision.cli.command import COMMANDS, GROUPS, load_command
from agnet_vision.options.compose import (
    Values,
    conf_folder,
    files_of,
    groups_of,
    leaves,
    tree,
)
from agnet_vision.options.fields import list_options
from agnet_vision.options.validation import look_up

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "options.md"
END = """
--cfg job shows all of them as they would be used, --info defaults-tree the files
they come from; --hydra-help lists what else Hydra takes."""


def defaults_of(name: str) -> Values:
    """List the defaults of a command's options by their full names, references as they stand.

    Those that only some datasets or loggers have are among them, those of the demo's recipe not.
    """
    has_dataset = "dataset" in groups_of(name)
    content: Any = OmegaConf.to_container(tree(name, ("dataset=folder",) if has_dataset else ()))
    defaults = dict(leaves(content))
    for group in ("dataset", "logger"):
        for path in (conf_folder() / group).rglob("*.yaml"):
            own: Any = OmegaConf.to_container(OmegaConf.load(path))
            defaults = {**dict(leaves({group: own})), **defaults}
    if has_dataset:
        chosen: Any = OmegaConf.to_container(tree(name, ()))
        defaults["dataset.name"] = look_up(chosen, "dataset.name")
    return defaults


def help_text(name: str, width: int | None = None) -> str:
    """Say what a command does and takes, in lines as wide as the terminal or as ``width`` says."""
    width = width or max(shutil.get_terminal_size((100, 24)).columns, 60)
    command, what = load_command(name), COMMANDS[name]
    lines = [f"usage: agnet {name} [name=value ...]", "", f"{what[0].upper()}{what[1:]}.", ""]
    lines += ["examples:", *(f"  agnet {name} {example}" for example in command.examples), ""]

    groups = groups_of(name)
    if groups:
        lines += ["groups, of which a file is chosen (--config-dir=FOLDER adds yours):"]
        for group in groups:
            files = " | ".join(files_of(group))
            lines += _hanging(f"  {group:12}", f"{GROUPS[group]}: {files}", width)
        lines += [""]

    lines += ["options:"]
    defaults = defaults_of(name)
    for option in list_options(command.schema):
        default = _written(defaults.get(option.name))
        lines += _hanging(f"  {option.name}={default}".ljust(34) + "  ", option.rule, width)
        only = f" (dataset={'|'.join(option.only)})" if option.only else ""
        lines += _hanging("      ", option.description + only, width)
    return "\n".join(line.rstrip() for line in [*lines, *END.splitlines()])


def _hanging(start: str, text: str, width: int) -> list[str]:
    """Wrap a text behind its start, the further lines below its own."""
    first, *others = textwrap.wrap(text, width - len(start), break_on_hyphens=False)
    return [start + first, *(" " * len(start) + line for line in others)]


def _written(value: Any) -> str:
    """Write a default as in YAML, on one line; ``...`` where there is none."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return "..." if value == "???" else text.removesuffix("\n...\n").strip()


def reference_page() -> str:
    """Write the commands' part of ``docs/options.md`` anew, below what the page begins with."""
    first = f"## agnet {next(iter(COMMANDS))}\n"
    parts = [PAGE.read_text(encoding="utf-8").partition(first)[0]]
    for name in COMMANDS:
        if name != "benchmark":  # its parts list options of their own
            text = help_text(name, width=100).removesuffix(END)
            parts.append(f"## agnet {name}\n\n```text\n{text}\n```\n\n")
    return "".join(parts).rstrip("\n") + "\n"


if __name__ == "__main__":
    PAGE.write_text(reference_page(), encoding="utf-8")
