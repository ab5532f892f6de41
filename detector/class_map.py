"""Class names and the ids that outside files give them."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable
from dataclasses import dataclass

from detector.errors import InputError


@dataclass(frozen=True)
class ClassMap:
    """Class names, and the sparse ids of the outside world, which stop here.

    Args:
        names: K distinct names; the class id used everywhere inside is the position, 0..K-1.
        external_ids: K distinct integers as the outside file writes them (COCO 1..90 with gaps,
            label_map.pbtxt from 1). Without them the position itself.

    Raises:
        InputError: names or ids repeat, are empty, or differ in number.
    """

    names: tuple[str, ...]
    external_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.names)
        ids = tuple(int(i) for i in self.external_ids) or tuple(range(len(names)))
        if len(ids) != len(names):
            raise InputError(
                f"ClassMap: expected one external id a name, got {len(names)} names and {len(ids)} ids."
            )
        for what, values in (("name", names), ("external id", ids)):
            seen: set = set()
            for value in values:
                if value in seen:
                    raise InputError(f"ClassMap: expected distinct {what}s, {value!r} occurs twice.")
                seen.add(value)
        if any(not name.strip() for name in names):
            raise InputError("ClassMap: expected a name for every class, one is blank.")
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "external_ids", ids)

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    @functools.cached_property
    def _from(self) -> dict[int, int]:
        return {e: i for i, e in enumerate(self.external_ids)}

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def index(self, name: str) -> int:
        """The class id 0..K-1 of a name.

        Raises:
            InputError: no class has this name; the message offers the nearest ones.
        """
        if name in self._index:
            return self._index[name]

        near = difflib.get_close_matches(str(name), self.names, n=3, cutoff=0.5)
        hint = (
            f"did you mean {', '.join(near)}?"
            if near
            else f"known are {', '.join(self.names[:8])}{', ...' if len(self) > 8 else ''}."
        )
        raise InputError(f"No class is named {name!r}; {hint}")

    def indices(self, names: Iterable[str] | None) -> list[int]:
        """Class ids of several names; None means all."""
        return list(range(len(self))) if names is None else [self.index(name) for name in names]

    def from_external(self, external_id: int) -> int | None:
        """The class id of an outside id, or None where the map does not hold it."""
        return self._from.get(int(external_id))

    def to_external(self, class_id: int) -> int:
        return self.external_ids[class_id]
