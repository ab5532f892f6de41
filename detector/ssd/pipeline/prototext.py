"""Protobuf text format: read into a tree that keeps order and line numbers, edit, write again.

What config files use is understood: `field: value`, `field { ... }`, `field: { ... }`, `< ... >`, lists
`field: [a, b]`, repeated fields, optional commas and semicolons, `#` comments (dropped), adjacent strings
joined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.errors import ConfigError

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\f\v]+)|(?P<comment>\#[^\n]*)|(?P<newline>\n)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<word>[^\s{}<>\[\]:,;"'\#]+)|(?P<mark>[{}<>\[\]:,;])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class Word(str):
    """A value that stood without quotes: a number, true or false, or the name of an enum."""


@dataclass(frozen=True)
class Field:
    """One field: its name, its value (`str` quoted, `Word` unquoted, or a tuple of Fields), its 1-based
    line.
    """

    name: str
    value: str | Word | tuple[Field, ...]
    line: int = 0


Message = tuple[Field, ...]


def parse(text: str, path: str | Path | None = None) -> Message:
    """A text to its fields in order.

    Raises:
        ConfigError: with the line, where the text is not protobuf text.
    """
    tokens = list(_tokens(text, path))
    message, at = _message(tokens, 0, None, path)
    if at < len(tokens):
        raise ConfigError(f"expected a field, found {tokens[at][1]!r}.", path=path, line=tokens[at][2])
    return message


def _tokens(text: str, path) -> Iterator[tuple[str, str, int]]:
    line, at = 1, 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ConfigError(
                f"expected a closing quote, found none in {text[at : at + 30].splitlines()[0]!r}.",
                path=path,
                line=line,
            )
        if match.lastgroup == "newline":
            line += 1
        elif match.lastgroup in ("string", "word", "mark"):
            yield match.lastgroup, match.group(), line
        at = match.end()


def _message(tokens, at: int, close: str | None, path) -> tuple[Message, int]:
    fields: list[Field] = []
    opened = tokens[at - 1][2] if at else 1
    while True:
        if at >= len(tokens):
            if close:
                raise ConfigError(
                    f"expected {close!r} to close what was opened here, the file ends.",
                    path=path,
                    line=opened,
                )
            return tuple(fields), at
        kind, text, line = tokens[at]
        if text == close and kind == "mark":
            return tuple(fields), at + 1
        if kind != "word":
            raise ConfigError(f"expected the name of a field, found {text!r}.", path=path, line=line)
        at += 1
        colon = at < len(tokens) and tokens[at][1] == ":"
        at += colon
        if at < len(tokens) and tokens[at][:2] == ("mark", "["):
            at += 1
            while at < len(tokens) and tokens[at][:2] != ("mark", "]"):
                value, at = _value(tokens, at, path, text, line)
                fields.append(Field(text, value, line))
                at += at < len(tokens) and tokens[at][1] == ","
            if at >= len(tokens):
                raise ConfigError(
                    f"expected ']' after the list of {text}, the file ends.", path=path, line=line
                )
            at += 1
        else:
            if not colon and (at >= len(tokens) or tokens[at][1] not in "{<"):
                raise ConfigError(f"expected ':' or '{{' after {text}.", path=path, line=line)
            value, at = _value(tokens, at, path, text, line)
            fields.append(Field(text, value, line))
        if at < len(tokens) and tokens[at][:2] in (("mark", ","), ("mark", ";")):
            at += 1


def _value(tokens, at: int, path, name: str, line: int):
    if at >= len(tokens):
        raise ConfigError(f"expected a value for {name}, the file ends.", path=path, line=line)
    kind, text, here = tokens[at]
    if kind == "mark" and text in "{<":
        return _message(tokens, at + 1, "}" if text == "{" else ">", path)
    if kind == "word":
        return Word(text), at + 1
    if kind != "string":
        raise ConfigError(f"expected a value for {name}, found {text!r}.", path=path, line=here)
    parts = []
    while at < len(tokens) and tokens[at][0] == "string":
        parts.append(_unquoted(tokens[at][1]))
        at += 1
    return "".join(parts), at


def _unquoted(text: str) -> str:
    def one(match: re.Match) -> str:
        code = match[1]
        if code[0] in "01234567":
            return chr(int(code, 8))
        return chr(int(code[1:], 16)) if code[0] == "x" else _ESCAPES.get(code, code)

    return re.sub(r"\\([0-7]{1,3}|x[0-9a-fA-F]{1,2}|.)", one, text[1:-1])


def write(message: Message, indent: int = 0) -> str:
    """Fields to text that `parse` reads back to the same fields (comments are gone)."""
    pad, lines = "  " * indent, []
    for field in message:
        if isinstance(field.value, tuple):
            lines.append(f"{pad}{field.name} {{\n{write(field.value, indent + 1)}{pad}}}\n")
        elif isinstance(field.value, Word):
            lines.append(f"{pad}{field.name}: {field.value}\n")
        else:
            quoted = field.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            lines.append(f'{pad}{field.name}: "{quoted}"\n')
    return "".join(lines)


def replaced(message: Message, path: Sequence[str], values: Sequence[str | Word | Message]) -> Message:
    """The message with the field at this path set; missing messages on the way are made.

    All occurrences of the last name go; the new values stand where the first was, or at the end.
    """
    name, rest = path[0], path[1:]
    place = next((i for i, field in enumerate(message) if field.name == name), len(message))
    if rest:
        old = message[place].value if place < len(message) else ()
        new = [Field(name, replaced(old if isinstance(old, tuple) else (), rest, values))]
        return (*message[:place], *new, *message[place + 1 :])
    others = tuple(field for field in message[place:] if field.name != name)
    return (*message[:place], *(Field(name, value) for value in values), *others)
