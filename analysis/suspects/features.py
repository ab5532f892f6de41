"""What speaks for and against a label, and for an object that nobody labelled, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.matching.greedy import Pairs
from analysis.suspects.boxes import Labels, Scene, best_of, overlaps

LEAST_SCORE = 0.1
"""Of a detection that may show a missing label."""
FITS = 0.5


@dataclass(frozen=True, eq=False)
class LabelFeatures:
    """Of M labels.

    Args:
        table: float64 [M, F].
        same, other: int64 [M], the detection that supports the label's name, and the one that supports
            another best (places in the scene's detections, -1 for none). twin: int64 [M], the label that
            overlaps it most.
    """

    table: np.ndarray
    same: np.ndarray
    other: np.ndarray
    twin: np.ndarray
    twin_iou: np.ndarray


@dataclass(frozen=True, eq=False)
class DetectionFeatures:
    """Of the C detections that no label explains: `places` int64 [C] in the scene's detections, table [C,
    F].
    """

    places: np.ndarray
    table: np.ndarray


def label_features(scene: Scene) -> LabelFeatures:
    """Features of every label of a scene, beside the other labels and all detections of its image."""
    labels, m = scene.labels, len(scene.labels)
    pairs = overlaps(scene.det_rows, scene.det_xyxy, labels.rows, labels.xyxy)
    score, iou, owner = scene.det_scores[pairs.det], pairs.iou, pairs.truth
    same = scene.det_classes[pairs.det] == labels.classes[owner]
    spare = _spare(scene, pairs, same)
    fits = iou >= FITS
    columns: list[np.ndarray] = []

    def best(mask: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chosen = np.flatnonzero(mask)
        top, place = best_of(value[chosen], owner[chosen], m)
        return top, np.where(place >= 0, chosen[place] if len(chosen) else -1, -1)

    def of(place: np.ndarray, value: np.ndarray) -> np.ndarray:
        return np.where(place >= 0, value[place] if len(value) else 0.0, 0.0)

    fit_same, _ = best(same & fits, score)
    fit_other, other = best(~same & fits, score)
    free_other, _ = best(~same & fits & (spare < FITS), score)
    pull, pulled = best(same, score * iou)
    # Badly placed: a detection of the same name that lies nearer to this label than to any other of its name.
    drawn, drawer = best(same & (iou > spare), score * np.minimum(iou, 0.6))
    near_any, _ = best(iou >= 0.3, score)
    touch_any, _ = best(np.ones(len(iou), bool), score * iou)
    closest, _ = best(score >= 0.1, iou)
    fit_any = np.maximum(fit_same, fit_other)
    columns += [fit_same, fit_other, free_other, fit_other - fit_same, free_other - fit_same, pull, touch_any]
    columns += [of(pulled, iou), of(pulled, score), near_any, closest, fit_any]
    columns += [drawn, of(drawer, iou), of(drawer, score), of(drawer, spare)]
    columns += _drift(scene, pairs, drawer)
    twin_iou, twin, crowding = _neighbours(labels, same_class=False)
    same_twin, _, _ = _neighbours(labels, same_class=True)
    in_image = np.bincount(labels.rows, minlength=len(scene.sizes))[labels.rows]
    columns += [twin_iou, same_twin, crowding, in_image, *_shape(labels.rows, labels.xyxy, scene)]
    columns.append(_class_mean(fit_same, labels.classes, scene.classes))
    support = np.where(pulled >= 0, pairs.det[pulled] if len(pairs.det) else -1, -1)
    rival = np.where(other >= 0, pairs.det[other] if len(pairs.det) else -1, -1)
    return LabelFeatures(np.column_stack(columns).reshape(m, -1), support, rival, twin, twin_iou)


def _spare(scene: Scene, pairs: Pairs, same: np.ndarray) -> np.ndarray:
    """float64 [P], for each pair the best IoU of its detection with another label of the detection's
    class.
    """
    d = len(scene.det_rows)
    mine = np.flatnonzero(same)
    first, at = best_of(pairs.iou[mine], pairs.det[mine], d)
    holder = np.where(at >= 0, pairs.truth[mine[at]] if len(mine) else -1, -1)
    rest = mine[pairs.truth[mine] != holder[pairs.det[mine]]]
    second, _ = best_of(pairs.iou[rest], pairs.det[rest], d)
    return np.where(holder[pairs.det] == pairs.truth, second[pairs.det], first[pairs.det])


def _drift(scene: Scene, pairs: Pairs, place: np.ndarray) -> list[np.ndarray]:
    """How far a label lies off that detection, in its own widths and heights, and how much larger the
    detection is.
    """
    det = np.where(place >= 0, pairs.det[place] if len(pairs.det) else 0, 0)
    box = scene.labels.xyxy
    if not len(scene.det_rows):
        return [np.zeros(len(box))] * 2
    found = scene.det_xyxy[det]
    extent = np.maximum(box[:, 2:] - box[:, :2], 1e-6)
    shift = np.abs((found[:, :2] + found[:, 2:] - box[:, :2] - box[:, 2:]) / 2 / extent).max(axis=1)
    growth = np.log(np.maximum(found[:, 2:] - found[:, :2], 1e-6) / extent)
    there = place >= 0
    return [np.where(there, shift, 0), np.where(there, np.abs(growth).max(axis=1), 0)]


def _neighbours(labels: Labels, same_class: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(largest IoU with another label, which one or -1, largest share covered by another), [M] each."""
    m = len(labels)
    pairs = overlaps(labels.rows, labels.xyxy, labels.rows, labels.xyxy)
    keep = pairs.det != pairs.truth
    if same_class:
        keep &= labels.classes[pairs.det] == labels.classes[pairs.truth]
    a, b, iou = pairs.det[keep], pairs.truth[keep], pairs.iou[keep]
    best, place = best_of(iou, a, m)
    which = np.where(place >= 0, b[place] if len(b) else -1, -1)
    area = np.prod(labels.xyxy[:, 2:] - labels.xyxy[:, :2], axis=1)
    # inter = IoU * union, and union = (A + B) / (1 + IoU)
    inter = iou * (area[a] + area[b]) / (1 + iou)
    covered = np.zeros(m)
    np.maximum.at(covered, a, inter / np.maximum(area[a], 1e-9))
    return best, which, covered


