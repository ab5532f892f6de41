"""Typed reading of protobuf text: values with defaults, expected values, and nothing overlooked."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any, NoReturn

from detector.errors import ConfigError
from detector.ssd.pipeline.prototext import Message, Word


class Reader:
    """One message of a config file. It remembers which fields were asked for, so that `no_more` can name the
    rest.

    Args:
        message: the fields; a missing message reads as an empty one, all defaults.
        path: the file, for errors.
        name: dotted path of this message, for errors.
        line: where it stands.
    """

    def __init__(
        self, message: Message, path: str | os.PathLike | None = None, name: str = "", line: int | None = None
    ):
        self._message, self._path, self.dotted, self._line = message, path, name, line
        self._asked: set[str] = set()

    @property
    def name(self) -> str:
        return self.dotted.rsplit(".", 1)[-1]

    def fail(self, field: str, why: str) -> NoReturn:
        line = next((f.line for f in self._message if f.name == field), self._line)
        raise ConfigError(f"{self._join(field)}: {why}.", path=self._path, line=line or None)

    def _join(self, field: str) -> str:
        return f"{self.dotted}.{field}" if self.dotted else field

    def has(self, field: str) -> bool:
        return any(f.name == field for f in self._message)

    def ignore(self, *fields: str) -> None:
        """These fields are known and change nothing here."""
        self._asked.update(fields)

    def no_more(self, why: str) -> None:
        """Refuse the first field nobody asked for."""
        for field in self._message:
            if field.name not in self._asked:
                self.fail(field.name, f"this field is not supported; {why}")

    def sections(self, field: str) -> list[Reader]:
        self._asked.add(field)
        found = []
        for f in self._message:
            if f.name == field:
                if not isinstance(f.value, tuple):
                    self.fail(field, f"expected {{ ... }}, got {f.value!r}")
                found.append(Reader(f.value, self._path, self._join(field), f.line))
        return found

    def section(self, field: str, *, required: bool = False) -> Reader:
        """The sub-message; several of the same name are one, as protobuf merges them."""
        found = self.sections(field)
        if not found:
            if required:
                self.fail(field, "expected this section, it is missing")
            return Reader((), self._path, self._join(field), self._line)
        return Reader(sum((f._message for f in found), ()), self._path, self._join(field), found[0]._line)

    def children(self) -> Iterator[Reader]:
        """Every sub-message in order."""
        for f in self._message:
            if isinstance(f.value, tuple):
                yield Reader(f.value, self._path, self._join(f.name), f.line)

    def plain(self) -> dict[str, Any]:
        """All fields as Python values; a repeated field is a list."""
        out: dict[str, Any] = {}
        for f in self._message:
            value = (
                Reader(f.value, self._path, self._join(f.name), f.line).plain()
                if isinstance(f.value, tuple)
                else _guess(f.value)
            )
            if f.name in out:
                out[f.name] = [*out[f.name], value] if isinstance(out[f.name], list) else [out[f.name], value]
            else:
                out[f.name] = value
        return out

    def _values(self, field: str) -> list[str]:
        self._asked.add(field)
        values = [f.value for f in self._message if f.name == field]
        if any(isinstance(v, tuple) for v in values):
            self.fail(field, "expected a value, got { ... }")
        return values

    def _last(self, field: str, default: Any, required: bool) -> Any:
        values = self._values(field)
        if not values and required:
            self.fail(field, "expected this field, it is missing")
        return values[-1] if values else default

    def text(self, field: str, default: str | None = None, *, required: bool = False) -> str:
        return self._last(field, default, required)

    def texts(self, field: str) -> list[str]:
        return self._values(field)

    def number(self, field: str, default: float | None = None, *, required: bool = False) -> float:
        return self._number(field, self._last(field, default, required))

    def numbers(self, field: str) -> list[float]:
        return [self._number(field, value) for value in self._values(field)]

    def integer(self, field: str, default: int | None = None, *, required: bool = False) -> int:
        value = self.number(field, default, required=required)
        if value != int(value) or value < 0:
            self.fail(field, f"expected a whole number of 0 and more, got {value:g}")
        return int(value)

    def flag(self, field: str, default: bool) -> bool:
        value = self._last(field, default, False)
        if isinstance(value, bool):
            return value
        if value not in ("true", "false", "True", "False", "t", "f", "0", "1"):
            self.fail(field, f"expected true or false, got {value!r}")
        return value in ("true", "True", "t", "1")

    def expect(self, field: str, wanted: Any, *, default: Any) -> None:
        """Refuse any value but this one; the protobuf default counts where the field is missing."""
        if isinstance(wanted, bool):
            got: Any = self.flag(field, default)
        elif isinstance(wanted, (int, float)):
            got = self.number(field, default)
        else:
            got = self.text(field, default)
        if got != wanted:
            said = "is" if self.has(field) else "is by default"
            self.fail(field, f"this {said} {_shown(got)}, only {_shown(wanted)} is supported")

    def _number(self, field: str, value: Any) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        try:
            number = float(value.rstrip("fF")) if isinstance(value, Word) else math.nan
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.fail(field, f"expected a number, got {value!r}")
        return number


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def _guess(value: str) -> Any:
    if not isinstance(value, Word):
        return value
    if value in ("true", "false"):
        return value == "true"
    try:
        return int(value)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError:
        return str(value)
