"""Detections + annotations -> Matches, by COCO's rule. The one matcher of the project.

match(detections, annotations)      one image, or a list of each
match_run(run)                      a whole run, from its tables
counts(matches, threshold)          correct, wrong, missed at any threshold (analysis.matching.counts)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analysis.matching.greedy import fitting_pairs, greedy
from analysis.matching.matches import Matches, Verdict
from analysis.runs.classes import one_label_space
from analysis.runs.reader import RunReader
from analysis.runs.store import Run
from detector.core import Annotations, Detections
from detector.errors import InputError

Progress = Callable[[int, int], object]


def _turns(rows: np.ndarray, scores: np.ndarray, classes: np.ndarray, class_aware: bool) -> np.ndarray:
    """int64 [D], the turn of each detection: by image, falling score, then file order (across classes: class
    first).
    """
    step = np.diff(rows)
    if class_aware and ((step > 0) | ((step == 0) & (np.diff(scores) <= 0))).all():
        return np.arange(len(rows))
    ties = np.zeros(len(rows), np.int8) if class_aware else classes
    turn = np.empty(len(rows), np.int64)
    turn[np.lexsort((ties, -scores, rows))] = np.arange(len(rows))
    return turn


def match_columns(
    det_rows: np.ndarray,
    det_xyxy: np.ndarray,
    det_scores: np.ndarray,
    det_classes: np.ndarray,
    truth_rows: np.ndarray,
    truth_xyxy: np.ndarray,
    truth_classes: np.ndarray,
    *,
    judged: np.ndarray,
    num_classes: int,
    labelled_classes: int | None = None,
    crowd: np.ndarray | None = None,
    difficult_flags: np.ndarray | None = None,
    ignore_flags: np.ndarray | None = None,
    iou: float = 0.5,
    class_aware: bool = True,
    difficult: str = "count",
) -> Matches:
    """Matching on plain columns: D detections and M objects, in any order, over N = len(judged) images.

    The first `labelled_classes` of the K classes are those the ground truth knows (None: all); an unmatched
    detection of another class is UNJUDGED, for nobody labelled such objects. `ignore_flags` bool [M]
    marks objects ignored for another reason (outside an area range): like COCO's, each can be taken once.

    Raises:
        InputError: the IoU is not in (0, 1], or a choice is unknown.
    """
    if not 0 < iou <= 1:
        raise InputError(f"iou: expected more than 0 and at most 1, got {iou!r}.")
    m = len(truth_rows)
    no = np.zeros(m, bool)
    crowd = no if crowd is None else np.asarray(crowd, bool)
    hard = no if difficult_flags is None or difficult != "ignore" else np.asarray(difficult_flags, bool)
    ignored = crowd | hard | (no if ignore_flags is None else np.asarray(ignore_flags, bool))
    judged = np.asarray(judged, bool)
    span = max(num_classes, 1) if class_aware else 1

    def keys(rows: np.ndarray, classes: np.ndarray) -> np.ndarray:
        value = np.asarray(rows, np.int64) * span + (classes if class_aware else 0)
        return np.where(judged[rows], value, -1)

    # COCO's bound: an IoU of exactly 1 still passes a bound of 1.
    bound = min(iou, 1 - 1e-10)
    pairs = fitting_pairs(
        keys(det_rows, det_classes), det_xyxy, keys(truth_rows, truth_classes), truth_xyxy, crowd, bound
    )
    truth_rank = np.arange(m)
    if not class_aware:
        truth_rank[np.lexsort((np.arange(m), truth_classes))] = np.arange(m)
    turn = _turns(det_rows, det_scores, det_classes, class_aware)
    taken, blocked = greedy(pairs, turn, truth_rank, ignored, crowd | hard)

    d = len(det_rows)
    can_tell = judged[det_rows] & (
        det_classes < (num_classes if labelled_classes is None else labelled_classes)
    )
    det_kind = np.where(can_tell, np.uint8(Verdict.WRONG), np.uint8(Verdict.UNJUDGED))
    det_truth, det_iou = np.full(d, -1, np.int32), np.zeros(d, np.float32)
    truth_det, truth_iou, truth_score = (
        np.full(m, -1, np.int32),
        np.zeros(m, np.float32),
        np.full(m, -1, np.float32),
    )
    det_kind[taken.det] = np.where(ignored[taken.truth], Verdict.IGNORED, Verdict.CORRECT)
    det_kind[blocked.det] = Verdict.DUPLICATE
    for side in (taken, blocked):
        det_truth[side.det], det_iou[side.det] = side.truth, side.iou
    back = np.argsort(turn[taken.det], kind="stable")[
        ::-1
    ]  # the best-scored of several on a crowd is written last
    truth_det[taken.truth[back]] = taken.det[back]
    truth_iou[taken.truth[back]] = taken.iou[back]
    truth_score[taken.truth[back]] = det_scores[taken.det[back]]
    return Matches(
        iou=float(iou),
        class_aware=class_aware,
        difficult=difficult,
        num_classes=num_classes,
        judged=judged,
        det_rows=det_rows,
        det_classes=det_classes,
        det_scores=det_scores,
        det_kind=det_kind,
        det_truth=det_truth,
        det_iou=det_iou,
        truth_rows=truth_rows,
        truth_classes=truth_classes,
        truth_ignored=ignored,
        truth_det=truth_det,
        truth_iou=truth_iou,
        truth_score=truth_score,
    )


def match_run(
    run: RunReader,
    iou: float = 0.5,
    *,
    class_aware: bool = True,
    difficult: str = "count",
    progress: Progress | None = None,
) -> Matches:
    """Every detection of a run against every object, in the order of its tables, window by window.

    Images without ground truth, not yet done or failed are left out on both sides: their detections are
    UNJUDGED and their objects uncounted. So are detections of classes that the data set does not have.
    Of each window about 21 bytes per detection are kept. `progress(done, total)`, in images, is called after
    each window.

    Raises:
        InputError: the IoU is not in (0, 1], or a choice is unknown.
    """
    gathered = GatheredMatches(run)
    for first, window in run.windows():
        gathered.add(first, _match_tables(window, iou, class_aware, difficult))
        if progress is not None:
            progress(first + len(window), len(run))
    return gathered.matches(float(iou), class_aware, difficult)


def _match_tables(run: Run, iou: float, class_aware: bool, difficult: str) -> Matches:
    d, t = run.detections, run.truth
    return match_columns(
        d.rows,
        d.xyxy,
        d.scores,
        d.class_ids,
        t.rows,
        t.xyxy,
        t.class_ids,
        judged=run.usable,
        num_classes=len(run.class_map),
        labelled_classes=run.labelled_classes,
        crowd=t.crowd,
        difficult_flags=t.difficult,
        iou=iou,
        class_aware=class_aware,
        difficult=difficult,
    )


def match(
    detections: Detections | Sequence[Detections] | Any,
    truth: Annotations | None | Sequence[Annotations | None] = None,
    *,
    iou: float = 0.5,
    class_aware: bool = True,
    difficult: str = "count",
) -> Matches:
    """Match one image's detections with its annotations, two lists of them, or (alone) a whole run.

    Detections may come in any order; equal scores keep theirs. An image whose annotations are None is
    unlabelled: its detections are neither correct nor wrong. Where both sides say their classes, as what
    comes from `detect` and from a Dataset does, classes are matched by name as in a run: detections of
    classes that the data set lacks get the numbers after its own.

    Raises:
        InputError: the lists differ in length, the IoU is not in (0, 1], or a choice is unknown.
    """
    if truth is None and isinstance(detections, RunReader):
        return match_run(detections, iou, class_aware=class_aware, difficult=difficult)
    one_image = isinstance(detections, Detections)
    if truth is not None and one_image != isinstance(truth, Annotations):
        raise InputError("match: expected the detections and annotations of one image, or a list of each.")
    found = [detections] if isinstance(detections, Detections) else list(detections)
    if truth is None or isinstance(truth, Annotations):
        objects: list[Annotations | None] = [truth] * len(found)
    else:
        objects = list(truth)
    if len(found) != len(objects):
        raise InputError(
            f"match: expected one Annotations (or None) per image, got {len(found)} detections and"
            f" {len(objects)}."
        )
    found = one_label_space(found, objects).detections
    known = [a if a is not None else Annotations.empty((1, 1)) for a in objects]

    def column(items: Sequence[Any], name: str, width: int | None = None) -> np.ndarray:
        if not len(items):
            return np.zeros(
                (0, width) if width else 0, np.float32 if name in ("xyxy", "scores") else np.int32
            )
        return np.concatenate([getattr(item, name) for item in items])

    det_classes, truth_classes = column(found, "class_ids"), column(known, "class_ids")
    return match_columns(
        np.repeat(np.arange(len(found)), [len(d) for d in found]),
        column(found, "xyxy", 4),
        column(found, "scores"),
        det_classes,
        np.repeat(np.arange(len(known)), [len(a) for a in known]),
        column(known, "xyxy", 4),
        truth_classes,
        judged=np.array([a is not None for a in objects], bool),
        num_classes=int(max(det_classes.max(initial=-1), truth_classes.max(initial=-1))) + 1,
        crowd=column(known, "crowd").astype(bool),
        difficult_flags=column(known, "difficult").astype(bool),
        iou=iou,
        class_aware=class_aware,
        difficult=difficult,
    )


class GatheredMatches:
    """The matchings of windows, one after another, as one."""

    DETS = {
        "det_rows": np.int32,
        "det_classes": np.int32,
        "det_scores": np.float32,
        "det_kind": np.uint8,
        "det_truth": np.int32,
        "det_iou": np.float32,
    }
    TRUTHS = ("truth_rows", "truth_classes", "truth_ignored", "truth_det", "truth_iou", "truth_score")

    def __init__(self, run: RunReader):
        self.run = run
        self.dets = {name: np.empty(run.detection_count, dtype) for name, dtype in self.DETS.items()}
        self.truths: dict[str, list[np.ndarray]] = {name: [] for name in self.TRUTHS}
        self.det_count = self.truth_count = 0

    def add(self, first: int, m: Matches) -> None:
        part = slice(self.det_count, self.det_count + len(m.det_rows))
        for name in self.DETS:
            self.dets[name][part] = getattr(m, name)
        self.dets["det_rows"][part] += first
        partner = self.dets["det_truth"][part]
        partner[partner >= 0] += self.truth_count
        for name in self.TRUTHS:
            self.truths[name].append(getattr(m, name))
        self.truths["truth_rows"][-1] = m.truth_rows + np.int32(first)
        self.truths["truth_det"][-1] = np.where(
            m.truth_det >= 0, m.truth_det + np.int32(self.det_count), np.int32(-1)
        )
        self.det_count += len(m.det_rows)
        self.truth_count += len(m.truth_rows)

    def matches(self, iou: float, class_aware: bool, difficult: str) -> Matches:
        truths = {
            name: np.concatenate(values) if values else np.zeros(0) for name, values in self.truths.items()
        }
        return Matches(
            iou=iou,
            class_aware=class_aware,
            difficult=difficult,
            num_classes=len(self.run.class_map),
            judged=self.run.usable,
            **self.dets,
            **truths,
        )
