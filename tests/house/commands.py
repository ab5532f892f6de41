"""The commands and options of `boxscope`, as the program itself has them, and the page of the documents made
of them.

python -m tests.house.commands --write        # writes docs/commands.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from app.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "commands.md"
HEAD = """# All commands

Each command of `boxscope` with its arguments and options, written from the program itself
(`python -m tests.house.commands --write`; a test compares). What they are for, with examples, stands in the
other pages.
Every command has `--help`; `boxscope --version` prints the version, `python -m boxscope` is the same program.
`--install-completion` and `--show-completion` set up the completion of a shell.
"""


@dataclass(frozen=True)
class Command:
    """One command: its words after `boxscope`, and every spelling of its options."""

    name: str
    command: Any  # typer brings a click of its own, whose classes have no public name

    @property
    def options(self) -> set[str]:
        spellings = {"--help", "-h"}
        for parameter in self.command.params:
            if is_option(parameter):
                spellings |= {*parameter.opts, *parameter.secondary_opts}
        return spellings


def is_option(parameter: Any) -> bool:
    """Whether a parameter is an option, not an argument."""
    return parameter.param_type_name == "option"


def commands() -> dict[str, Command]:
    """Every command by its words: "detect", or "group command" of a group; "" is `boxscope` itself."""
    root = typer.main.get_command(app)
    found = {"": Command("", root)}

    def walk(group: Any, prefix: str) -> None:
        for name, command in group.commands.items():
            words = f"{prefix}{name}"
            if command.hidden:
                continue
            found[words] = Command(words, command)
            if hasattr(command, "commands"):
                walk(command, f"{words} ")

    walk(root, "")
    return found


def page() -> str:
    """The text of docs/commands.md."""
    parts = [HEAD]
    for name, command in sorted(commands().items()):
        if not name or hasattr(command.command, "commands"):
            continue
        parts.append("\n".join(_section(name, command.command)))
    return "\n".join(parts)


def _section(name: str, command: Any) -> Iterator[str]:
    yield f"## boxscope {name}\n"
    yield f"{_line(command.help)}\n"
    rows = [_row(p) for p in command.params if not getattr(p, "hidden", False)]
    if rows:
        yield "| argument or option | what it is |\n|---|---|"
        yield from rows
        yield ""


def _row(parameter: Any) -> str:
    if is_option(parameter):
        both = " / ".join(f"`{spelling}`" for spelling in [*parameter.opts, *parameter.secondary_opts])
        return f"| {both} | {_line(parameter.help)} |"
    return f"| `{(parameter.metavar or parameter.name).upper()}` | {_line(getattr(parameter, 'help', ''))} |"


def _line(text: str | None) -> str:
    """Help on one line; a bar would end a cell."""
    return re.sub(r"\s+", " ", text or "").strip().replace("|", "\\|")


def main() -> int:
    """Write the page with --write; else 1 where it is not what the program says."""
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page():
        print(
            f"{PAGE.relative_to(ROOT)} is not what the program says: python -m tests.house.commands --write"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
