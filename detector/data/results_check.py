"""The mistakes people make in a COCO results file, recognised from the numbers and named.

Normalised boxes, corners where width and height are due, category ids shifted by one or counted without the
gaps, image ids of another data set: each would score near 0 without an error message. A mistake is only
claimed where another reading of the same numbers finds far more objects than chance allows, or where no
reading as written is possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.boxes import iou, xywh_to_xyxy, yxyx_to_xyxy

IMAGES_LOOKED_AT = 200
BOXES_AN_IMAGE = 300


@dataclass(frozen=True)
class Mistake:
    """One thing wrong with a results file.

    Args:
        kind: "normalised boxes", "corners for width and height", "rows for columns", "shifted category ids",
            "category ids without gaps", "unknown image ids", "unknown categories", "scores above 1".
        message: one sentence with the evidence and the way out.
        fatal: True where every figure would be meaningless; False where some rows are left out, or only odd.
    """

    kind: str
    message: str
    fatal: bool

    def __str__(self) -> str:
        return self.message


def find_mistakes(
    xywh: np.ndarray,
    scores: np.ndarray,
    image_ids: Sequence,
    category_ids: Sequence,
    *,
    truth_xywh: np.ndarray,
    truth_rows: np.ndarray,
    truth_kinds: np.ndarray,
    truth_image_ids: Sequence,
    truth_category_ids: Sequence,
    sizes: np.ndarray,
) -> list[Mistake]:
    """Everything wrong with D detections against N images and M objects, the fatal ones first.

    Args:
        xywh: float64 [D, 4] and scores [D] as written; image_ids, category_ids: D ids as written.
        truth_xywh: [M, 4] pixels; truth_rows, truth_kinds: [M] positions among the N images and K categories.
        truth_image_ids: N; truth_category_ids: K; sizes: [N, 2] (W, H), 0 where unstated.

    No detections: no mistakes.
    """
    if not len(xywh):
        return []
    at = {str(i): n for n, i in enumerate(truth_image_ids)}
    kind_at = {str(c): k for k, c in enumerate(truth_category_ids)}
    rows = np.array([at.get(str(i), -1) for i in image_ids])
    kinds = np.array([kind_at.get(str(c), -1) for c in category_ids])
    found = _unknown("image", image_ids, rows, truth_image_ids)
    if not (found and found[0].fatal):
        view = _View(xywh, rows, kinds, truth_xywh, truth_rows, truth_kinds, sizes)
        boxes = _box_mistakes(view)
        found += boxes
        if not boxes:
            found += _category_mistakes(view, category_ids, truth_category_ids)
    if not any("category ids" in m.kind for m in found):
        found += _unknown("category", category_ids, kinds, truth_category_ids)
    if (over := float(np.max(scores))) > 1:
        found.append(
            Mistake(
                "scores above 1",
                f"Expected scores in 0..1, the largest is {over:g}; only their order counts for AP.",
                False,
            )
        )
    return sorted(found, key=lambda m: not m.fatal)


def _unknown(what: str, ids: Sequence, place: np.ndarray, known: Sequence) -> list[Mistake]:
    missing = int((place < 0).sum())
    if not missing:
        return []
    plural = "image ids" if what == "image" else "categories"
    example = ids[int(np.argmax(place < 0))]
    first = ", ".join(repr(k) for k in list(known)[:3]) or "none"
    many = missing > len(ids) / 2
    share = (
        f"None of the {len(ids)}" if missing == len(ids) else f"Only {len(ids) - missing} of the {len(ids)}"
    )
    name = "an image" if what == "image" else "a category"
    if many:
        verb = "has" if missing == len(ids) else "have"
        text = (
            f"{share} detections {verb} {name} id of the truth: they say {example!r}, the truth begins"
            f" {first}; were they made for another data set?"
        )
        return [Mistake(f"unknown {plural}", text, True)]
    return [
        Mistake(
            f"unknown {plural}",
            f"{missing} of {len(ids)} detections name {name} the truth does not list (first {example!r}); "
            "they take no part.",
            False,
        )
    ]


class _View:
    """The first images that hold both objects and detections, for trying other readings."""

    def __init__(self, xywh, rows, kinds, truth_xywh, truth_rows, truth_kinds, sizes):
        self.xywh, self.rows, self.kinds = xywh, rows, kinds
        self.truth, self.truth_rows, self.truth_kinds, self.sizes = truth_xywh, truth_rows, truth_kinds, sizes
        both = np.intersect1d(truth_rows, rows[rows >= 0])[:IMAGES_LOOKED_AT]
        order, t_order = np.argsort(rows, kind="stable"), np.argsort(truth_rows, kind="stable")
        ends, t_ends = (
            np.searchsorted(rows[order], [both, both + 1]),
            np.searchsorted(truth_rows[t_order], [both, both + 1]),
        )
        self.groups = [
            (order[a:b][:BOXES_AN_IMAGE], t_order[c:d])
            for a, b, c, d in zip(*ends.tolist(), *t_ends.tolist())
        ]
        self.objects = sum(len(t) for _, t in self.groups)

    def recall(self, xyxy: np.ndarray, kinds: np.ndarray | None = None) -> float:
        """Share of the objects on which some box fits (IoU 0.5), of the same class where `kinds` [D] is
        given.
        """
        hits = 0
        for dets, truths in self.groups:
            fit = iou(xyxy[dets], xywh_to_xyxy(self.truth[truths])) >= 0.5
            if kinds is not None:
                fit &= kinds[dets][:, None] == self.truth_kinds[truths][None, :]
            hits += int(fit.any(axis=0).sum())
        return hits / self.objects if self.objects else 0.0

    @property
    def frame(self) -> np.ndarray:
        """(W, H, W, H) of each detection's image; where unstated, as far as its objects reach."""
        size = self.sizes.astype(np.float64).copy()
        far = np.zeros_like(size)
        np.maximum.at(far, self.truth_rows, self.truth[:, :2] + self.truth[:, 2:])
        size = np.where(size > 0, size, far)
        return np.tile(size[np.maximum(self.rows, 0)], 2)


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _much_better(other: float, written: float, objects: int) -> bool:
    """Whether another reading's recall cannot be chance: four times as good, or a quarter of all objects
    better.
    """
    fourfold = other * objects >= 3 and other >= 0.3 and other >= 4 * written
    return fourfold or (other * objects >= 10 and other - written >= 0.25)