def _shape(rows: np.ndarray, xyxy: np.ndarray, scene: Scene) -> list[np.ndarray]:
    extent = np.maximum(xyxy[:, 2:] - xyxy[:, :2], 1e-6)
    sizes = scene.sizes[rows]
    share = np.log(np.maximum(np.prod(extent / sizes, axis=1), 1e-9))
    aspect = np.log(extent[:, 0] / extent[:, 1])
    margin = np.minimum(xyxy[:, :2], sizes - xyxy[:, 2:]).min(axis=1) / sizes.min(axis=1)
    return [share, aspect, np.log(extent.min(axis=1)), margin]


def _class_mean(values: np.ndarray, classes: np.ndarray, k: int) -> np.ndarray:
    total = np.bincount(classes, weights=values, minlength=k)
    return (total / np.maximum(np.bincount(classes, minlength=k), 1))[classes]


def detection_features(scene: Scene) -> DetectionFeatures:
    """Features of the detections that fit no label of their class and lie on no crowd region."""
    labels, d = scene.labels, len(scene.det_rows)
    pairs = overlaps(scene.det_rows, scene.det_xyxy, labels.rows, labels.xyxy)
    same = scene.det_classes[pairs.det] == labels.classes[pairs.truth]
    iou_same, _ = best_of(pairs.iou[same], pairs.det[same], d)
    iou_any, _ = best_of(pairs.iou, pairs.det, d)
    area = np.prod(scene.det_xyxy[:, 2:] - scene.det_xyxy[:, :2], axis=1)
    of_label = np.prod(labels.xyxy[:, 2:] - labels.xyxy[:, :2], axis=1)
    inter = pairs.iou * (area[pairs.det] + of_label[pairs.truth]) / (1 + pairs.iou)
    covered, _ = best_of(inter / np.maximum(area[pairs.det], 1e-9), pairs.det, d)
    holds, _ = best_of(inter / np.maximum(of_label[pairs.truth], 1e-9), pairs.det, d)
    on_crowd = np.zeros(d, bool)
    on_crowd[overlaps(scene.det_rows, scene.det_xyxy, scene.crowd.rows, scene.crowd.xyxy).det] = True
    places = np.flatnonzero((scene.det_scores >= LEAST_SCORE) & (iou_same < FITS) & ~on_crowd)
    better, better_same = _better_detections(scene, places)
    n, score = len(scene.sizes), scene.det_scores
    sure = np.bincount(scene.det_rows[score >= 0.3], minlength=n)[scene.det_rows]
    in_image = np.bincount(labels.rows, minlength=n)[scene.det_rows]
    key = labels.rows * scene.classes + labels.classes
    of_class = np.isin(scene.det_rows * scene.classes + scene.det_classes, key)
    right = _class_mean(np.where(iou_same >= FITS, 1.0, 0.0), scene.det_classes, scene.classes)
    columns = [score, iou_same, iou_any, covered, holds, sure, in_image, of_class, right]
    columns += _shape(scene.det_rows, scene.det_xyxy, scene)
    return DetectionFeatures(
        places, np.column_stack([*(np.asarray(c, float)[places] for c in columns), better, better_same])
    )


def _better_detections(scene: Scene, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest IoU with a detection of a higher score, of any class and of the same, float64 [C] each."""
    strong = np.flatnonzero(scene.det_scores >= LEAST_SCORE)
    pairs = overlaps(
        scene.det_rows[places], scene.det_xyxy[places], scene.det_rows[strong], scene.det_xyxy[strong]
    )
    mine, others = places[pairs.det], strong[pairs.truth]
    above = scene.det_scores[others] > scene.det_scores[mine]
    same = above & (scene.det_classes[others] == scene.det_classes[mine])
    return (
        best_of(pairs.iou[above], pairs.det[above], len(places))[0],
        best_of(pairs.iou[same], pairs.det[same], len(places))[0],
    )
