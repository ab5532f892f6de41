"""The suspects of a run: which labels to look at first, why, and what each is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.matching.match import match_run
from analysis.matching.matches import FALSE_POSITIVES, Matches, Verdict
from analysis.matching.operating_point import Threshold, class_thresholds
from analysis.suspects.boxes import Scene, scene_of
from analysis.suspects.planting import KINDS
from analysis.suspects.ranking import LABEL_KINDS, Ranking, rank
from detector.errors import InputError

LEAST_SUSPICION = 0.2
"""Below it nothing is listed: the model holds the label to be right."""
LEAST_LABELS = 30


@dataclass(frozen=True)
class Suspect:
    """One label that is probably wrong, or one object that probably lacks a label.

    Args:
        key: the same in every run over the same labels: kind, image and object or place. For kept decisions.
        kind: one of `KINDS`; suspicion: 0..1, for the order, not a probability.
        row, sample: the image. object: the label's place in the run's truth table, -1 for a missing one.
        detection: the detection that speaks against the label, or shows the missing one; -1 where none does.
        twin: the other label of a pair that looks like a duplicate, -1 otherwise.
        label_class, seen_class: names; "" without. xyxy: the label, or the detection that shows the missing
            object.
        score: of `detection`; iou: of label and detection (duplicate: of the two labels).
        counts: what the operating point makes of it today: "missed", "found", "wrong" or "below the
            threshold".
        worth: objects found plus wrong detections saved if the label is corrected as suspected, 0, 1 or 2.
        reason: one sentence.
    """

    key: str
    kind: str
    suspicion: float
    row: int
    sample: str
    object: int
    detection: int
    twin: int
    label_class: str
    seen_class: str
    xyxy: tuple[float, float, float, float]
    score: float
    iou: float
    counts: str
    worth: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class Suspects:
    """The list, the most suspicious first, and what was looked at.

    Args:
        suspects: at most one per label or detection, of its likeliest kind.
        labels, images: looked at. warning: "" or why the list may be worth little.
        recall_now, recall_then: at the threshold, today and if every suspect were corrected as suspected.
    """

    suspects: tuple[Suspect, ...]
    labels: int
    images: int
    recall_now: float | None
    recall_then: float | None
    warning: str = ""

    def of(self, kind: str | None = None) -> tuple[Suspect, ...]:
        return tuple(s for s in self.suspects if kind is None or s.kind == kind)

    def counts(self) -> dict[str, int]:
        return {kind: len(self.of(kind)) for kind in KINDS}

    def to_dict(self) -> dict[str, Any]:
        return {
            "labels": self.labels,
            "images": self.images,
            "counts": self.counts(),
            "recall_now": self.recall_now,
            "recall_if_corrected": self.recall_then,
            "warning": self.warning,
            "suspects": [s.to_dict() for s in self.suspects],
        }


def find_suspects(
    run: Any,
    *,
    matches: Matches | None = None,
    threshold: Threshold = 0.5,
    iou: float = 0.5,
    least: float = LEAST_SUSPICION,
    seed: int = 0,
) -> Suspects:
    """The labels of a run that are probably wrong, and the objects that probably lack one.

    Args:
        matches: of the run at `iou`, class-aware, to save time.
        threshold: of the operating point that `counts` and `worth` speak of.
        least: suspicion in 0..1 from which on something is listed.

    Raises:
        InputError: fewer than 30 labels, or no detection, in judged images: nothing to learn from.
    """
    scene = scene_of(run)
    if len(scene.labels) < LEAST_LABELS or not len(scene.det_rows):
        raise InputError(
            f"suspects: expected at least {LEAST_LABELS} labels and a detection in judged images, got"
            f" {len(scene.labels)} and {len(scene.det_rows)}."
        )
    m = match_run(run, iou) if matches is None else matches
    ranking = rank(scene, seed)
    state = _State(run, scene, m, class_thresholds(threshold, m.num_classes))
    found = [*_labels(ranking, state, least), *_missing(ranking, state, least)]
    found.sort(key=lambda s: (-s.suspicion, s.row, s.object, s.detection))
    counted = m.truth_counted
    objects, hits = int(counted.sum()), int((counted & state.found).sum())
    gained = sum(s.worth > 0 and s.kind in ("wrong name", "badly placed", "missing") for s in found)
    gone = sum(s.kind in ("spurious", "duplicate") and s.counts == "missed" for s in found)
    more = sum(s.kind == "missing" for s in found)
    then = objects - gone + more
    return Suspects(
        tuple(found),
        len(scene.labels),
        int(m.judged.sum()),
        hits / objects if objects else None,
        min(1.0, (hits + gained) / then) if then > 0 else None,
        trained_on_warning(run),
    )


def trained_on_warning(run: Any) -> str:
    """A sentence where the detector may have seen these very labels in training, else ""."""
    splits = {s for s in run.splits if s}
    seen = sorted(s for s in splits if s in ("train", "trainval"))
    if not seen:
        return ""
    return (
        f"Images of the split {' and '.join(seen)} are among these. A detector repeats the errors of labels"
        " it was trained on, so they stay hidden: judge images it has not seen, or train on one half and"
        " judge the other."
    )


class _State:
    """What the run makes of each label and detection at the operating point."""

    def __init__(self, run: Any, scene: Scene, m: Matches, thresholds: np.ndarray):
        self.run, self.scene = run, scene
        self.kept = m.det_scores >= thresholds[m.det_classes]
        self.wrong = self.kept & np.isin(m.det_kind, FALSE_POSITIVES)
        found = m.truth_det >= 0
        found[found] = self.kept[m.truth_det[found]] & (m.det_kind[m.truth_det[found]] == Verdict.CORRECT)
        self.found = found
        self.names = run.class_map.names

    def of_label(self, place: int) -> str:
        return "found" if self.found[place] else "missed"

    def of_detection(self, place: int) -> str:
        if self.wrong[place]:
            return "wrong"
        return "correct" if self.kept[place] else "below the threshold"


def _labels(ranking: Ranking, state: _State, least: float) -> list[Suspect]:
    scores = ranking.labels
    likeliest = scores.argmax(axis=1) if scores.size else np.zeros(0, int)
    f, scene = ranking.features, state.scene
    out: list[Suspect] = []
    done: set[int] = set()
    top = scores.max(axis=1, initial=0)
    for i in np.argsort(-top, kind="stable").tolist():
        if top[i] < least:
            break
        kind = LABEL_KINDS[likeliest[i]]
        if kind == "duplicate" and int(f.twin[i]) in done:
            continue  # of a pair, one is enough
        done.add(i)
        det = int({"wrong name": f.other, "badly placed": f.same}.get(kind, f.same)[i])
        out.append(_label_suspect(i, kind, float(top[i]), det, ranking, state, scene))
    return out


def _label_suspect(
    i: int, kind: str, suspicion: float, det: int, ranking: Ranking, state: _State, scene: Scene
) -> Suspect:
    run, names = state.run, state.names
    labels, place = scene.labels, int(scene.labels.source[i])
    twin = int(ranking.features.twin[i]) if kind == "duplicate" else -1
    source = int(scene.det_source[det]) if det >= 0 else -1
    score = float(scene.det_scores[det]) if det >= 0 else 0.0
    seen = names[scene.det_classes[det]] if det >= 0 else ""
    other = labels.xyxy[twin] if twin >= 0 else scene.det_xyxy[det] if det >= 0 else None
    iou = 0.0 if other is None else _iou(labels.xyxy[i], other)
    counts = state.of_label(place)
    worth = _worth(kind, counts, bool(source >= 0 and state.wrong[source]))
    row, name = int(labels.rows[i]), names[labels.classes[i]]
    return Suspect(
        key=f"{kind}|{run.sample_ids[row]}|{int(run.truth.ids[place])}",
        kind=kind,
        suspicion=suspicion,
        row=row,
        sample=run.sample_ids[row],
        object=place,
        detection=source,
        twin=int(labels.source[twin]) if twin >= 0 else -1,
        label_class=name,
        seen_class=seen,
        xyxy=tuple(float(v) for v in labels.xyxy[i]),
        score=score,
        iou=iou,
        counts=counts,
        worth=worth,
        reason=_reason(kind, name, seen, score, iou),
    )


def _missing(ranking: Ranking, state: _State, least: float) -> list[Suspect]:
    scene, run, names = state.scene, state.run, state.names
    out: list[Suspect] = []
    taken: dict[int, list[np.ndarray]] = {}
    for c in np.argsort(-ranking.missing, kind="stable").tolist():
        if ranking.missing[c] < least:
            break
        det = int(ranking.detections.places[c])
        row, box = int(scene.det_rows[det]), scene.det_xyxy[det]
        if any(_iou(box, other) >= 0.5 for other in taken.get(row, ())):
            continue  # a weaker detection of the same object
        taken.setdefault(row, []).append(box)
        source = int(scene.det_source[det])
        score, name = float(scene.det_scores[det]), names[scene.det_classes[det]]
        place = "-".join(str(round(v)) for v in box.tolist())
        counts = state.of_detection(source)
        out.append(
            Suspect(
                key=f"missing|{run.sample_ids[row]}|{name}|{place}",
                kind="missing",
                suspicion=float(ranking.missing[c]),
                row=row,
                sample=run.sample_ids[row],
                object=-1,
                detection=source,
                twin=-1,
                label_class="",
                seen_class=name,
                xyxy=tuple(float(v) for v in box),
                score=score,
                iou=0.0,
                counts=counts,
                worth=2 if counts == "wrong" else 0,
                reason=_reason("missing", "", name, score, 0.0),
            )
        )
    return out


def _worth(kind: str, counts: str, wrong: bool) -> int:
    """Objects found plus wrong detections saved at the operating point if the label is corrected as
    suspected.
    """
    if kind in ("wrong name", "badly placed"):
        return (counts == "missed") * wrong * 2
    return int(counts == "missed")


def _reason(kind: str, label: str, seen: str, score: float, iou: float) -> str:
    if kind == "wrong name":
        against = (
            f"the detector sees {seen} ({score:.2f}) on it" if seen else "no detection supports the name"
        )
        return f"Labelled {label}, {against}, IoU {iou:.2f}."
    if kind == "badly placed":
        return f"The detector's {seen or label} ({score:.2f}) lies elsewhere: IoU {iou:.2f} with the label."
    if kind == "duplicate":
        return f"Two labels of one {label}: IoU {iou:.2f}."
    if kind == "spurious":
        best = (
            f"the best support is {seen} {score:.2f} at IoU {iou:.2f}"
            if seen
            else "nothing at all is detected there"
        )
        return f"Labelled {label}, but {best}."
    return f"The detector sees {seen} ({score:.2f}) where no label is."


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inter = max(0.0, width) * max(0.0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return float(inter / union) if union > 0 else 0.0
