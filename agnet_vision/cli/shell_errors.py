"""The library's errors as single lines in shell words."""

from __future__ import annotations

import ast
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agnet_vision.errors import FULL, AGNetError, Stopped

CALL = re.compile(
    r"agnet_vision\.(train|evaluate)\(((?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^'\")])*)\)"
)
SETTING = re.compile(r"\b([a-z_][\w.]*)=(True|False|None)\b")
SHELL_WORDS = {"True": "true", "False": "false", "None": "null"}


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print a user's mistake to stderr without a traceback.

    Exits with 1; after Ctrl-C with 130, after another signal with 128 and its number.
    """
    try:
        yield
    except AGNetError as error:
        sys.exit(f"error: {in_shell_words(error)}")
    except KeyboardInterrupt as stop:
        advice = f"; {translate(str(stop))}" if str(stop) else ""
        print(f"interrupted; what was saved stays saved{advice}", file=sys.stderr)
        sys.exit(128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT))
    except BrokenPipeError:  # whoever reads our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (PermissionError, NotADirectoryError, IsADirectoryError) as error:
        sys.exit(f"error: {error}; name another place")
    except OSError as error:
        if error.errno not in FULL:
            raise
        place = error.filename or "while writing"
        sys.exit(f"error: the disk is full ({place}); free some space and start again")


def in_shell_words(error: AGNetError) -> str:
    """Say an error in the words of a command line."""
    validation = sys.modules.get("agnet_vision.options.validation")
    if validation is None:  # nothing was validated: packages may be missing
        return translate(str(error))
    if isinstance(error, validation.OptionError):
        rule = in_shell_rule(error.rule)
        return f"{error.name} must be {rule}, got {shell_value(error.value)}{error.hint}"
    if isinstance(error, validation.UnknownOption):
        return f"{error}{'' if str(error).endswith('?') else ';'} --help lists all"
    return translate(str(error))


def in_shell_rule(rule: str) -> str:
    """Say what an option must be as it is typed."""
    return rule.replace("True or False", "true or false").replace("None", "null")


def translate(text: str) -> str:
    """Write the Python in a message as a command line."""
    text = CALL.sub(lambda found: as_command(found[1], found[2]), text)
    return SETTING.sub(lambda found: f"{found[1]}={SHELL_WORDS[found[2]]}", text)


def as_command(name: str, arguments: str) -> str:
    """Write a call such as ``train(resume=True)`` as a command line."""
    call = ast.parse(f"f({arguments})", mode="eval").body
    assert isinstance(call, ast.Call)
    words = [
        f"{each.arg}={shell_value(ast.literal_eval(each.value), '')}" for each in call.keywords
    ]
    return f"{program(name)} {shlex.join(words)}"


def program(command: str) -> str:
    """Return how the user calls a command.

    Uses the form of the current command.
    """
    started = sys.argv[0] if sys.argv else ""
    if started.endswith(".py") and "tools" in started:
        return f"python tools/{DOORS.get(command, command)}.py"
    return f"agnet {command}"


# Commands whose file in tools/ has another name.
DOORS = {"prepare": "prepare_dataset", "extract": "extract_regions"}


def shell_value(value: Any, quote: str = "'") -> str:
    """Write a value as typed, text between ``quote``."""
    if value is None or isinstance(value, bool):
        return SHELL_WORDS[str(value)]
    return f"{quote}{value}{quote}" if isinstance(value, str) else str(value)
