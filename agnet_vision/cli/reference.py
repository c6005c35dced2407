"""``--help`` and the reference page, written from schemas and defaults.

``python -m agnet_vision.cli.reference`` writes the page anew.
"""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from agnet_vision.cli.command import COMMANDS, Command, load_command
from agnet_vision.options.compose import (
    Values,
    conf_folder,
    files_of,
    flatten,
    groups_of,
    read_yaml,
    tree,
)
from agnet_vision.options.fields import Option, list_options

ROOT = Path(__file__).parents[2]
MISSING = "???"
PAGE = """# Options

Every command with its options, as `agnet COMMAND --help` lists them. On the command line an option
is `name=value`; in Python it is an argument of `agnet_vision.train` or `agnet_vision.evaluate`,
groups as mappings, and `null`, `true` and `false` are `None`, `True` and `False`:

```python
agnet_vision.train("folder", "my_photos", backbone="resnet18", epochs=3, optimizer={"lr": 1e-3})
```

[Hydra](https://hydra.cc) composes the options from the files in
`conf/`, one for each command and one for each choice
from a group, and its flags work as in any of its applications:

```bash
agnet train --cfg job                                    # all options, as they would be used
agnet train --info defaults-tree                         # the files they come from
agnet train --config-dir=mine experiment=tuned           # mine/experiment/tuned.yaml
agnet train --multirun seed=0,1,2 model=full,backbone_only
agnet train --multirun seed=0,1,2 hydra/launcher=joblib  # or submitit_slurm: the cluster extra
eval "$(agnet -sc install=bash)"                         # completion by the shell
```

`run_dir` is Hydra's own folder, `hydra.run.dir`; the runs of `--multirun` are numbered in
`hydra.sweep.dir`, unless `run_dir='outputs/seeds/${seed}'` names each. A file
`mine/recipe/folder.yaml` is taken whenever `dataset=folder`: it holds what that dataset changes.

Text is taken as it is typed, so one pair of quotes for the shell is enough:
`images="my photos/a [1], b=2.jpg"`; only `${...}` refers to another option, as everywhere in
Hydra. A list is `[a,b]`, a mapping `{a: 1}`.
"""


def defaults_of(name: str) -> Values:
    """List the defaults of a command's options by their full names, references as they stand.

    Those that only some datasets or loggers have are among them.
    """
    words = ("dataset=folder",) if "dataset" in groups_of(name) else ()
    content: Any = OmegaConf.to_container(tree(name, words))
    defaults = flatten(content, short=False)
    for group in ("dataset", "logger"):
        if group in groups_of(name):
            for path in sorted((conf_folder() / group).rglob("*.yaml")):
                values = flatten({group: read_yaml(path)}, short=False)
                defaults = {**values, **defaults}
    if words:
        entries = read_yaml(conf_folder() / f"{name}.yaml")["defaults"]
        defaults["dataset.name"] = next(each["dataset"] for each in entries if "dataset" in each)
    return defaults


def help_text(name: str, command: Command, program: str) -> str:
    """Say what a command does and takes."""
    width = max(shutil.get_terminal_size((100, 24)).columns, 60)
    lines = [f"usage: {program} [name=value ...]", "", _title(name), "", "examples:"]
    lines += [f"  {program} {example}".rstrip() for example in command.examples]
    if command.groups:
        lines += ["", "groups, of which a file is chosen (--config-dir=FOLDER adds yours):"]
        for group, what in command.groups.items():
            lines += _hanging(f"  {group:12}", f"{what}: {' | '.join(files_of(group))}", width)
    lines += ["", "options:"]
    defaults = defaults_of(name)
    for option in list_options(command.schema):
        default = _written(defaults.get(option.name))
        lines += _hanging(f"  {option.name}={default}".ljust(34) + "  ", option.rule, width)
        lines += _hanging("      ", _sentence(option), width)
    lines += [
        "",
        "--cfg job shows all of them as they would be used, --info defaults-tree the files",
    ]
    lines += ["they come from; --hydra-help lists what else Hydra takes."]
    return "\n".join(line.rstrip() for line in lines)


def _title(name: str) -> str:
    what = COMMANDS[name]
    return f"{what[0].upper()}{what[1:]}."


def _hanging(start: str, text: str, width: int) -> list[str]:
    """Wrap a text, its lines beginning below each other."""
    wrapped = textwrap.wrap(text, width - len(start), break_on_hyphens=False) or [""]
    return [start + wrapped[0], *(" " * len(start) + line for line in wrapped[1:])]


def _sentence(option: Option) -> str:
    only = f" (dataset={'|'.join(option.only)})" if option.only else ""
    return f"{option.description}{only}"


def _written(value: Any) -> str:
    """Write a default as in YAML, on one line; ``...`` where there is none."""
    if value == MISSING:
        return "..."
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
        if command.groups:
            rows = "".join(
                f"| `{group}=` | {', '.join(f'`{each}`' for each in files_of(group))} | {what} |\n"
                for group, what in command.groups.items()
            )
            parts.append(f"| group | files | |\n|---|---|---|\n{rows}")
        defaults = defaults_of(name)
        rows = "".join(
            _row(option, defaults.get(option.name)) for option in list_options(command.schema)
        )
        parts.append(f"| option | what it may be | default | |\n|---|---|---|---|\n{rows}")
    return "\n".join(parts)


def _row(option: Option, value: Any) -> str:
    default = "required" if value == MISSING else f"`{_written(value)}`"
    cells = (f"`{option.name}`", option.rule, default, _sentence(option))
    return f"| {' | '.join(map(_cell, cells))} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page of this checkout anew."""
    (ROOT / "docs" / "options.md").write_text(reference_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
