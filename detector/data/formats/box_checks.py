"""The one place where boxes read from files are judged: kept, clipped, or left out with a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from detector.data.dataset import Problem

EDGE = 0.05
"""Pixels that a box may pass the border by without being called a fault: files round to two decimals."""


@dataclass(frozen=True)
class Place:
    """Where a box stands: file, line, sample, and its name in a sentence ("annotation 17", "object 2 (car)").

    `stated` is what stands there instead of four numbers, in the file's own words; "" where the numbers say
    it.
    """

    subject: str
    path: str = ""
    line: int | None = None
    sample_id: str | None = None
    stated: str = ""


def cut_out(xyxy: np.ndarray, rows: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Which pictures were cut out along their box already: bool [M], True for the one box of such a picture.

    The picture is as large as its only box (to a pixel), and the box reaches more than 2 pixels past it.

    Args:
        xyxy: float [M, 4] as stated; rows: int [M], the picture of each; sizes: int [N, 2] (W, H), 0 where
            unknown.
    """
    if not len(rows):
        return np.zeros(0, bool)
    size = np.asarray(sizes, np.float64).reshape(-1, 2)[rows]
    alone = np.bincount(rows, minlength=len(sizes))[rows] == 1
    with np.errstate(invalid="ignore"):
        as_large = (np.abs(xyxy[:, 2:] - xyxy[:, :2] - size) <= 1).all(axis=1)
        past = (xyxy[:, 2:] > size + 2).any(axis=1)
    return alone & as_large & past & (size > 0).all(axis=1)


def check_boxes(
    xyxy: np.ndarray,
    sizes: np.ndarray,
    place: Callable[[int], Place],
    *,
    shift: tuple[float, float] = (0.0, 0.0),
    numbers: tuple[str, str] = ("x1, y1, x2, y2", "pixels"),
) -> tuple[np.ndarray, np.ndarray, list[Problem]]:
    """Judge boxes as a file states them.

    Args:
        xyxy: float [M, 4], the file's numbers as corners; NaN where a number could not be read.
        sizes: int [M, 2], (W, H) of each box's image, 0 where unknown.
        place: row -> Place, asked only for boxes with a fault.
        shift: added to x1 and y1 after the numbers were judged (VOC counts from 1: (-1, -1)).
        numbers: what the file's four numbers are called, and their unit, for messages.

    Returns:
        (float32 [M, 4] clipped to the images, bool [M] True where the box is kept, problems).
    """
    raw = np.array(xyxy, np.float64).reshape(-1, 4)
    sizes = np.asarray(sizes, np.float64).reshape(-1, 2)
    keep = np.ones(len(raw), bool)
    problems: list[Problem] = []

    def report(rows: np.ndarray, kind: str, sentence: Callable[[int], str], left_out: bool) -> None:
        for row in np.flatnonzero(rows):
            at = place(int(row))
            problems.append(
                Problem(
                    kind, f"{at.subject}: {sentence(row)}", at.path, at.line, at.sample_id, left_out=left_out
                )
            )
        if left_out:
            keep[rows] = False

    def said(row: int) -> str:
        return "[" + ", ".join(f"{v:g}" for v in raw[row]) + "]"

    unread = ~np.isfinite(raw).all(axis=1)
    report(
        unread,
        "malformed box",
        lambda r: (
            f"expected four numbers {numbers[0]}, got {place(r).stated or said(r)}; the box is left out."
        ),
        True,
    )
    raw[unread] = 0

    known = (sizes > 0).all(axis=1)
    wide = np.where(known[:, None], sizes, 2)
    fractional = (raw != np.round(raw)).any(axis=1)
    unit = (
        keep
        & (raw >= 0).all(axis=1)
        & (raw <= 1).all(axis=1)
        & (raw[:, :2] < raw[:, 2:]).all(axis=1)
        & (wide > 1).any(axis=1)
    )
    unit &= fractional | bool((unit & fractional).any() and unit[keep].all())
    report(
        unit & known,
        "normalised box",
        lambda r: (
            f"expected {numbers[1]}, got fractions of the image {said(r)}; they were multiplied by its size"
            f" {sizes[r][0]:g}x{sizes[r][1]:g}."
        ),
        False,
    )
    report(
        unit & ~known,
        "normalised box",
        lambda r: (
            f"expected {numbers[1]}, got fractions of the image {said(r)}, whose size is unknown; the box is"
            " left out."
        ),
        True,
    )
    scaled = unit & known
    raw[scaled] *= np.tile(sizes[scaled], 2)

    width, height = raw[:, 2] - raw[:, 0], raw[:, 3] - raw[:, 1]
    report(
        keep & ((width < 0) | (height < 0)),
        "reversed box",
        lambda r: f"expected x1 < x2 and y1 < y2, got {said(r)}; the box is left out.",
        True,
    )
    report(
        keep & ((width == 0) | (height == 0)),
        "zero-area box",
        lambda r: f"expected a box with an area, got {said(r)}; it is left out.",
        True,
    )

    raw[~scaled, :2] += shift
    limit = np.where(known[:, None], sizes, np.inf)
    low, high = raw[:, :2], raw[:, 2:]
    gone = keep & ((high <= 0).any(axis=1) | (low >= limit).any(axis=1))
    report(
        gone,
        "box outside",
        lambda r: (
            f"expected a box in the image of {_size(sizes[r])}, got {said(r)}, wholly outside; it is left"
            " out."
        ),
        True,
    )
    past = keep & ((low < -EDGE).any(axis=1) | (high > limit + EDGE).any(axis=1))
    report(
        past,
        "box past border",
        lambda r: f"expected a box in the image of {_size(sizes[r])}, got {said(r)}; it was clipped.",
        False,
    )

    clipped = np.clip(raw, 0, np.tile(limit, 2)).astype(np.float32)
    clipped[~keep] = 0
    flat = keep & ((clipped[:, 0] >= clipped[:, 2]) | (clipped[:, 1] >= clipped[:, 3]))
    report(
        flat,
        "zero-area box",
        lambda r: f"expected a box with an area, inside the image {said(r)} has none; it is left out.",
        True,
    )
    return clipped, keep, problems


def _size(size: np.ndarray) -> str:
    return f"{size[0]:g}x{size[1]:g}" if size.all() else "unknown size"
