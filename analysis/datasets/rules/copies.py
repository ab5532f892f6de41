"""Rules over copies and near-duplicates of images: within a split, between splits, labelled differently."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.datasets.duplicates import Copies, describe_rows
from analysis.datasets.findings import Finding, Place
from analysis.datasets.kinds import counted
from detector.data.dataset import Dataset


def _objects_of(dataset: Dataset, row: int) -> tuple:
    """An image's objects as a value that does not depend on their order: classes, crowd flags, boxes."""
    t, at = dataset.objects, slice(dataset.offsets[row], dataset.offsets[row + 1])
    objects = sorted(
        (int(c), bool(w), *map(float, b)) for c, w, b in zip(t.class_ids[at], t.crowd[at], t.xyxy[at])
    )
    return bool(dataset.labelled[row]), *objects


def same_labels(dataset: Dataset, i: int, j: int) -> bool:
    """Whether two images carry the same objects, or are both unlabelled."""
    return _objects_of(dataset, i) == _objects_of(dataset, j)


def copy_findings(dataset: Dataset, groups: Sequence[Copies]) -> list[Finding]:
    exact, near = [g for g in groups if g.kind != "near"], [g for g in groups if g.kind == "near"]

    def places(chosen: Sequence[Copies], words: str = "") -> tuple[Place, ...]:
        return tuple(
            Place(
                f"{describe_rows(dataset, g.rows)}: {words or g.kind}",
                dataset.files[g.rows[0]] or dataset.sample_ids[g.rows[0]],
                None,
                g.rows,
            )
            for g in chosen
        )

    found: list[Finding] = []

    def add(
        kind: str,
        severity: str,
        chosen: Sequence[Copies],
        sentence: str,
        advice: str,
        fixable: bool,
        words: str = "",
    ) -> None:
        if chosen:
            found.append(
                Finding(
                    kind,
                    severity,
                    len(chosen),
                    counted(sentence, len(chosen)),
                    advice,
                    places(chosen, words),
                    fixable,
                )
            )

    labels = {g: len({_objects_of(dataset, i) for i in g.rows}) for g in exact}
    add(
        "leak between splits",
        "error",
        [g for g in exact if g.leaks],
        "{n} image{s} stand{v} in more than one split, by content.",
        "Take each out of train: what was trained on cannot judge the training.",
        any(g.leaks and labels[g] < len(g.rows) for g in exact),
    )
    add(
        "near leak between splits",
        "warning",
        [g for g in near if g.leaks],
        "{n} group{s} of near-duplicates lie{v} in more than one split (perceptual hash, thumbnails"
        " compared).",
        "Look at them; frames of one scene belong into one split.",
        False,
        "near-duplicates",
    )
    add(
        "copies labelled differently",
        "warning",
        [g for g in exact if labels[g] > 1],
        "{n} image{s} occur{v} several times with different objects.",
        "Keep the better one.",
        False,
    )
    add(
        "copy",
        "warning",
        [g for g in exact if not g.leaks and labels[g] < len(g.rows)],
        "{n} image{s} occur{v} several times with the same objects, by content.",
        "Keep one.",
        True,
    )
    add(
        "near copy",
        "note",
        [g for g in near if not g.leaks],
        "{n} group{s} of near-duplicates (perceptual hash, thumbnails compared).",
        "Keep each group in one split, or keep one of it.",
        False,
        "near-duplicates",
    )
    return found
