"""Which images the gallery shows, in which order, and how many it leaves out and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.matching.match import WRONG
from analysis.queries import having, object_areas, size_mask, with_flag
from app.files.pictures import name_of
from app.frame.misses import images_with_cause

SORTS = {
    "Worst first": "most mistakes: wrong and missed together",
    "Most missed": "most missed objects (false negatives)",
    "Most wrong": "most false alarms (false positives)",
    "Surest mistake": "highest confidence of a wrong detection",
    "Best first": "fewest mistakes, most objects found",
    "Name": "by name",
    "Data set order": "as the data set lists them",
}
UNJUDGED_SORTS = {
    "Most detections": "most detections at the threshold",
    "Fewest detections": "fewest first",
    "Surest detection": "highest confidence of any detection",
    "Name": "by name",
    "Data set order": "as the data set lists them",
}
"""Where there is no ground truth, nothing is worst."""
SHOWS = ("missed", "wrong", "duplicate", "all correct")


@dataclass(frozen=True, eq=False)
class Only:
    """A set of images another page sent here: `rows` int64, positions in the run; `words` what they are."""

    words: str
    rows: np.ndarray


@dataclass(frozen=True)
class Filters:
    """What an image must have: any of `shows`, an object of any of `sizes`, of any of `flags`, be in one of
    `splits`, an object missed for any of `causes`."""

    shows: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    name: str = ""
    causes: tuple[str, ...] = ()
    only: Only | None = None


@dataclass(frozen=True, eq=False)
class Order:
    """`rows` int64, positions in the run; `left_out` reason -> number of images, in the order the filters
    act.
    """

    rows: np.ndarray
    left_out: dict[str, int]
    total: int

    @property
    def sentence(self) -> str:
        """What matches and what was left out, in Markdown."""
        out = {why: n for why, n in self.left_out.items() if n}
        text = f"**{len(self.rows):,}** of {self.total:,} images"
        return text + (" · left out: " + ", ".join(f"{n:,} {why}" for why, n in out.items()) if out else "")


def arrange(s: Any, sort: str, filters: Filters) -> Order:
    """Filter and sort the images of what is chosen (`app.frame.state.Shared`)."""
    keep, left_out = np.ones(len(s.run), bool), {}

    def apply(mask: np.ndarray, why: str) -> None:
        nonlocal keep
        left_out[why] = int((keep & ~mask).sum())
        keep = keep & mask

    apply(s.run.done, "not run yet")
    apply(s.images, "by class")
    if filters.only is not None:
        apply(np.isin(np.arange(len(s.run)), filters.only.rows), "not in the set")
    if filters.shows:
        apply(_showing(s, filters.shows), "by verdict")
    if filters.sizes:
        apply(_of_size(s, filters.sizes), "by object size")
    if filters.flags:
        apply(np.logical_or.reduce([with_flag(s.run, flag) for flag in filters.flags]), "by flag")
    if filters.splits:
        apply(np.isin(np.array([x or "" for x in s.run.splits]), filters.splits), "by split")
    if filters.causes:
        apply(images_with_cause(s, filters.causes), "by miss cause")
    if filters.name:
        wanted = filters.name.casefold()
        apply(
            np.array(
                [wanted in f"{i}\0{name_of(s.run, k)}".casefold() for k, i in enumerate(s.run.sample_ids)],
                bool,
            ),
            "by name",
        )
    return Order(_sorted(s, sort, np.flatnonzero(keep)), left_out, len(s.run))


def _showing(s: Any, shows: tuple[str, ...]) -> np.ndarray:
    c = s.per_image
    masks = {
        "missed": c.fn > 0,
        "wrong": c.fp > 0,
        "duplicate": c.duplicates > 0,
        "all correct": s.chosen.judged & (c.fn == 0) & (c.fp == 0),
        "detections": c.detections > 0,
        "no detections": c.detections == 0,
    }
    return np.logical_or.reduce(
        [masks[show] for show in shows if show in masks] or [np.ones(len(s.run), bool)]
    )


def _of_size(s: Any, sizes: tuple[str, ...]) -> np.ndarray:
    truth = s.run.truth
    areas = object_areas(truth)
    of_size = np.logical_or.reduce([size_mask(areas, size) for size in sizes])
    if s.counted_classes is not None:
        of_size &= np.isin(truth.class_ids, s.counted_classes)
    return having(truth.rows, of_size, len(s.run))


def _sorted(s: Any, sort: str, rows: np.ndarray) -> np.ndarray:
    c = s.per_image
    if sort == "Name":
        return np.array(sorted(rows, key=lambda i: name_of(s.run, i)), np.int64)
    if sort == "Data set order":
        return rows
    if sort in ("Surest mistake", "Surest detection"):
        m = s.chosen
        wrong = (m.det_kind == WRONG) | (sort == "Surest detection")
        wrong &= m.det_scores >= s.class_thresholds[m.det_classes]
        key = np.zeros(len(s.run), np.float32)
        np.maximum.at(key, m.det_rows[wrong], m.det_scores[wrong])
    elif sort == "Most missed":
        key = c.fn
    elif sort == "Most wrong":
        key = c.fp
    elif sort == "Best first":
        key = c.tp - 1000 * (c.fn + c.fp)
    elif sort == "Fewest detections":
        key = -c.detections
    elif s.run.usable.any():
        key = c.fn + c.fp
    else:
        key = c.detections
    return rows[np.argsort(-key[rows].astype(float), kind="stable")]
