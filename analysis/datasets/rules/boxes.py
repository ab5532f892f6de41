"""Rules over boxes: thin, long, as large as their image, two on one object."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.datasets.findings import Finding, Settings
from analysis.datasets.kinds import counted
from analysis.datasets.rules.places import object_place
from detector.boxes import iou as box_iou
from detector.data.dataset import Dataset

WHOLE = 0.98


def box_findings(dataset: Dataset, settings: Settings) -> list[Finding]:
    t = dataset.objects
    wide, high = (t.xyxy[:, 2] - t.xyxy[:, 0]).astype(float), (t.xyxy[:, 3] - t.xyxy[:, 1]).astype(float)
    single = ~t.crowd
    found: list[Finding] = []
    thin = np.flatnonzero(single & (np.minimum(wide, high) < 2))
    if len(thin):
        found.append(
            Finding(
                "thin box",
                "warning",
                len(thin),
                f"{counted('{n} box{es} {are}', len(thin))} less than 2 pixels wide or high.",
                "Most are slips of the mouse: look, and delete them.",
                tuple(object_place(dataset, k) for k in thin),
            )
        )
    ratio = np.maximum(wide, high) / np.maximum(np.minimum(wide, high), 1e-6)
    odd = np.flatnonzero(single & (ratio > settings.aspect) & (np.minimum(wide, high) >= 2))
    odd = odd[np.argsort(-ratio[odd], kind="stable")]
    if len(odd):
        found.append(
            Finding(
                "odd aspect ratio",
                "note",
                len(odd),
                f"{counted('{n} box{es} {are}', len(odd))} more than {settings.aspect:g} times as long as"
                " wide.",
                "Right for skis and trains; else look whether corners slipped.",
                tuple(object_place(dataset, k, f"is {ratio[k]:.1f} to 1") for k in odd),
            )
        )
    size = dataset.sizes[t.rows].astype(float)
    whole = np.flatnonzero(
        single & (size > 0).all(axis=1) & (wide >= WHOLE * size[:, 0]) & (high >= WHOLE * size[:, 1])
    )
    if len(whole):
        found.append(
            Finding(
                "box is the whole image",
                "note",
                len(whole),
                f"{counted('{n} box{es} cover{v}', len(whole))} the whole image.",
                "Right for close-ups; else the image may have been cropped, or the box be a stand-in for"
                " none.",
                tuple(object_place(dataset, k) for k in whole),
            )
        )
    twice, torn, repeats = [], [], 0
    for a, b, overlap in overlapping(dataset, settings.overlap):
        same = t.class_ids[a] == t.class_ids[b]
        words = (
            f"overlaps object {b - dataset.offsets[t.rows[b]] + 1}"
            f" ({dataset.class_map.names[t.class_ids[b]]}) with IoU {overlap:.2f}"
        )
        repeats += same and bool((t.xyxy[a] == t.xyxy[b]).all())
        (twice if same else torn).append(object_place(dataset, a, words, (b,)))
    if twice:
        found.append(
            Finding(
                "labelled twice",
                "warning",
                len(twice),
                f"{counted('{n} pair{s} of boxes of one class overlap{v}', len(twice))} by IoU"
                f" {settings.overlap:g} or more: one object, labelled twice.",
                "Delete one of each.",
                tuple(twice),
                repeats > 0,
            )
        )
    if torn:
        found.append(
            Finding(
                "two classes on one box",
                "warning",
                len(torn),
                f"{counted('{n} pair{s} of boxes of different classes overlap{v}', len(torn))} by IoU"
                f" {settings.overlap:g} or more.",
                "Decide on one, unless both are meant (a rider and a horse seen from the front).",
                tuple(torn),
            )
        )
    return found


def overlapping(dataset: Dataset, least: float) -> Iterator[tuple[int, int, float]]:
    """(a, b, IoU) of objects of one image, a < b, crowds left out, that overlap by at least this."""
    t = dataset.objects
    for i in np.flatnonzero(np.diff(dataset.offsets) > 1):
        at = np.arange(dataset.offsets[i], dataset.offsets[i + 1])
        at = at[~t.crowd[at]]
        overlap = np.triu(box_iou(t.xyxy[at], t.xyxy[at]), 1)
        for a, b in zip(*np.nonzero(overlap >= least)):
            yield int(at[a]), int(at[b]), float(overlap[a, b])
