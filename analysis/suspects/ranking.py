"""How suspicious each label and each unexplained detection is, learnt from errors planted into the labels
themselves.

Nobody knows which labels are wrong, but everybody can spoil some on purpose. So some labels of one half of
the images are spoilt, a model learns to tell them from the rest, and it judges the untouched labels of the
other half. It adapts to the detector at hand: where the detector misses every third object, a miss says
little about the label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.suspects.boxes import Scene, overlaps
from analysis.suspects.features import (
    FITS,
    DetectionFeatures,
    LabelFeatures,
    detection_features,
    label_features,
)
from analysis.suspects.planting import KINDS, Planted, plant

LABEL_KINDS = tuple(kind for kind in KINDS if kind != "missing")
SHARE = 0.05
MOST_TRAINING = 2500
"""Labels to learn from, at most; more teach nothing new and cost seconds."""
MOST_ROWS = 12_000
"""Rows one classifier learns from, at most; what is rare among them is kept whole."""
LEAST_PLANTED = 600
MOST_ROUNDS = 12


@dataclass(frozen=True, eq=False)
class Ranking:
    """How suspicious everything is.

    Args:
        labels: float64 [M, 4], of each label and kind of LABEL_KINDS, in 0..1; not calibrated, only for the
            order.
        missing: float64 [C], of each detection of `detections`, that it shows an object nobody labelled.
        features, detections: what was looked at.
    """

    labels: np.ndarray
    missing: np.ndarray
    features: LabelFeatures
    detections: DetectionFeatures


def rank(scene: Scene, seed: int = 0) -> Ranking:
    """Rank the labels of a scene and its unexplained detections. Without enough to learn from, all are 0."""
    features, unexplained = label_features(scene), detection_features(scene)
    labels = np.zeros((len(scene.labels), len(LABEL_KINDS)))
    missing = np.zeros(len(unexplained.places))
    half = np.random.default_rng(seed).permutation(len(scene.sizes)) % 2 == 0
    for side in (half, ~half):
        model = _Model.learn(scene.of_images(~side), seed)
        mine = side[scene.labels.rows]
        labels[mine] = model.judge_labels(features.table[mine])
        ours = side[scene.det_rows[unexplained.places]]
        missing[ours] = model.judge_missing(unexplained.table[ours])
    return Ranking(labels, missing, features, unexplained)


class _Model:
    """Two classifiers: what is wrong with a label, and whether a detection shows a missing one."""

    def __init__(self, labels, missing):
        self._labels, self._missing = labels, missing

    @classmethod
    def learn(cls, scene: Scene, seed: int) -> _Model:
        scene = _at_most(scene, MOST_TRAINING, seed)
        m = len(scene.labels)
        rounds = int(np.clip(np.ceil(LEAST_PLANTED / max(1, SHARE * m)), 1, MOST_ROUNDS))
        tables, kinds, found, shows = [], [], [], []
        for r in range(rounds):
            planted = plant(scene, dict.fromkeys(KINDS, SHARE), seed + 1000 + r)
            spoilt = scene.with_labels(planted.labels)
            tables.append(label_features(spoilt).table)
            kinds.append(planted.kind)
            table, answer = _shown(spoilt, planted)
            found.append(table)
            shows.append(answer)
        return cls(
            _fit(np.concatenate(tables), np.concatenate(kinds), seed),
            _fit(np.concatenate(found), np.concatenate(shows), seed),
        )

    def judge_labels(self, table: np.ndarray) -> np.ndarray:
        wanted = [KINDS.index(kind) for kind in LABEL_KINDS]
        return _probabilities(self._labels, table, wanted)

    def judge_missing(self, table: np.ndarray) -> np.ndarray:
        return _probabilities(self._missing, table, [1])[:, 0]


def _at_most(scene: Scene, most: int, seed: int) -> Scene:
    """Whole images with about this many labels."""
    m = len(scene.labels)
    if m <= most:
        return scene
    images = np.random.default_rng(seed).random(len(scene.sizes)) < most / m
    return scene.of_images(images)


def _shown(scene: Scene, planted: Planted) -> tuple[np.ndarray, np.ndarray]:
    """(features of unexplained detections, 1 where the best-scored on a removed label, 0 on nothing)."""
    found = detection_features(scene)
    rows, xyxy = scene.det_rows[found.places], scene.det_xyxy[found.places]
    pairs = overlaps(rows, xyxy, planted.removed.rows, planted.removed.xyxy)
    same = scene.det_classes[found.places][pairs.det] == planted.removed.classes[pairs.truth]
    on = same & (pairs.iou >= FITS)
    answer = np.zeros(len(found.places), np.int64)
    answer[pairs.det[on]] = -1  # a weaker detection on the same object teaches neither
    order = np.argsort(scene.det_scores[found.places][pairs.det[on]], kind="stable")
    best = np.full(len(planted.removed), -1, np.int64)
    best[pairs.truth[on][order]] = pairs.det[on][order]
    answer[best[best >= 0]] = 1
    return found.table[answer >= 0], answer[answer >= 0]


def _fit(table: np.ndarray, answer: np.ndarray, seed: int):
    """A boosted classifier, or None where there is nothing to tell apart."""
    # Imported when first used: scikit-learn takes over a second to load.
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    if len(np.unique(answer)) < 2:
        return None
    table, answer = _thinned(table, answer, seed)
    model = HistGradientBoostingClassifier(
        max_iter=60,
        learning_rate=0.1,
        max_leaf_nodes=6,
        min_samples_leaf=30,
        l2_regularization=5.0,
        early_stopping=False,
        random_state=seed,
    )
    # One thread: on a busy machine the threads of many small steps wait for each other, 15 times as long
    # (measured).
    with threadpool_limits(1):
        return model.fit(table, answer)


def _thinned(table: np.ndarray, answer: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """At most MOST_ROWS rows: of the commonest answer only as many as there is room for."""
    values, counts = np.unique(answer, return_counts=True)
    common = values[counts.argmax()]
    room = MOST_ROWS - int(counts.sum() - counts.max())
    if len(answer) <= MOST_ROWS or room <= 0:
        return table, answer
    mine = np.flatnonzero(answer == common)
    kept = np.random.default_rng(seed).choice(mine, room, replace=False)
    rows = np.sort(np.concatenate([kept, np.flatnonzero(answer != common)]))
    return table[rows], answer[rows]


def _probabilities(model, table: np.ndarray, wanted: list[int]) -> np.ndarray:
    out = np.zeros((len(table), len(wanted)))
    if model is None or not len(table):
        return out
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        given = model.predict_proba(table)
    for j, kind in enumerate(wanted):
        at = np.flatnonzero(model.classes_ == kind)
        if len(at):
            out[:, j] = given[:, at[0]]
    return out
