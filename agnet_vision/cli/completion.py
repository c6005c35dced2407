"""Completion of commands and options in bash: ``source <(agnet --completion)``."""

from __future__ import annotations

from agnet_vision.cli.command import COMMANDS, load_command
from agnet_vision.options.fields import list_options

SCRIPT = """_agnet() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD - 1]}}" names
  case "$word $before" in "= "*|*" =") return ;; esac  # a value: files
  if [ "$COMP_CWORD" = 1 ]; then
    names="{commands} --help --version"
  else
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
  fi
  COMPREPLY=($(compgen -W "$names" -- "$word"))
}}
complete -o default -o nospace -F _agnet agnet
"""


def bash_script() -> str:
    """Write the function that bash calls when Tab is pressed."""
    cases = []
    for name in COMMANDS:
        if name == "benchmark":  # its parts have options of their own
            continue
        command = load_command(name)
        options = [option.name for option in list_options(command.schema)]
        names = [f"{option}=" for option in (*command.layers, *options)]
        cases.append(f'      {name}) names="{" ".join([*names, "--help"])}" ;;')
    return SCRIPT.format(commands=" ".join(COMMANDS), cases="\n".join(cases))
