"""Correct, wrong and missed at any threshold, from sorted scores: a threshold move is a binary search.

Laws, checked on every call: TP + FN = objects counted; TP + FP + ignored + unjudged = detections at or
above the threshold. A broken law is an error, never a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from analysis.matching.matches import MATCHED, VERDICT_WORDS, Matches, Verdict
from analysis.matching.operating_point import Threshold, class_thresholds
from detector.errors import InputError, LawError


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts at one operating point: numbers for the whole, int64 [K] arrays in `per_class`, [N] per image.

    Args:
        tp: correct detections; fp: wrong ones, duplicates among them; fn: missed objects.
        duplicates: those of `fp` that fit an object which a better-scored detection already took.
        ignored: detections on crowd regions (or difficult objects, if so chosen).
        unjudged: detections on images, or of classes, without ground truth.
        objects: counted objects, tp + fn; detections: all at or above the threshold.
    """

    tp: Any
    fp: Any
    fn: Any
    duplicates: Any
    ignored: Any
    unjudged: Any
    objects: Any
    detections: Any
    per_class: Counts | None = None

    @property
    def precision(self) -> Any:
        """tp / (tp + fp); NaN where nothing was judged."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> Any:
        """Share of the objects found; NaN where there are none."""
        return _ratio(self.objects - self.fn, self.objects)

    @property
    def f1(self) -> Any:
        """2 tp / (2 tp + fp + fn); NaN where there is neither an object nor a judged detection."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON, without `per_class`; a rate without denominator is None."""
        values = {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.name != "per_class"}
        return values | {name: _plain(getattr(self, name)) for name in ("precision", "recall", "f1")}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value.tolist()]
    if isinstance(value, float):
        return None if np.isnan(value) else value
    return int(value)


def _ratio(part: Any, whole: Any) -> Any:
    if isinstance(whole, np.ndarray):
        return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return float(part) / float(whole) if whole else float("nan")


class SortedScores:
    """How many of a set of (class, score) rows reach a threshold, by binary search.

    The key of a row is its class in the high and the bits of its float32 score in the low half: for
    scores of 0 and more, bits sort as numbers do. One search answers all K classes.
    """

    def __init__(self, classes: np.ndarray, scores: np.ndarray, num_classes: int):
        self.keys = np.sort(_keys(classes, scores))
        self.ends = np.searchsorted(
            self.keys, np.arange(1, num_classes + 1, dtype=np.uint64) << np.uint64(32)
        )

    def at_least(self, thresholds: np.ndarray) -> np.ndarray:
        """int64 [K] for thresholds float32 [K]."""
        return self.ends - np.searchsorted(self.keys, _keys(np.arange(len(thresholds)), thresholds))


