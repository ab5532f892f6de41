"""One class map for a data set and a detector that name their classes differently.

The data set's classes come first and keep their ids; the detector's classes whose name the data set lacks
follow. Names are matched as they are, then without regard to case, blanks, underscores and hyphens, then
by the groups of `configs/class_aliases.yaml` (Pascal VOC says aeroplane where COCO says airplane).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from detector.core import Annotations, ClassMap, Detections
from detector.errors import ConfigError, InputError
from detector.paths import CONFIGS

ALIASES_FILE = CONFIGS / "class_aliases.yaml"


def normalise_name(name: str) -> str:
    """A name without case, blanks, underscores and hyphens: "Traffic_Light" gives "trafficlight"."""
    return re.sub(r"[\s_\-]+", "", str(name)).casefold()


@dataclass(frozen=True, slots=True)
class ClassLink:
    """How one class of the detector came to its id in the unified map.

    Args:
        detector: the name the detector uses.
        dataset: the data set's name for it, or None where the data set lacks it.
        class_id: its id in the unified map.
        how: "same", "spelling" (case, blanks, underscores), "alias", or "new" (the data set lacks it).
    """

    detector: str
    dataset: str | None
    class_id: int
    how: str


@dataclass(frozen=True, eq=False)
class UnifiedClasses:
    """The class map of a run and the way the detector's ids lead into it.

    Args:
        class_map: the data set's classes, then the detector's classes it lacks.
        from_detector: int32 [K of the detector], detector class id -> unified id. One to one.
        links: one per detector class, in its order.
    """

    class_map: ClassMap
    from_detector: np.ndarray
    links: tuple[ClassLink, ...]

    @property
    def shared(self) -> int:
        """How many classes both sides know."""
        return sum(link.dataset is not None for link in self.links)


@lru_cache(maxsize=8)
def load_aliases(path: str | Path = ALIASES_FILE) -> tuple[tuple[str, ...], ...]:
    """The groups of names that mean the same class.

    Raises:
        ConfigError: the file is missing, is not a list of lists of names, or puts one name in two groups.
    """
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or []
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"The class aliases cannot be read ({error}).", path=path) from error
    if not isinstance(content, list) or not all(
        isinstance(group, list) and len(group) > 1 and all(isinstance(name, str) for name in group)
        for group in content
    ):
        raise ConfigError(
            "Expected a list of groups of two or more names, such as [airplane, aeroplane].", path=path
        )
    seen: dict[str, int] = {}
    for i, group in enumerate(content):
        for name in group:
            if seen.setdefault(normalise_name(name), i) != i:
                raise ConfigError(
                    f"{name!r} stands in two groups; a name can mean only one class.", path=path
                )
    return tuple(tuple(group) for group in content)


def unify(
    dataset: ClassMap, detector: ClassMap, aliases: Iterable[Sequence[str]] | None = None
) -> UnifiedClasses:
    """One class map for both. Law: unifying a map with itself gives that map and the identity.

    Every detector class goes to its own unified class: where two would fit the same class of the data set,
    the better fit (same, then spelling, then alias, then the earlier one) gets it and the other stays apart.

    Args:
        dataset: the data set's classes; empty for pictures without labels.
        detector: the detector's classes.
        aliases: groups of names that mean the same; those of `configs/class_aliases.yaml` where None.
    """
    groups = load_aliases() if aliases is None else aliases
    group_of = {normalise_name(name): i for i, group in enumerate(groups) for name in group}

    def alias_key(name: str) -> object:
        return group_of.get(normalise_name(name), name)

    taken: dict[int, int] = {}
    how: dict[int, str] = {}
    for word, key in (("same", str), ("spelling", normalise_name), ("alias", alias_key)):
        places: dict[object, list[int]] = {}
        for i, name in enumerate(dataset.names):
            if i not in taken.values():
                places.setdefault(key(name), []).append(i)
        for k, name in enumerate(detector.names):
            if k not in taken and (free := places.get(key(name))):
                taken[k], how[k] = free.pop(0), word

    names, ids = list(dataset.names), list(dataset.external_ids)
    used = set(ids)
    links, to = [], np.zeros(len(detector), np.int32)
    for k, name in enumerate(detector.names):
        if k in taken:
            to[k] = taken[k]
            links.append(ClassLink(name, dataset.names[taken[k]], taken[k], how[k]))
            continue
        outside = detector.external_ids[k]
        if outside in used:
            outside = max(max(used), max(detector.external_ids)) + 1
        used.add(outside)
        to[k] = len(names)
        links.append(ClassLink(name, None, len(names), "new"))
        names.append(name)
        ids.append(outside)
    to.setflags(write=False)
    return UnifiedClasses(ClassMap(tuple(names), tuple(ids)), to, tuple(links))


@dataclass(frozen=True, eq=False)
class OneLabelSpace:
    """Detections and ground truth whose class numbers mean the same.

    Args:
        detections, truth: in the order they were given; None stays None.
        class_map: the classes they count, None where neither side says.
        unified: how the detector's classes came into it; None where nothing had to be joined.
    """

    detections: list[Detections]
    truth: list[Annotations | None]
    class_map: ClassMap | None
    unified: UnifiedClasses | None = None


def one_label_space(
    detections: Sequence[Detections], truth: Sequence[Annotations | None], class_map: ClassMap | None = None
) -> OneLabelSpace:
    """Class numbers matched by name, as a run does it: the data set's classes first, then those it lacks.

    Args:
        class_map: the classes of whatever does not say its own.

    Raises:
        InputError: detections (or annotations) of several class maps.
    """
    mine = _only_map([d.class_map for d in detections], "detections") or class_map
    theirs = _only_map([a.class_map for a in truth if a is not None], "annotations") or class_map
    if mine is None or theirs is None or mine.names == theirs.names:
        return OneLabelSpace(list(detections), list(truth), theirs or mine)
    unified = unify(theirs, mine)
    moved = [
        replace(d, class_ids=unified.from_detector[d.class_ids], class_map=unified.class_map)
        for d in detections
    ]
    return OneLabelSpace(moved, list(truth), unified.class_map, unified)


def _only_map(maps: Sequence[ClassMap | None], what: str) -> ClassMap | None:
    known = {m.names: m for m in maps if m is not None}
    if len(known) > 1:
        first, second = list(known.values())[:2]
        raise InputError(
            f"expected {what} of one list of classes, got {len(first)} classes ({first.names[0]}, ...) and"
            f" {len(second)} ({second.names[0]}, ...)."
        )
    return next(iter(known.values()), None)
