"""Strict YAML to frozen configs: an unknown key, a wrong type or a key written twice is an error with its
line.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import types
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from detector.errors import ConfigError, reason_of


class Config(BaseModel):
    """Base of every config: unknown keys are refused, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


C = TypeVar("C", bound=BaseModel)


def load_config(path: str | Path, schema: type[C]) -> C:
    """Read a YAML file into this schema.

    Raises:
        ConfigError: with file and line: unreadable, not YAML, unknown or repeated key, missing or wrong
            value.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected a YAML file: {reason_of(error)}.", path=path) from error
    return parse_config(text, schema, path)


def parse_config(text: str, schema: type[C], path: str | Path = "config") -> C:
    """The same from text; `path` is only named in errors. An empty text is an empty mapping."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_repeated_keys(root, path)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(
            f"expected YAML: {what}.", path=path, line=mark.line + 1 if mark else None
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"expected YAML: {error}.", path=path) from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"expected keys and values, found a {type(values).__name__}.", path=path, line=1)
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(
            f"{where}: {_say(first, schema)}{more}.", path=path, line=_line(root, first["loc"])
        ) from error


def stable_hash(config: BaseModel) -> str:
    """64 hex digits that are the same for equal configs, in every process and on every machine."""
    text = json.dumps(
        config.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True
    )
    return hashlib.sha256(text.encode()).hexdigest()


def checked(name: str, value: Any, hint: Any) -> Any:
    """`value` as the annotation says; an int passes for a float, a list for a tuple, True never for a
    number.
    """
    if get_origin(hint) in (Union, types.UnionType):
        options = get_args(hint)
        if value is None and type(None) in options:
            return None
        hint = next(o for o in options if o is not type(None))
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        free = len(inner) == 2 and inner[1] is Ellipsis
        if not isinstance(value, (list, tuple)) or (not free and len(value) != len(inner)):
            want = "a list" if free else f"a list of {len(inner)}"
            raise ConfigError(f"{name}: expected {want}, got {value!r}.")
        return tuple(checked(name, v, inner[0]) for v in value)
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    number = hint is float and isinstance(value, int)
    if not (isinstance(value, hint) or number) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{name}: expected {words[hint]}, got {value!r}.")
    return float(value) if hint is float else value


def _refuse_repeated_keys(node: yaml.Node | None, path: str | Path) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigError(
                    f"{key.value!r} is written twice, first in line {seen[key.value]}.", path=path, line=line
                )
            seen[key.value] = line
            _refuse_repeated_keys(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _refuse_repeated_keys(child, path)


def _line(node: yaml.Node | None, loc: tuple) -> int | None:
    """1-based line of the deepest part of `loc` that the file holds."""
    line = node.start_mark.line + 1 if node else None
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                continue  # pydantic puts names of union members and of checks into loc
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _say(error: dict[str, Any], schema: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        known = _keys_at(schema, error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1, cutoff=0.6)
        hint = (
            f"; did you mean {near[0]!r}?" if near else (f"; known are {', '.join(known)}" if known else "")
        )
        return f"unknown key{hint}"
    if error["type"] == "missing":
        return "this key is missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"{message[:1].lower()}{message[1:]}" + (
        "" if isinstance(error["input"], dict) else f", got {error['input']!r}"
    )


def _keys_at(schema: Any, loc: tuple) -> list[str]:
    """The keys a nested schema knows at this place, as far as it can be followed."""
    for part in loc:
        fields = getattr(schema, "model_fields", {})
        if part in fields:
            schema = fields[part].annotation
        inner = [
            a for a in getattr(schema, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)
        ]
        if inner:
            schema = inner[0]
    return sorted(getattr(schema, "model_fields", {}))
