"""The suppressor graph of an image: which kept box ended which other, and at which IoU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.matching.counts import counts
from analysis.matching.matches import Matches
from analysis.misses.image_verdicts import open_replay
from analysis.misses.replay import SUPPRESSED, Boxes, Replay, TrialRun, overlap_of
from analysis.runs.store import Run
from detector.core import Candidates
from detector.nms import PostprocessSettings, select


@dataclass(frozen=True, eq=False)
class SuppressorGraph:
    """E suppressed boxes and what ended them, the best-scored first.

    Args:
        box, by_box: float32 [E, 4], clipped to the image.
        score, by_score: float32 [E].
        class_id, by_class: int32 [E], unified ids; they differ only where boxes of all classes suppress each
            other.
        anchor, by_anchor: int32 [E], rows of the candidates.
        iou: float32 [E], of the unclipped boxes, as post-processing measured it.
        iou_threshold: the NMS IoU they exceed.
    """

    box: np.ndarray
    by_box: np.ndarray
    score: np.ndarray
    by_score: np.ndarray
    class_id: np.ndarray
    by_class: np.ndarray
    anchor: np.ndarray
    by_anchor: np.ndarray
    iou: np.ndarray
    iou_threshold: float

    def __len__(self) -> int:
        return len(self.score)

    def to_dict(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {
            "iou_threshold": self.iou_threshold,
            "edges": [
                {
                    "class": names[self.class_id[e]],
                    "score": float(self.score[e]),
                    "box": self.box[e].tolist(),
                    "anchor": int(self.anchor[e]),
                    "by": {
                        "class": names[self.by_class[e]],
                        "score": float(self.by_score[e]),
                        "box": self.by_box[e].tolist(),
                        "anchor": int(self.by_anchor[e]),
                    },
                    "iou": float(self.iou[e]),
                }
                for e in range(len(self))
            ],
        }


def suppressor_graph(
    run: Run,
    m: Matches,
    i: int,
    candidates: Candidates,
    settings: Mapping[str, Any] | PostprocessSettings | None = None,
    at_least: float = 0.05,
) -> SuppressorGraph | None:
    """Who suppressed whom in image i, among candidates that score `at_least`; None where post-processing
    cannot be replayed.

    Args:
        run, m: the run and its matches; candidates: of this image; settings: as
            `analysis.misses.run.autopsy` takes them.
    """
    replay, found = open_replay(run, TrialRun(run, m, i), candidates, settings)
    return None if found is None else graph_of(replay, at_least)


def graph_of(replay: Replay, at_least: float, iou_threshold: float | None = None) -> SuppressorGraph:
    """The graph of one replay, under another NMS IoU than the detector's where one is given."""
    c = replay.candidates
    values = c.scores.max(axis=1, keepdims=True) if replay.pooled else c.scores
    floor = max(replay.settings.score_threshold, float(np.nextafter(np.float32(at_least), np.float32(0))))
    settings = replace(replay.settings, score_threshold=max(0.0, floor))
    if iou_threshold is not None:
        settings = replace(settings, iou_threshold=iou_threshold)
    trace = select(values, lambda rows: c.xyxy[rows], settings, window=replay.window, every=True)
    fell = np.flatnonzero((trace.fates == SUPPRESSED) & (trace.suppressed_by >= 0))
    by = trace.suppressed_by[fell]

    def classes(rows: np.ndarray) -> np.ndarray:
        columns = c.scores[trace.anchor_ids[rows]].argmax(axis=1) if replay.pooled else trace.class_ids[rows]
        return replay.columns[columns]

    boxes = np.clip(trace.boxes, 0, replay.limit)
    iou = np.array([overlap_of(trace.boxes[a], trace.boxes[b]) for a, b in zip(fell, by)], np.float32)
    return SuppressorGraph(
        boxes[fell],
        boxes[by],
        trace.scores[fell],
        trace.scores[by],
        classes(fell),
        classes(by),
        replay.numbers[trace.anchor_ids[fell]],
        replay.numbers[trace.anchor_ids[by]],
        iou,
        settings.iou_threshold,
    )


@dataclass(frozen=True, eq=False)
class Moved:
    """One image at another NMS IoU, at the thresholds of an autopsy.

    Args:
        graph: who suppresses whom then, among boxes that pass the lowest threshold.
        kept: the boxes that count then; before: those that count as the detector is set.
        back, gone: int64, rows of the truth table: objects found then and not before, and the other way
            round.
        wrong: change in the number of false positives of this image.
    """

    graph: SuppressorGraph
    kept: Boxes
    before: Boxes
    back: np.ndarray
    gone: np.ndarray
    wrong: int


def move_nms(
    run: Run, m: Matches, thresholds: np.ndarray, i: int, replay: Replay, iou_threshold: float
) -> Moved:
    """Post-processing of image i replayed at another NMS IoU.

    Args:
        run, m, thresholds: as an autopsy has them; replay: of this image, down to the lowest threshold at
            least.
        iou_threshold: 0..1; a box goes where its IoU with a surer one exceeds it.
    """
    bench = TrialRun(run, m, i)
    least = float(thresholds.min(initial=1))
    at_least = np.float32(thresholds)

    def judged(boxes: Boxes) -> tuple[Boxes, np.ndarray, int]:
        shown = boxes.scores >= at_least[boxes.class_ids]
        result = bench.match(boxes)
        found = (result.truth_score >= at_least[bench.truth_classes]) & ~bench.crowd
        return Boxes(*(column[shown] for column in boxes)), found, counts(result, thresholds).fp

    before, found, wrong = judged(replay.boxes(at_least=least))
    kept, found_then, wrong_then = judged(
        replay.boxes(replace(replay.settings, iou_threshold=iou_threshold), at_least=least)
    )
    return Moved(
        graph_of(replay, least, iou_threshold),
        kept,
        before,
        bench.first + np.flatnonzero(found_then & ~found),
        bench.first + np.flatnonzero(found & ~found_then),
        wrong_then - wrong,
    )