def _keys(classes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    bits = (np.asarray(scores, np.float32) + np.float32(0)).view(np.uint32)
    return (np.asarray(classes).astype(np.uint64) << np.uint64(32)) | bits.astype(np.uint64)


class _Index:
    """The sorted scores of one Matches, built once."""

    def __init__(self, m: Matches):
        def of(mask: np.ndarray) -> SortedScores:
            return SortedScores(m.det_classes[mask], m.det_scores[mask], m.num_classes)

        self.kinds = {kind: of(m.det_kind == kind) for kind in MATCHED}
        self.all = SortedScores(m.det_classes, m.det_scores, m.num_classes)
        counted = m.truth_counted
        self.objects = np.bincount(m.truth_classes[counted], minlength=m.num_classes).astype(np.int64)
        found = counted & (m.truth_det >= 0)
        self.found = SortedScores(m.truth_classes[found], m.truth_score[found], m.num_classes)


class _ImageIndex:
    """The detections of one Matches by falling score, so that those above one threshold are a prefix; built
    once.
    """

    COLUMNS = ("scores", "classes", "rows", "places", "objects_of_image")

    def __init__(self, m: Matches):
        counted = m.truth_counted
        order = np.argsort(-m.det_scores, kind="stable")
        self.scores, self.classes = m.det_scores[order], m.det_classes[order]
        self.rows = m.det_rows[order]
        self.places = m.det_kind[order].astype(np.int64) * m.num_images + self.rows
        self.objects_of_image = np.bincount(m.truth_rows[counted], minlength=m.num_images)


def _kept_with(matches: Matches, kind: type) -> Any:
    """The index of this kind, made when it is first asked for and kept with the matches."""
    name = kind.__name__
    if name not in matches.__dict__:
        object.__setattr__(matches, name, kind(matches))
    return matches.__dict__[name]


def indices_of(matches: Matches) -> dict[str, np.ndarray]:
    """The sorted columns that counting makes first, by name, for keeping beside a large matching
    (`with_indices`).
    """
    whole, images = _kept_with(matches, _Index), _kept_with(matches, _ImageIndex)
    sorted_scores = {"all": whole.all, "found": whole.found} | {
        f"kind{kind}": scores for kind, scores in whole.kinds.items()
    }
    columns = {
        f"{name}_{part}": getattr(scores, part)
        for name, scores in sorted_scores.items()
        for part in ("keys", "ends")
    }
    return (
        columns
        | {"objects": whole.objects}
        | {f"image_{name}": getattr(images, name) for name in _ImageIndex.COLUMNS}
    )


def with_indices(matches: Matches, columns: Mapping[str, np.ndarray]) -> Matches:
    """The same matches, whose counting starts from the columns `indices_of` gave for them."""
    whole, images = object.__new__(_Index), object.__new__(_ImageIndex)

    def scores(name: str) -> SortedScores:
        made = object.__new__(SortedScores)
        made.keys, made.ends = columns[f"{name}_keys"], columns[f"{name}_ends"]
        return made

    whole.all, whole.found, whole.objects = scores("all"), scores("found"), columns["objects"]
    whole.kinds = {kind: scores(f"kind{kind}") for kind in MATCHED}
    for name in _ImageIndex.COLUMNS:
        setattr(images, name, columns[f"image_{name}"])
    for index in (whole, images):
        object.__setattr__(matches, type(index).__name__, index)
    return matches


def counts(matches: Matches, threshold: Threshold = 0.5) -> Counts:
    """Counts over the whole run, and per class, at one threshold or one per class ([K]).

    With class-aware matching each class's own numbers obey the laws too. Without, `tp` and `fp` go by the
    class the detection claims and `fn` by the object's.

    Raises:
        InputError: the threshold has another length than the classes, or thresholds per class are asked
            of a matching that ignores the class.
        LawError: the two sides do not add up.
    """
    thresholds = _checked_thresholds(matches, threshold)
    index = _kept_with(matches, _Index)
    k = {kind: scores.at_least(thresholds) for kind, scores in index.kinds.items()}
    found = index.found.at_least(thresholds)
    per_class = Counts(
        tp=k[Verdict.CORRECT],
        fp=k[Verdict.WRONG] + k[Verdict.DUPLICATE],
        fn=index.objects - found,
        duplicates=k[Verdict.DUPLICATE],
        ignored=k[Verdict.IGNORED],
        unjudged=k[Verdict.UNJUDGED],
        objects=index.objects,
        detections=index.all.at_least(thresholds),
    )
    total = Counts(
        **{f.name: int(getattr(per_class, f.name).sum()) for f in fields(Counts) if f.name != "per_class"},
        per_class=per_class,
    )
    check_laws(total)
    if matches.class_aware:
        check_laws(per_class)
    return total


def check_laws(c: Counts) -> None:
    """Raise LawError unless TP + FN = objects and TP + FP + ignored + unjudged = detections, in every
    entry.
    """
    objects = np.asarray(c.tp + c.fn - c.objects)
    detections = np.asarray(c.tp + c.fp + c.ignored + c.unjudged - c.detections)
    for law, gap in (
        ("correct + missed = objects", objects),
        ("correct + wrong + ignored + unjudged = detections", detections),
    ):
        if gap.any():
            at = int(np.argmax(gap != 0))
            raise LawError(
                f"Expected {law}, entry {at} is off by {int(gap.reshape(-1)[at])}: "
                "this is a fault in Boxscope; please report it."
            )


def _checked_thresholds(matches: Matches, threshold: Threshold) -> np.ndarray:
    if np.ndim(threshold) and not matches.class_aware and len(np.unique(np.asarray(threshold))) > 1:
        raise InputError(
            "threshold: thresholds per class need class-aware matching; "
            "a detection below its own could take another's object."
        )
    return class_thresholds(threshold, matches.num_classes)


def image_counts(matches: Matches, threshold: Threshold = 0.5) -> Counts:
    """Counts of each image, int64 [N] each (rates float64 [N]); sorting by them puts the worst first.

    Raises:
        InputError, LawError: as `counts`.
    """
    thresholds, n = _checked_thresholds(matches, threshold), matches.num_images
    index = _kept_with(matches, _ImageIndex)
    kept = prefix_at_least(index.scores, index.classes, thresholds)
    table = (
        np.bincount(index.places[kept], minlength=5 * n).reshape(5, n) if n else np.zeros((5, 0), np.int64)
    )
    missed = matches.truth_counted & ~found_objects(matches, thresholds)
    result = Counts(
        tp=table[Verdict.CORRECT],
        fp=table[Verdict.WRONG] + table[Verdict.DUPLICATE],
        fn=np.bincount(matches.truth_rows[missed], minlength=n),
        duplicates=table[Verdict.DUPLICATE],
        ignored=table[Verdict.IGNORED],
        unjudged=table[Verdict.UNJUDGED],
        objects=index.objects_of_image,
        detections=np.bincount(index.rows[kept], minlength=n),
    )
    check_laws(result)
    return result


def prefix_at_least(scores: np.ndarray, classes: np.ndarray, thresholds: np.ndarray) -> slice | np.ndarray:
    """Which of the rows, given by falling score, reach their class's threshold: a slice where all thresholds
    are one.
    """
    if not len(thresholds) or not len(scores):
        return slice(0, 0)
    end = len(scores) - int(np.searchsorted(scores[::-1], thresholds.min()))
    if (thresholds == thresholds[0]).all():
        return slice(0, end)
    return np.flatnonzero(scores[:end] >= thresholds[classes[:end]])


def found_objects(
    matches: Matches, thresholds: np.ndarray, rows: slice | np.ndarray = slice(None)
) -> np.ndarray:
    """bool [M]: a detection that reaches its threshold (`thresholds` float32 [K]) found the object; `rows`
    narrows to some objects.

    The object's class stands for the detection's: they are the same, or all thresholds are.
    """
    reached = matches.truth_score[rows] >= thresholds[matches.truth_classes[rows]]
    return (matches.truth_det[rows] >= 0) & reached


class Verdicts(NamedTuple):
    """What each detection and object is at one threshold.

    detections: [D] of "correct", "wrong", "duplicate", "ignored", "unjudged" or "below" (the threshold).
    objects: [M] of "found", "missed", "ignored" or "unjudged" (its image was not run on).
    """

    detections: np.ndarray
    objects: np.ndarray


def detection_verdicts(
    matches: Matches, thresholds: np.ndarray, rows: slice | np.ndarray = slice(None)
) -> np.ndarray:
    """uint8 [D]: the `Verdict` of each detection at the thresholds (float32 [K]); `rows` narrows to some."""
    kept = matches.det_scores[rows] >= thresholds[matches.det_classes[rows]]
    return np.where(kept, matches.det_kind[rows], np.uint8(Verdict.BELOW))


def object_verdicts(
    matches: Matches, thresholds: np.ndarray, rows: slice | np.ndarray = slice(None)
) -> np.ndarray:
    """uint8 [M]: the `Verdict` of each object at the thresholds (float32 [K]); `rows` narrows to some."""
    found = found_objects(matches, thresholds, rows)
    verdict = np.where(found, np.uint8(Verdict.FOUND), np.uint8(Verdict.MISSED))
    verdict[matches.truth_ignored[rows]] = Verdict.IGNORED
    verdict[~matches.judged[matches.truth_rows[rows]]] = Verdict.UNJUDGED
    return verdict


def verdicts(matches: Matches, threshold: Threshold = 0.5) -> Verdicts:
    """The verdict of every detection and every object, in words, at one threshold or one per class."""
    thresholds = _checked_thresholds(matches, threshold)
    return Verdicts(
        VERDICT_WORDS[detection_verdicts(matches, thresholds)],
        VERDICT_WORDS[object_verdicts(matches, thresholds)],
    )
