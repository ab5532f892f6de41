"""The exact verdict: one image's candidates taken through the detector's own post-processing, rule by rule.

A verdict is proved by replaying with the rule it names changed and seeing the object come back. Where a
replay with the detector's settings does not give the stored detections (a simulated detector, settings that
it does not state), nothing can be replayed; then the candidates still say whether an anchor and a box reach
the object and what score it had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from analysis.matching.matches import Matches
from analysis.misses.causes import (
    BELOW_THRESHOLD,
    CAPPED,
    NO_ANCHOR,
    NO_BOX,
    NOT_STORED,
    OUTSCORED,
    REPLAYED,
    SHOWN,
    SUPPRESSED,
    UNKNOWN_CLASS,
    WRONG_CLASS,
    Evidence,
)
from analysis.misses.missed_objects import MissedObjects
from analysis.misses.proofs import SETTINGS, Change, Proof
from analysis.misses.replay import (
    CLASS_CAP,
    KEPT,
    Boxes,
    Replay,
    TrialRun,
    agrees,
    settings_in,
    suppresses_across_classes,
)
from analysis.misses.replay import SUPPRESSED as FELL
from analysis.runs.store import Run
from detector.boxes import iou as box_iou
from detector.core import Candidates
from detector.nms import PostprocessSettings

STEPS = 24
"""Rules changed one after another before a search for what brings an object back gives up."""


@dataclass
class ImageVerdicts:
    """What candidates told about the misses of one image.

    Args:
        rows: q -> columns of `Evidence` that they fill.
        proofs: q -> Proof.
        replay: the replay, or None where it did not give the stored detections.
    """

    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    proofs: dict[int, Proof] = field(default_factory=dict)
    replay: Replay | None = None


def columns_of(run: Run, candidates: Candidates) -> np.ndarray:
    """int32 [detector classes], the unified class id of each column of the candidates."""
    return np.array([link.class_id for link in run.manifest.classes.links], np.int32)


def open_replay(
    run: Run,
    bench: TrialRun,
    candidates: Candidates,
    settings: Mapping[str, Any] | PostprocessSettings | None,
) -> tuple[Replay, Boxes | None]:
    """(the replay of an image, its detections; None where they are not those the run stored)."""
    if settings is None:
        settings = run.manifest.detector.settings
    pooled = False
    if not isinstance(settings, PostprocessSettings):
        pooled = suppresses_across_classes(settings)
        settings = settings_in(settings)
    columns = columns_of(run, candidates)
    replay = Replay(
        candidates, columns, settings, pooled, guess=_expected(bench.stored, columns, pooled, len(candidates))
    )
    boxes = replay.boxes()
    return replay, boxes if agrees(boxes, bench.stored, run.floor, candidates.image_size) else None


def _expected(
    stored: Boxes, columns: np.ndarray, pooled: bool, anchors: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """(anchors, columns) of the stored detections, where the run names their anchors."""
    if not len(stored.anchors) or stored.anchors.min() < 0 or stored.anchors.max() >= anchors:
        return None
    column = {int(u): k for k, u in enumerate(columns)}
    return stored.anchors, np.array(
        [0 if pooled else column.get(int(c), -1) for c in stored.class_ids], np.int64
    )


def explain_image(
    run: Run,
    m: Matches,
    thresholds: np.ndarray,
    i: int,
    evidence: Evidence,
    candidates: Candidates,
    settings: Mapping[str, Any] | PostprocessSettings | None = None,
    anchor_bound: float = 0.5,
) -> ImageVerdicts:
    """The misses of image i, from its candidates.

    Args:
        run, m, thresholds: the run, its class-aware matches, thresholds float32 [K].
        evidence: of the whole run, from its stored detections.
        candidates: of this image.
        settings: of post-processing; None takes what the run's manifest states.
        anchor_bound: from this IoU on an anchor reaches an object (training assigns by 0.5).
    """
    mine = np.flatnonzero(m.truth_rows[evidence.truth] == i)
    out = ImageVerdicts()
    bench = TrialRun(run, m, i)
    replay, found = open_replay(run, bench, candidates, settings)
    out.replay = None if found is None else replay
    mine = mine[evidence.cause[mine] != UNKNOWN_CLASS]
    if not len(mine):
        return out
    missed = [int(evidence.truth[q]) - bench.first for q in mine]
    case = _Case(bench, replay, thresholds, found, min(m.iou, 1 - 1e-10), anchor_bound, missed)
    case.find_wrong_names(missed)
    for q in mine.tolist():
        row, proof = case.verdict(int(evidence.truth[q]) - bench.first, int(evidence.cause[q]))
        out.rows[q] = row
        if proof is not None:
            out.proofs[q] = proof
    return out


class _Case(MissedObjects):
    """A verdict for each miss of one image."""

    def verdict(self, j: int, told: int) -> tuple[dict[str, Any], Proof | None]:
        """(columns, proof) of object j; `told` is what the stored detections said."""
        c = self.replay.candidates
        k = self.column[int(self.bench.truth_classes[j])]
        reach, fit = self.reach.get(j, -1.0), self.fit[j]
        fits = np.flatnonzero(fit >= self.bound)
        row: dict[str, Any] = {"tier": REPLAYED if self.exact else SHOWN, "anchor_iou": reach}
        if not len(fits):
            best = int(np.argmax(fit)) if len(c) else -1
            if told in (NOT_STORED, 0):
                row["cause"] = NO_ANCHOR if 0 <= reach < self.anchor_bound else NO_BOX
            row |= {"iou": float(self.fit[j][best]) if best >= 0 else 0.0, **self._where(best)}
            return row, self._hopeless(j, k) if "cause" in row else None
        best = int(fits[np.argmax(c.scores[fits, k])])
        threshold = float(self.thresholds[self.bench.truth_classes[j]])
        row |= {"score": float(c.scores[best, k]), "iou": float(self.fit[j][best]), **self._where(best)}
        if not self.exact:
            return self._shown(j, k, fits, threshold, told, row)
        row |= {"det": -1, "rival": -1, "other_class": -1, "other_score": -1}
        kept = np.flatnonzero(self._kept_fits(j))
        if len(kept):
            # A box of its own may have been removed too: then that is the cause, for with it there are two
            # for two.
            own = fits[(self.fit[j][fits] > self._rivals(fits, j)) & self.replay.supports(fits, k)]
            if len(own) and c.scores[own, k].max() >= np.float32(threshold):
                removed, proof = self._removed(j, k, own, threshold, dict(row))
                if proof.found and proof.changes[-1].rule != "rival":
                    return removed, proof
            return self._outscored(j, int(kept[0]), threshold, row)
        own = fits[self.replay.supports(fits, k)]
        if len(own) and c.scores[own, k].max() >= np.float32(threshold):
            return self._removed(j, k, own, threshold, row)
        if j in self.named:
            return self._misnamed(j, k, threshold, row)
        return self._low(
            j, k, best if not len(own) else int(own[np.argmax(c.scores[own, k])]), threshold, row
        )

    def _hopeless(self, j: int, k: int) -> Proof:
        c = self.replay.candidates
        able = np.flatnonzero(c.scores[:, k] > 0)  # no threshold lets a score of 0 through
        all_ = Boxes(
            self.replay.clipped[able], c.scores[able, k], np.full(len(able), self.replay.columns[k]), able
        )
        return self.bench.cannot_match(all_, j, "post-processing" if self.exact else "matching")

    def _outscored(self, j: int, d: int, threshold: float, row: dict) -> tuple[dict, Proof]:
        b = self.base
        rival = int(self.matched.det_truth[d])
        overlap = float(box_iou(b.xyxy[d : d + 1], self.bench.truth_xyxy[j : j + 1])[0, 0])
        row |= {
            "cause": OUTSCORED,
            "score": float(b.scores[d]),
            "iou": overlap,
            "det": self._stored(b, d),
            "rival": self.bench.first + rival if rival >= 0 else -1,
            **self._where(int(b.anchors[d])),
        }
        return row, self.bench.run_trial([Change("rival")], b, j, threshold, "post-processing")

    def _misnamed(self, j: int, k: int, threshold: float, row: dict) -> tuple[dict, Proof]:
        b, d = self.base, self.named[j]
        anchor = int(b.anchors[d])
        c = self.replay.candidates
        overlap = float(box_iou(b.xyxy[d : d + 1], self.bench.truth_xyxy[j : j + 1])[0, 0])
        row |= {
            "cause": WRONG_CLASS,
            "score": float(c.scores[anchor, k]),
            "iou": overlap,
            "det": self._stored(b, d),
            "other_class": int(b.class_ids[d]),
            "other_score": float(b.scores[d]),
            **self._where(anchor),
        }
        scores = c.scores.copy()
        other = self.column[int(b.class_ids[d])]
        scores[anchor, k], scores[anchor, other] = scores[anchor, other], 0
        least = min(threshold, float(b.scores[d]))
        changes = [Change("name")]
        if least < threshold:
            changes.append(Change("threshold", threshold, least))
        proof = self.bench.run_trial(
            changes, self.replay.boxes(scores=scores, at_least=least), j, least, "post-processing"
        )
        if (
            not proof.found
        ):  # a box of the right name beside it suppresses it: the box itself is renamed, after NMS
            classes = b.class_ids.copy()
            classes[d] = self.bench.truth_classes[j]
            proof = self.bench.run_trial(changes, b._replace(class_ids=classes), j, least, "post-processing")
        return row, proof

    def _low(self, j: int, k: int, best: int, threshold: float, row: dict) -> tuple[dict, Proof]:
        score, overlap = float(self.matched.truth_score[j]), float(self.matched.truth_iou[j])
        row |= {"cause": BELOW_THRESHOLD}
        if score >= 0:
            d = int(self.matched.truth_det[j])
            row |= {
                "score": score,
                "iou": overlap,
                "det": self._stored(self.base, d),
                **self._where(int(self.base.anchors[d])),
            }
            return row, self.bench.run_trial(
                [Change("threshold", threshold, score)], self.base, j, score, "post-processing"
            )
        value = float(self.replay.candidates.scores[best, k])
        row |= {"score": value, "iou": float(self.fit[j][best]), **self._where(best)}
        if value <= 0:
            return row, self._hopeless(j, k)
        if not self.replay.supports(np.array([best]), k)[0]:
            return self._outvoted(j, k, best, threshold, row)
        proof, by = self._let_through(j, k, best, value, [Change("threshold", threshold, value)])
        return row | by, proof

    def _outvoted(self, j: int, k: int, anchor: int, threshold: float, row: dict) -> tuple[dict, Proof]:
        """Where a box has one class only: every box that fits has a better score for another."""
        r = self.replay
        other = int(r.candidates.scores[anchor].argmax())
        value = float(r.candidates.scores[anchor, other])
        named = value >= self.thresholds[r.columns[other]]
        row |= {
            "cause": WRONG_CLASS if named else BELOW_THRESHOLD,
            "other_class": int(r.columns[other]),
            "other_score": value,
        }
        scores = r.candidates.scores.copy()
        scores[anchor, k], scores[anchor, other] = value, 0
        c = r.candidates
        renamed = Replay(Candidates(c.xyxy, scores, c.image_size), r.columns, r.settings, r.pooled)
        least = min(threshold, value)
        changes = [Change("name"), *([Change("threshold", threshold, least)] if least < threshold else [])]
        proof, by = self._let_through(j, k, anchor, least, changes, renamed)
        return row | by, proof

    def _removed(self, j: int, k: int, fits: np.ndarray, threshold: float, row: dict) -> tuple[dict, Proof]:
        """A box of its class fits and passes the threshold, and is not among the detections: NMS or a cap
        took it.
        """
        c = self.replay.candidates
        able = fits[
            (c.scores[fits, k] >= np.float32(threshold))
            & (c.scores[fits, k] > self.replay.settings.score_threshold)
        ]
        if not len(able):  # the detector's own score_threshold is the higher one
            proof, by = self._let_through(j, k, int(fits[np.argmax(c.scores[fits, k])]), threshold, [])
            return row | {"cause": BELOW_THRESHOLD} | by, proof
        able = able[np.argsort(-c.scores[able, k], kind="stable")][:6]
        results = []
        for anchor in able.tolist():
            proof, by = self._let_through(j, k, anchor, threshold, [])
            cause = SUPPRESSED if by else CAPPED
            here = {
                "cause": cause,
                "score": float(c.scores[anchor, k]),
                "iou": float(self.fit[j][anchor]),
                **by,
                **self._where(anchor),
            }
            results.append((not proof.found, len(proof.changes), here, proof))
            if proof.found and len(proof.changes) == 1:
                break
        _, _, here, proof = min(results, key=lambda r: r[:2])
        return row | here, proof

    def _let_through(
        self,
        j: int,
        k: int,
        anchor: int,
        threshold: float,
        changes: list[Change],
        replay: Replay | None = None,
    ) -> tuple[Proof, dict[str, Any]]:
        """Change, one after another, the rules that stand in a candidate's way, until its object is found."""
        replay = self.replay if replay is None else replay
        now, by, score = replay.settings, {}, float(replay.candidates.scores[anchor, k])
        if score <= now.score_threshold:
            now = replace(now, score_threshold=float(np.nextafter(np.float32(score), np.float32(0))))
        proof = None
        for _ in range(STEPS):
            fate, suppressor, overlap = replay.fate(anchor, k, now)
            boxes = replay.boxes(now, at_least=min(score, threshold))
            there = ((boxes.anchors == anchor) & (boxes.class_ids == replay.columns[k])).any()
            if now != replay.settings or there:
                tried = self.bench.run_trial(
                    [*changes, *self._changed(now)], boxes, j, threshold, "post-processing"
                )
                if there or (tried.found and tried.changes[-1].rule != "rival"):
                    return tried, by
                proof = tried if tried.found else proof
            if fate == FELL:
                if not by:
                    by = self._suppressor(replay, suppressor, k, overlap)
                now = replace(now, iou_threshold=min(1.0, overlap))
            elif fate == CLASS_CAP:
                rule = "max_total_detections" if replay.pooled else "max_detections_per_class"
                now = replay.changed(now, rule, replay.rank(now, anchor, k))
            elif fate == KEPT:
                now = replay.changed(now, "max_total_detections", replay.rank(now, anchor, k, of_all=True))
            else:
                break
        return proof or Proof((*changes, *self._changed(now)), "post-processing", True, False), by

    def _changed(self, now: PostprocessSettings) -> list[Change]:
        was = self.replay.settings
        names = [
            n
            for n in SETTINGS
            if getattr(was, n) != getattr(now, n)
            and not (self.replay.pooled and n == "max_detections_per_class")
        ]
        return [Change(name, getattr(was, name), getattr(now, name)) for name in names]

    def _suppressor(self, replay: Replay, anchor: int, k: int, overlap: float) -> dict[str, Any]:
        """Columns about the box that suppressed another; its class where that is another one."""
        column = int(replay.candidates.scores[anchor].argmax()) if replay.pooled else k
        by = {
            "by_iou": overlap,
            "by_score": float(replay.candidates.scores[anchor, column]),
            "det": self._stored_anchor(anchor, column),
        }
        return by | ({"other_class": int(replay.columns[column])} if column != k else {})

    def _stored_anchor(self, anchor: int, k: int) -> int:
        at = np.flatnonzero((self.base.anchors == anchor) & (self.base.class_ids == self.replay.columns[k]))
        return self._stored(self.base, int(at[0])) if len(at) else -1

    def _shown(
        self, j: int, k: int, fits: np.ndarray, threshold: float, told: int, row: dict
    ) -> tuple[dict, Proof | None]:
        """Without a replay: what the stored detections and the candidates say together."""
        c, s = self.replay.candidates, self.bench.stored
        if told == OUTSCORED:
            here = s.anchors[s.class_ids == self.replay.columns[k]]
            fits = fits[
                (self.fit[j][fits] > self._rivals(fits, j))
                & (c.scores[fits, k] >= np.float32(threshold))
                & ~np.isin(fits, here)
            ]
        if told not in (NOT_STORED, OUTSCORED) or not len(
            fits
        ):  # the stored box stands for the candidate it came from
            known = ("tier", "anchor_iou", "anchor", "level", *(("score",) if told == WRONG_CLASS else ()))
            return {name: row[name] for name in known}, None
        best = int(fits[np.argmax(c.scores[fits, k])])
        row |= {
            "score": float(c.scores[best, k]),
            "iou": float(self.fit[j][best]),
            "det": -1,
            "rival": -1,
            **self._where(best),
        }
        score = float(c.scores[best, k])
        added = Boxes(
            np.concatenate([s.xyxy, self.replay.clipped[best : best + 1]]),
            np.append(s.scores, np.float32(score)),
            np.append(s.class_ids, self.replay.columns[k]).astype(np.int32),
            np.append(s.anchors, best),
        )
        changes = [Change("box")]
        if score < np.float32(threshold):
            changes.append(Change("threshold", threshold, score))
            row["cause"] = BELOW_THRESHOLD
        else:
            better = np.flatnonzero((s.class_ids == self.replay.columns[k]) & (s.scores >= np.float32(score)))
            overlap = box_iou(c.xyxy[best : best + 1], s.xyxy[better])[0]
            by = int(np.argmax(overlap)) if len(better) else -1
            if by >= 0 and overlap[by] > 0:
                row |= {
                    "cause": SUPPRESSED,
                    "by_iou": float(overlap[by]),
                    "by_score": float(s.scores[better[by]]),
                    "det": self.bench.first_det + int(better[by]),
                }
            else:
                row["cause"] = CAPPED
        return row, self.bench.run_trial(changes, added, j, min(score, threshold), "matching")
