"""What the drawings are given: plain lists of one image's boxes with their verdict kinds.

The verdict at a threshold is worked out in the browser: a detection's kind and partner do not depend on the
threshold, because matching is greedy from the best score down.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import numpy as np

from analysis.matching.counts import counts
from analysis.matching.matches import Matches
from analysis.runs.store import Run
from app.files.pictures import name_of
from detector.core import FLAGS

TILE_BOXES = 60
STEPS = np.round(np.arange(101) / 100, 2)


def exact(scores: np.ndarray) -> list[float]:
    """Scores as the shortest decimals that stand for their float32: so `score >= 0.7` says the same in the
    browser.
    """
    return [float(s) for s in np.asarray(scores, np.float32).astype("U")]


def pixels(xyxy: np.ndarray, digits: int = 1) -> list[list[float]]:
    return np.round(xyxy.astype(np.float64), digits).tolist()


def boxes_of(run: Run, matches: Matches, i: int, *, most: int | None = None) -> dict[str, Any]:
    """{"dets": columns, "truth": columns, "judged": bool} of image i.

    `partner` and `det` point to each other's rows within the image, -1 without one.

    Args:
        most: keep only the best-scored detections (and every one that found an object).
    """
    d, t = run.detections, run.truth
    rows = np.arange(d.offsets[i], d.offsets[i + 1])
    if most is not None and len(rows) > most:
        keep = matches.det_truth[rows] >= 0
        keep[:most] = True
        rows = rows[keep]
    objects = np.arange(run.truth_offsets[i], run.truth_offsets[i + 1])
    place = {int(row): k for k, row in enumerate(rows)}
    first = int(objects[0]) if len(objects) else 0
    partner = matches.det_truth[rows]
    flags = [" ".join(f for f in FLAGS if getattr(t, f)[j]) for j in objects]
    judged = bool(matches.judged[i])
    return {
        "judged": judged,
        "dets": {
            "box": pixels(d.xyxy[rows]),
            "score": exact(d.scores[rows]),
            "cls": d.class_ids[rows].tolist(),
            "kind": matches.det_kind[rows].tolist(),
            "partner": np.where(partner >= 0, partner - first, -1).tolist(),
            "iou": np.round(matches.det_iou[rows].astype(float), 3).tolist(),
        },
        "truth": {
            "judged": judged,
            "box": pixels(t.xyxy[objects]),
            "cls": t.class_ids[objects].tolist(),
            "det": [place.get(int(row), -1) for row in matches.truth_det[objects]],
            "iou": np.round(matches.truth_iou[objects].astype(float), 3).tolist(),
            "score": exact(matches.truth_score[objects]),
            "ignored": matches.truth_ignored[objects].tolist(),
            "flags": flags,
        },
    }


@lru_cache(maxsize=4096)
def _tile_text(key: tuple, box: _Box) -> str:
    run, matches, i = box.take()
    sent = boxes_of(run, matches, i, most=TILE_BOXES)
    dets, truth = sent["dets"], sent["truth"]
    for side in (dets, truth):
        side["box"] = [[round(v) for v in b] for b in side["box"]]
    for name in ("partner", "iou"):
        del dets[name]
    for name in ("det", "iou", "flags"):
        del truth[name]
    width, height = run.image_size(i)
    tile = {"id": run.sample_ids[i], "name": name_of(run, i), "width": width, "height": height}
    return json.dumps(tile | sent, separators=(",", ":"))


class _Box:
    """Carries what a cached function needs to compute with, without being part of its key or staying in its
    cache.
    """

    def __init__(self, *values: Any):
        self._values: tuple[Any, ...] | None = values

    def take(self) -> tuple[Any, ...]:
        values, self._values = self._values, None
        return values

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Box)


def tile_text(run: Run, matches: Matches, i: int, key: tuple) -> str:
    """Image i for the gallery as JSON: whole pixels, the best boxes. Nothing in it depends on the threshold,
    so it is made once.

    Args:
        key: changes with the run and the matching (path, stamp, IoU).
    """
    return _tile_text((*key, i), _Box(run, matches, i))


def curve(matches: Matches) -> dict[str, list[int]]:
    """Correct, wrong and all detections at each of the slider's 101 places."""
    found = [counts(matches, float(step)) for step in STEPS]
    return {
        "correct": [c.tp for c in found],
        "wrong": [c.fp for c in found],
        "detections": [c.detections for c in found],
    }
