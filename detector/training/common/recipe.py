"""What every recipe can do, whichever network it trains: be changed, written as plain values and read
back.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, get_type_hints

from pydantic import create_model

from detector.config import Config, load_config
from detector.errors import ConfigError


class Recipe:
    """Base of the frozen recipe dataclasses, which have `steps`, `evaluate_every` and `checkpoint_every`."""

    called: ClassVar[str] = "a training recipe"
    """What a message calls it."""
    steps: int
    evaluate_every: int | None
    checkpoint_every: int | None

    @property
    def hash(self) -> str:
        """16 hex digits over what decides the result."""
        raise NotImplementedError

    def resolved(self) -> Self:
        """The same with absolute paths, so that it can be run again from another folder."""
        raise NotImplementedError

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """A recipe from a YAML file; relative paths in it are taken from the working folder.

        Raises:
            ConfigError: with file and line where one can be named.
        """
        return cls.from_dict(load_config(path, cls.schema()).model_dump(), path)

    @classmethod
    def schema(cls) -> type[Config]:
        """The keys of the file, with their types and defaults."""
        hints = get_type_hints(cls)
        keys: dict[str, Any] = {f.name: (hints[f.name], f.default) for f in fields(cls)}
        return create_model("recipe", __base__=Config, **keys)

    @property
    def evaluation_interval(self) -> int:
        """Steps between two evaluations: a tenth of all, at least 50 (a short training is judged at its
        end).
        """
        return self.evaluate_every or max(self.steps // 10, min(50, self.steps))

    @property
    def checkpoint_interval(self) -> int:
        """Steps between two checkpoints: a twentieth of all, at least 10."""
        return self.checkpoint_every or max(self.steps // 20, min(10, self.steps))

    def with_(self, **changes: Any) -> Self:
        """A copy with these fields changed."""
        return replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` takes and YAML can hold."""

        def plain(value: Any) -> Any:
            if isinstance(value, tuple):
                return [plain(v) for v in value]
            return asdict(value) if is_dataclass(value) else value

        return {f.name: plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], path: str | Path | None = None) -> Self:
        """A recipe from plain values; `path` is the file they came from, for messages.

        Raises:
            ConfigError: an unknown key (the message offers the nearest), or as the class.
        """
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
                raise ConfigError(f"{cls.called} has no key {key!r}; {hint}", path=path)
        try:
            return cls(**values)
        except ConfigError as error:
            raise ConfigError(error.message, path=path or error.path, line=error.line) from None
