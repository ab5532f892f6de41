"""What is wrong or odd with a labelled data set, found before hours are spent on training with it.

`diagnose` gathers findings, each with how grave it is, how often it occurs, one sentence, what to do, and the
places: file and line, image, boxes. The rules over classes, images, boxes, copies and anchors stand in
`analysis.datasets.rules`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from analysis.datasets.anchor_reach import AnchorSet, Reach, reach
from analysis.datasets.duplicates import Copies, Look, find_copies
from analysis.datasets.findings import Finding, Place, Settings
from analysis.datasets.kinds import SEVERITIES, counted, kind_of
from analysis.datasets.rules.anchors import reach_findings
from analysis.datasets.rules.boxes import box_findings
from analysis.datasets.rules.classes import class_findings
from analysis.datasets.rules.copies import copy_findings
from analysis.datasets.rules.images import image_findings
from detector.core import ClassMap
from detector.data.dataset import Dataset, Problem


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
    settings: Settings | None = None,
) -> Diagnosis:
    """Look a data set over.

    Args:
        look: what reading every picture gave (`analysis.datasets.duplicates.look_at_pictures`); without it
            damaged pictures, as far as their headers do not tell, and copies stay unfound.
        anchors: of the network that is to be trained; without it nothing is said about reach and small boxes.
        label_map: classes the data should have, to compare with those it has.
        settings: bounds of the rules; None for the defaults.
    """
    settings = settings or Settings()
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
        *class_findings(dataset, label_map, settings),
        *image_findings(dataset, settings),
        *box_findings(dataset, settings),
        *copy_findings(dataset, copies),
        *(reach_findings(dataset, reached) if reached is not None else []),
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
    ):  # rules.classes and rules.boxes count them
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