def _box_mistakes(v: _View) -> list[Mistake]:
    inside = v.rows >= 0
    frame = v.frame
    if np.abs(v.xywh[inside]).max(initial=0) <= 1.5 and np.median(frame[inside]) > 4:
        return [
            Mistake(
                "normalised boxes",
                f"The boxes look normalised: no number exceeds {v.xywh[inside].max():.2f}, and images are "
                f"{frame[inside][0, 0]:.0f}x{frame[inside][0, 1]:.0f} pixels; "
                "multiply x and width by the image's width, y and height by its height.",
                True,
            )
        ]
    written = v.recall(xywh_to_xyxy(v.xywh))
    readings = {
        "corners for width and height": (v.xywh, "read as x1, y1, x2, y2 they", "write x, y, width, height"),
        "rows for columns": (
            yxyx_to_xyxy(v.xywh),
            "read as y1, x1, y2, x2 they",
            "write x, y, width, height",
        ),
    }
    for kind, (xyxy, other, way_out) in readings.items():
        better = v.recall(xyxy)
        if _much_better(better, written, v.objects):
            return [
                Mistake(
                    kind,
                    f"The boxes are not x, y, width, height: as written they fit {_percent(written)} of the"
                    f" objects, {other} fit {_percent(better)}; {way_out}.",
                    True,
                )
            ]
    tail = v.xywh[:, :2] + v.xywh[:, 2:]
    leaves = (tail > frame[:, :2] * 1.02 + 1).any(axis=1)
    corners = (v.xywh[:, 2:] > v.xywh[:, :2]).all(axis=1) & (v.xywh[:, 2:] <= frame[:, :2] * 1.02 + 1).all(
        axis=1
    )
    if inside.sum() >= 3 and leaves[inside].mean() > 0.5 and corners[inside].all() and written < 0.3:
        share = _percent(leaves[inside].mean())
        return [
            Mistake(
                "corners for width and height",
                f"The boxes are not x, y, width, height: so read, {share} of them leave their image; "
                "as x1, y1, x2, y2 all fit; write x, y, width, height.",
                True,
            )
        ]
    return []


def _category_mistakes(v: _View, ids: Sequence, known: Sequence) -> list[Mistake]:
    try:
        numbers = np.array([int(i) for i in ids])
        ordered = sorted((int(c), k) for k, c in enumerate(known))
    except (TypeError, ValueError):
        return []
    xyxy = xywh_to_xyxy(v.xywh)
    written = v.recall(xyxy, v.kinds)
    by_id = dict(ordered)

    def kinds(translate) -> np.ndarray:
        return np.array([translate(int(n)) for n in numbers])

    def nth(n: int) -> int:
        return ordered[n][1] if 0 <= n < len(ordered) else -1

    readings = {
        "shifted category ids": [
            (kinds(lambda n: by_id.get(n + 1, -1)), "one too small", "add 1 to each"),
            (kinds(lambda n: by_id.get(n - 1, -1)), "one too large", "take 1 from each"),
        ],
        "category ids without gaps": [
            (
                kinds(nth),
                "positions 0, 1, 2, ... in the list of categories",
                "write the ids of the annotation file",
            ),
            (
                kinds(lambda n: nth(n - 1)),
                "positions 1, 2, 3, ... in the list of categories",
                "write the ids of the annotation file",
            ),
        ],
    }
    best: tuple[float, Mistake] | None = None
    for kind, ways in readings.items():
        for other, reading, way_out in ways:
            better = v.recall(xyxy, other)
            if _much_better(better, written, v.objects) and (best is None or better > best[0]):
                best = (
                    better,
                    Mistake(
                        kind,
                        f"The category ids are {reading}: as written {_percent(written)} of the objects get a"
                        f" fitting box of their class, so read {_percent(better)}; {way_out}.",
                        True,
                    ),
                )
    return [best[1]] if best else []
