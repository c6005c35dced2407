"""The list of commands, and that each is whole."""

from __future__ import annotations

from pathlib import Path

from agnet_vision.cli.command import COMMANDS, load_command

ROOT = Path(__file__).parents[2]


def test_every_command_has_a_door() -> None:
    doors = {path.stem: path.read_text() for path in (ROOT / "tools").glob("*.py")}
    called = {text.split('run("')[1].split('"')[0] for text in doors.values()}
    assert called == set(COMMANDS)
    for text in doors.values():
        assert len(text.splitlines()) <= 6


def test_commands_are_complete() -> None:
    for name in set(COMMANDS) - {"benchmark"}:
        command = load_command(name)
        assert command.examples
        assert (ROOT / "conf" / f"{name}.yaml").is_file()
        assert set(command.groups) <= {path.name for path in (ROOT / "conf").iterdir()}
