"""Class names as files write them: blanks trimmed, look-alikes named."""

from __future__ import annotations

from collections.abc import Iterable

from detector.data.dataset import Problem


def plain_name(name: str) -> str:
    """The name without what look-alikes differ by: case, blanks, "-" and "_"."""
    return "".join(c for c in name.lower() if c not in " \t_-")


def look_alikes(names: Iterable[str], path: str) -> list[Problem]:
    """A problem for each group of names that differ only by case, blanks, "-" or "_"; they stay classes of
    their own.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(plain_name(name), []).append(name)
    return [
        Problem(
            "similar class names",
            f"{' and '.join(repr(n) for n in group)} differ only by case or blanks; they are read as"
            " different classes.",
            path,
        )
        for group in groups.values()
        if len(group) > 1
    ]
