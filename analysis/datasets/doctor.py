"""What is wrong or odd with a labelled data set, found before hours are spent on training with it.

`diagnose` gathers findings, each with how grave it is, how often it occurs, one sentence, what to do, and the
places: file and line, image, boxes. The rules over boxes, classes and pictures stand in
`analysis.datasets.rules`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from analysis.datasets.anchor_reach import AnchorSet, Reach, reach
from analysis.datasets.duplicates import Copies, Look, find_copies
from analysis.datasets.kinds import SEVERITIES, counted, kind_of
from detector.core import ClassMap
from detector.data.dataset import Dataset, Problem


@dataclass(frozen=True)
class Place:
    """Where a finding occurs.

    Args:
        message: one sentence of its own.
        path, line: the file to look into, 1-based line where there is one.
        rows: the images, as positions in the data set.
        objects: the boxes, as rows of the data set's object table.
    """

    message: str
    path: str = ""
    line: int | None = None
    rows: tuple[int, ...] = ()
    objects: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self.message}" if where else self.message


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or odd.

    Args:
        kind: short machine name, e.g. "zero-area box".
        severity: one of `analysis.datasets.kinds.SEVERITIES`.
        count: how often it occurs, in what the sentence counts.
        sentence: what it is; advice: what to do.
        places: where, in the order of the data set; empty where it is about the whole.
        fixable: whether `analysis.datasets.fix` mends it in a written copy.
    """

    kind: str
    severity: str
    count: int
    sentence: str
    advice: str
    places: tuple[Place, ...] = ()
    fixable: bool = False

    @property
    def rows(self) -> list[int]:
        """The images it concerns, each once, in the order of its places."""
        return list(dict.fromkeys(i for place in self.places for i in place.rows))

    def to_dict(self, dataset: Dataset) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "severity": self.severity,
            "count": self.count,
            "sentence": self.sentence,
            "advice": self.advice,
            "fixable": self.fixable,
            "places": [
                {
                    "message": p.message,
                    "path": p.path,
                    "line": p.line,
                    "samples": [dataset.sample_ids[i] for i in p.rows],
                    "boxes": dataset.objects.xyxy[list(p.objects)].astype(float).round(2).tolist(),
                }
                for p in self.places
            ],
        }


@dataclass(frozen=True)
class Settings:
    """What the rules judge by.

    Args:
        rare: a class with fewer objects to train on than this is called rare.
        aspect: a box longer than this many times its width (or wider than its height) is called odd.
        crowded: images with more objects than this exceed the usual cap of boxes (the reference's 100).
        overlap: boxes of one image that overlap by this IoU are taken for one object labelled twice.
    """

    rare: int = 20
    aspect: float = 5.0
    crowded: int = 100
    overlap: float = 0.9


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """All findings, the gravest first, and what they were found with.

    `look`, `copies` are None and empty where no picture was read; `reach` is None where no network was
    chosen.
    """

    findings: tuple[Finding, ...]
    look: Look | None
    copies: tuple[Copies, ...]
    reach: Reach | None

    def counts(self) -> dict[str, int]:
        """Findings by severity."""
        return {severity: sum(f.severity == severity for f in self.findings) for severity in SEVERITIES}

    def find(self, kind: str) -> Finding | None:
        return next((f for f in self.findings if f.kind == kind), None)


def diagnose(
    dataset: Dataset,
    *,
    look: Look | None = None,
    anchors: AnchorSet | None = None,
    label_map: ClassMap | None = None,
    settings: Settings = Settings(),
) -> Diagnosis:
    """Look a data set over.

    Args:
        look: what reading every picture gave (`analysis.datasets.duplicates.look_at_pictures`); without it damaged
            pictures, as far as their headers do not tell, and copies stay unfound.
        anchors: of the network that is to be trained; without it nothing is said about reach and small boxes.
        label_map: classes the data should have, to compare with those it has.
    """
    from analysis.datasets import rules

    problems = list(dataset.problems)
    if look is not None:
        named = {(p.kind, p.sample_id) for p in problems}
        problems += [
            p for p in look.problems if (p.kind, p.sample_id) not in named and not _same_fault(p, named)
        ]
    copies = tuple(find_copies(dataset, look)) if look is not None else ()
    reached = reach(dataset, anchors) if anchors is not None else None
    findings = [
        *from_problems(dataset, problems),
        *rules.classes(dataset, label_map, settings),
        *rules.images(dataset, settings),
        *rules.boxes(dataset, settings),
        *rules.copies(dataset, copies),
        *(rules.reach(dataset, reached) if reached is not None else []),
    ]
    if not dataset.labelled.any():  # there is nothing to write a copy of
        findings = [replace(f, fixable=False) for f in findings]
    order = {severity: k for k, severity in enumerate(SEVERITIES)}
    return Diagnosis(tuple(sorted(findings, key=lambda f: order[f.severity])), look, copies, reached)


def _same_fault(problem: Problem, named: set[tuple[str, str | None]]) -> bool:
    """A picture that the reader called damaged is not called damaged in other words again."""
    damaged = ("missing image", "unreadable image", "truncated image")
    return problem.kind in damaged and any((kind, problem.sample_id) in named for kind in damaged)


def from_problems(dataset: Dataset, problems: Iterable[Problem]) -> list[Finding]:
    """The reader's problems, gathered by kind; those that a rule over the whole data set judges again are
    left to it.
    """
    by_kind: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_kind[problem.kind].append(problem)
    for judged_elsewhere in (
        "similar class names",
        "duplicate box",
    ):  # analysis.datasets.rules counts them itself
        by_kind.pop(judged_elsewhere, None)
    findings = []
    for name, found in by_kind.items():
        kind = kind_of(name)
        places = tuple(
            Place(
                p.message,
                p.path,
                p.line,
                (
                    (dataset.position(p.sample_id),)
                    if p.sample_id is not None and p.sample_id in dataset
                    else ()
                ),
            )
            for p in found
        )
        findings.append(
            Finding(
                name,
                kind.severity,
                len(found),
                counted(kind.sentence, len(found)),
                kind.advice,
                places,
                kind.fixable,
            )
        )
    return findings
