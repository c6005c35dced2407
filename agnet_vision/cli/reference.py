"""``--help``, reference page and ``conf/train.yaml``, written from the schemas.

``python -m agnet_vision.cli.reference`` writes the last two anew.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from agnet_vision.cli.command import COMMANDS, Command, load_command
from agnet_vision.cli.shell_errors import in_shell_rule
from agnet_vision.options.fields import Option, list_options
from agnet_vision.options.run import TrainConfig

ROOT = Path(__file__).parents[2]
HEADER = """# Every option of training with its default, written from its schema.
# docs/options.md says more of each.
#
# To change some for good, put them into a file of your own and say experiment=mine.yaml; on the
# command line:
#
#   agnet train dataset=stanford40 backbone=resnet50 epochs=30 optimizer.lr=0.001
#
# A recipe (conf/recipe, for dataset=) or an experiment may change any of them; the command line
# wins over all files.
"""
PAGE = """# Options

Every command with its options, as `agnet COMMAND --help` lists them. On the command line an option
is `name=value`; in Python it is an argument of `agnet_vision.train` or `agnet_vision.evaluate`,
groups as mappings, and `null`, `true` and `false` are `None`, `True` and `False`:

```python
agnet_vision.train("folder", "my_photos", backbone="resnet18", epochs=3, optimizer={"lr": 1e-3})
```

Text is taken as it is typed, so one pair of quotes for the shell is enough:
`images="my photos/a [1], b=2.jpg"`. A list is `[a,b]`, a mapping `{a: 1}`. With `--multirun`
(train, evaluate) commas part values of several runs: `seed=0,1,2`.
"""


def help_text(name: str, command: Command, program: str) -> str:
    """Say what a command does and takes."""
    width = max(shutil.get_terminal_size((100, 24)).columns, 60)
    lines = [f"usage: {program} [name=value ...]", "", _title(name), "", "examples:"]
    lines += [f"  {program} {example}".rstrip() for example in command.examples]
    if command.layers:
        lines += ["", "short names:"]
        for short, what in command.layers.items():
            lines += _hanging(f"  {short:12}", what, width)
    lines += ["", "options:"]
    for option in list_options(command.schema):
        default = "..." if option.required else _written(option.default)
        lines += _hanging(f"  {option.name}={default}".ljust(34) + "  ", _may_be(option), width)
        lines += _hanging("      ", _sentence(option), width)
    return "\n".join(line.rstrip() for line in lines)


def _title(name: str) -> str:
    what = COMMANDS[name]
    return f"{what[0].upper()}{what[1:]}."


def _hanging(start: str, text: str, width: int) -> list[str]:
    """Wrap a text, its lines beginning below each other."""
    wrapped = textwrap.wrap(text, width - len(start), break_on_hyphens=False) or [""]
    return [start + wrapped[0], *(" " * len(start) + line for line in wrapped[1:])]


def _may_be(option: Option) -> str:
    """Say what an option may be."""
    return f"{in_shell_rule(option.rule)}{', required' if option.required else ''}"


def _sentence(option: Option) -> str:
    only = f" (dataset={'|'.join(option.only)})" if option.only else ""
    return f"{option.description}{only}"


def _written(value: Any) -> str:
    """Write a value as in YAML, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).strip()
    return text.removesuffix("\n...")


def reference_page() -> str:
    """Write ``docs/options.md``."""
    parts = [PAGE]
    for name in COMMANDS:
        if name == "benchmark":  # its parts have options of their own, which they list themselves
            continue
        command = load_command(name)
        parts.append(f"## agnet {name}\n\n{_title(name)}\n")
        parts.append(
            "```bash\n"
            + "\n".join(f"agnet {name} {each}".rstrip() for each in command.examples)
            + "\n```\n"
        )
        if command.layers:
            rows = "".join(
                f"| `{short}=` | {_cell(text)} |\n" for short, text in command.layers.items()
            )
            parts.append(f"| short for | |\n|---|---|\n{rows}")
        rows = "".join(_row(option) for option in list_options(command.schema))
        parts.append(f"| option | what it may be | default | |\n|---|---|---|---|\n{rows}")
    return "\n".join(parts)


def _row(option: Option) -> str:
    default = "required" if option.required else f"`{_written(option.default)}`"
    cells = (f"`{option.name}`", in_shell_rule(option.rule), default, _sentence(option))
    return f"| {' | '.join(map(_cell, cells))} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def train_yaml() -> str:
    """Write ``conf/train.yaml``."""
    lines = list(_yaml_lines())
    column = 2 + max(len(setting) for setting, comment in lines if comment)
    text = [f"{setting:{column}}# {comment}" if comment else setting for setting, comment in lines]
    return HEADER + "\n".join(text) + "\n"


def _yaml_lines() -> Iterator[tuple[str, str]]:
    """Write the options as commented settings, with spaced groups."""
    before: list[str] = []
    for option in list_options(TrainConfig):
        if option.only:
            continue
        *groups, name = option.name.split(".")
        if groups[:1] != before[:1]:
            yield "", ""
        for depth, group in enumerate(groups):
            if groups[: depth + 1] != before[: depth + 1]:
                yield f"{'  ' * depth}{group}:", ""
        yield f"{'  ' * len(groups)}{name}: {_written(option.default)}", option.description
        before = groups


def main() -> None:
    """Write the generated files of this checkout anew."""
    (ROOT / "docs" / "options.md").write_text(reference_page(), encoding="utf-8")
    (ROOT / "conf" / "train.yaml").write_text(train_yaml(), encoding="utf-8")


if __name__ == "__main__":
    main()
