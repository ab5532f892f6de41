"""The autopsy of a run: for every missed object one verdict with its evidence, the change that would rescue
it, its price.

result = autopsy(run, threshold=0.5)                     every miss, from the stored detections: fast
result = autopsy(run, candidates={sample_id: candidates})   exact for these images, proved by a replay
result.counts()                                          {"below threshold": 41, "wrong class": 12, ...}
result.sentence(q), result.proof(q), result.rescues(q)   of one miss
result.best_changes()                                    the best settings to change next
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.matching.counts import counts
from analysis.matching.match import match_run
from analysis.matching.matches import Matches
from analysis.matching.operating_point import OperatingPoint, Threshold, class_thresholds, operating_point
from analysis.misses.causes import CAUSES, TIERS, Evidence, run_evidence
from analysis.misses.image_verdicts import explain_image
from analysis.misses.prices import Rescue, best_changes, threshold_prices, threshold_rescues
from analysis.misses.proofs import Change, Proof
from analysis.misses.replay import Replay, TrialRun
from analysis.misses.sentences import sentence
from analysis.misses.trials import Trials
from analysis.runs.store import Run
from detector.bridges import notebook
from detector.core import Candidates
from detector.errors import InputError, LawError
from detector.nms import PostprocessSettings

CandidateSource = Mapping[Any, Candidates] | Callable[[int], Candidates | None]


@dataclass(frozen=True, eq=False)
class Autopsy:
    """The misses of a run at one operating point, Q of them.

    Args:
        run, matches: what it rests on.
        thresholds: float32 [K], the threshold of each class; point: the operating point.
        evidence: one row a miss (`analysis.misses.causes.Evidence`), in the order of the truth table.
        rescue_gained, rescue_wrong: int64 [Q], the price of the smallest threshold change that brings it
            back: that of its class; -1 where none does. rescue_precision, rescue_recall, rescue_f1: float64
            [Q], NaN there.
        proofs: of misses whose image was replayed; `proof` makes the others.
        replays: image position -> Replay, of images whose post-processing could be replayed, down to the
            lowest threshold.
        shown: images whose candidates were looked at.
    """

    run: Run
    matches: Matches
    thresholds: np.ndarray
    point: OperatingPoint
    evidence: Evidence
    rescue_gained: np.ndarray
    rescue_wrong: np.ndarray
    rescue_precision: np.ndarray
    rescue_recall: np.ndarray
    rescue_f1: np.ndarray
    proofs: dict[int, Proof] = field(default_factory=dict, repr=False)
    replays: dict[int, Replay] = field(default_factory=dict, repr=False)
    shown: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.evidence)

    @property
    def causes(self) -> np.ndarray:
        """[Q] names of the causes."""
        return np.array(["", *CAUSES])[self.evidence.cause]

    @property
    def rows(self) -> np.ndarray:
        """int64 [Q], the image of each miss."""
        return self.matches.truth_rows[self.evidence.truth].astype(np.int64)

    def counts(self) -> dict[str, int]:
        """Misses by cause, in the order of `CAUSES`, those without any included; they sum to the misses."""
        found = np.bincount(self.evidence.cause, minlength=len(CAUSES) + 1)
        return {name: int(found[code]) for code, name in enumerate(CAUSES, 1)}

    def _repr_html_(self) -> str:
        rows = [(name, count) for name, count in self.counts().items() if count]
        low, high = (f"{v:g}" for v in (self.thresholds.min(initial=1), self.thresholds.max(initial=0)))
        at = f"threshold {low}" if low == high else f"thresholds {low} to {high} by class"
        caption = f"{self.run.name}: {len(self):,} missed at {at}"
        return notebook.table(caption, ("cause", "misses"), rows)

    def of(self, cause: str) -> np.ndarray:
        """int64, the misses of one cause.

        Raises:
            InputError: no such cause.
        """
        if cause not in CAUSES:
            raise InputError(f"cause: expected one of {', '.join(CAUSES)}, got {cause!r}.")
        return np.flatnonzero(self.evidence.cause == CAUSES.index(cause) + 1)

    def miss_of(self, truth: int) -> int | None:
        """The place of an object (truth row) among the misses, None where it is not missed."""
        at = int(np.searchsorted(self.evidence.truth, truth))
        return at if at < len(self) and self.evidence.truth[at] == truth else None

    def sentence(self, q: int) -> str:
        """What became of the object, in one sentence."""
        return sentence(self, q)

    def tier(self, q: int) -> str:
        """How the verdict was reached: "run", "candidates" or "replay"."""
        return TIERS[int(self.evidence.tier[q])]

    def proof(self, q: int) -> Proof:
        """The verdict put to the test: by replayed post-processing where that could be done, else by matching
        the stored detections of the image anew with one rule changed."""
        if q not in self.proofs:
            self.proofs[q] = _stored_proof(self, q)
        return self.proofs[q]

    def rescues(self, q: int) -> list[Rescue]:
        """The single changes of a setting that bring the object back, the one with the fewest new false
        positives first.
        """
        e, out = self.evidence, []
        class_id = int(self.matches.truth_classes[e.truth[q]])
        if e.back_score[q] >= 0:
            out += threshold_rescues(self.matches, self.thresholds, class_id, float(e.back_score[q]))
        settings = [c for c in self.proofs[q].changes] if q in self.proofs and self.proofs[q].found else []
        if len(settings) == 1 and (priced := self.trials.price(settings[0])) is not None:
            out.append(priced)
        return sorted(out, key=lambda r: (r.wrong, -r.gained))

    @property
    def trials(self) -> Trials:
        """Post-processing with other settings over the images that can be replayed."""
        if "_trials" not in self.__dict__:
            object.__setattr__(self, "_trials", Trials(self.run, self.matches, self.thresholds, self.replays))
        return self.__dict__["_trials"]

    def best_changes(self, most: int = 10) -> list[Rescue]:
        """The best single changes of a setting, by F1 after: thresholds over the whole run, NMS and caps over
        the images that can be replayed."""
        extra = {}
        for proof in self.proofs.values():
            if (
                proof.found
                and len(proof.changes) == 1
                and (r := self.trials.price(proof.changes[0])) is not None
            ):
                extra[(r.rule, r.value)] = r
        return best_changes(self.matches, self.thresholds, extra.values(), most)

    def to_dict(
        self, misses: Iterable[int] | None = None, *, proofs: bool = False, changes: bool = True
    ) -> dict[str, Any]:
        """Plain values for JSON: the operating point, counts by cause, one entry per miss (all, or those
        given), the best changes. `proofs` puts each verdict to the test."""
        chosen = range(len(self)) if misses is None else misses
        names = self.run.class_map.names
        return {
            "operating_point": self.point.to_dict(self.run.class_map),
            "counts": counts(self.matches, self.thresholds).to_dict(),
            "causes": self.counts(),
            "misses": [self._entry(int(q), proofs) for q in chosen],
            "best_changes": [r.to_dict(names) for r in self.best_changes()] if changes else None,
        }

    def _entry(self, q: int, proofs: bool) -> dict[str, Any]:
        e, t, names = self.evidence, self.run.truth, self.run.class_map.names
        j = int(e.truth[q])

        def number(values: np.ndarray) -> float | None:
            return None if values[q] < 0 else float(values[q])

        entry = {
            "sample": self.run.sample_ids[int(t.rows[j])],
            "object": int(t.ids[j]),
            "class": names[t.class_ids[j]],
            "box": [float(v) for v in t.xyxy[j]],
            "cause": str(self.causes[q]),
            "sentence": self.sentence(q),
            "from": self.tier(q),
            "score": number(e.score),
            "iou": float(e.iou[q]),
            "detection": int(e.det[q]) if e.det[q] >= 0 else None,
            "other_class": names[e.other_class[q]] if e.other_class[q] >= 0 else None,
            "other_score": number(e.other_score),
            "rival_object": int(t.ids[e.rival[q]]) if e.rival[q] >= 0 else None,
            "suppressor_iou": number(e.by_iou),
            "suppressor_score": number(e.by_score),
            "anchor": int(e.anchor[q]) if e.anchor[q] >= 0 else None,
            "level": int(e.level[q]) if e.level[q] >= 0 else None,
            "anchor_iou": number(e.anchor_iou),
            "rescues": [r.to_dict(names) for r in self.rescues(q)],
        }
        return entry | ({"proof": self.proof(q).to_dict()} if proofs or q in self.proofs else {})


def autopsy(
    run: Run,
    threshold: Threshold = 0.5,
    iou: float = 0.5,
    *,
    candidates: CandidateSource | None = None,
    settings: Mapping[str, Any] | PostprocessSettings | None = None,
    images: Iterable[int] | None = None,
    matches: Matches | None = None,
) -> Autopsy:
    """Why every missed object was missed.

    Args:
        run: a Run.
        threshold: the confidence threshold, one number or one per class [K].
        iou: a detection fits an object from this IoU on.
        candidates: of some or all images: {sample id or position: Candidates}, or a function position ->
            Candidates or None. Verdicts of these images are exact where post-processing can be replayed.
        settings: of the detector's post-processing (`info.settings`); None takes those of the run's manifest.
        images: positions of the images to ask `candidates` for; None: all with a miss.
        matches: class-aware matches of this run at this IoU, to save time.

    The empty case is a run without a miss: Q = 0.

    Raises:
        InputError: a bad threshold or IoU, or matches that are others.
        LawError: causes and misses do not add up.
    """
    m = match_run(run, iou) if matches is None else matches
    if m.iou != iou or not m.class_aware or len(m.det_rows) != len(run.detections.rows):
        raise InputError("autopsy: expected class-aware matches of this run at this IoU.")
    thresholds = class_thresholds(threshold, m.num_classes)
    evidence = run_evidence(run, m, thresholds)
    proofs: dict[int, Proof] = {}
    replays: dict[int, Replay] = {}
    shown: list[int] = []
    if candidates is not None:
        told: dict[int, dict[str, Any]] = {}
        for i, found in _candidates(run, candidates, images, np.unique(m.truth_rows[evidence.truth])):
            verdicts = explain_image(run, m, thresholds, i, evidence, found, settings)
            told |= verdicts.rows
            proofs |= verdicts.proofs
            shown.append(i)
            if verdicts.replay is not None:
                replays[i] = verdicts.replay.trimmed(float(thresholds.min(initial=1)))
        evidence = evidence.with_rows(told)
    if (evidence.cause == 0).any() or len(evidence) != counts(m, thresholds).fn:
        raise LawError("Expected one cause for every miss: this is a fault in Boxscope; please report it.")
    return Autopsy(
        run,
        m,
        thresholds,
        operating_point(run, threshold, iou=iou),
        evidence,
        *_class_prices(m, thresholds, evidence),
        proofs=proofs,
        replays=replays,
        shown=tuple(shown),
    )


def _class_prices(m: Matches, thresholds: np.ndarray, e: Evidence) -> tuple[np.ndarray, ...]:
    at = np.flatnonzero(e.back_score >= 0)
    p = threshold_prices(m, thresholds, m.truth_classes[e.truth[at]], e.back_score[at])
    out = []
    for values, none in (
        (p.gained, -1),
        (p.wrong, -1),
        (p.precision, np.nan),
        (p.recall, np.nan),
        (p.f1, np.nan),
    ):
        column = np.full(len(e), none, np.int64 if none == -1 else np.float64)
        column[at] = values
        out.append(column)
    return tuple(out)


def _candidates(
    run: Run, source: CandidateSource, images: Iterable[int] | None, missing: np.ndarray
) -> Iterable[tuple[int, Candidates]]:
    if isinstance(source, Mapping):
        found = {
            key if isinstance(key, (int, np.integer)) else run.position(key): value
            for key, value in source.items()
        }
        wanted = found if images is None else [i for i in images if i in found]
        yield from ((int(i), found[i]) for i in sorted(wanted))
        return
    for i in missing.tolist() if images is None else images:
        if (found := source(int(i))) is not None:
            yield int(i), found


def _stored_proof(a: Autopsy, q: int) -> Proof:
    """The proof from stored detections alone."""
    e, j = a.evidence, int(a.evidence.truth[q])
    bench = TrialRun(a.run, a.matches, int(a.matches.truth_rows[j]))
    local, threshold = j - bench.first, float(a.thresholds[a.matches.truth_classes[j]])
    boxes, cause = bench.stored, CAUSES[e.cause[q] - 1]
    if cause == "below threshold":
        score = float(e.back_score[q] if e.back_score[q] >= 0 else e.score[q])
        return bench.run_trial([Change("threshold", threshold, score)], boxes, local, score, "matching")
    if cause in ("outscored", "wrong class"):
        d = int(e.det[q]) - bench.first_det
        changes = [Change("rival" if cause == "outscored" else "name")]
        least = min(threshold, float(boxes.scores[d]))
        if least < threshold:
            changes.append(Change("threshold", threshold, least))
        if cause == "wrong class":
            classes = boxes.class_ids.copy()
            classes[d] = a.matches.truth_classes[j]
            boxes = boxes._replace(class_ids=classes)
        return bench.run_trial(changes, boxes, local, least, "matching")
    mine = boxes.class_ids == a.matches.truth_classes[j]
    return bench.cannot_match(type(boxes)(*(c[mine] for c in boxes)), local, "matching")


COLUMNS = (
    "miss_cause",
    "miss_reason",
    "miss_score",
    "miss_iou",
    "miss_seen_as",
    "rescue_threshold",
    "rescue_false_positives",
)
"""What `autopsy_columns` returns, in order."""


def autopsy_columns(
    run: Run, threshold: Threshold = 0.5, iou: float = 0.5, *, result: Autopsy | None = None
) -> dict[str, np.ndarray]:
    """Columns [M] beside the truth table, for a push to FiftyOne (`truth_columns`): the cause of each miss
    and its numbers.

    Text is "" and numbers are NaN (counts 0) for objects that are not missed.
    """
    a = autopsy(run, threshold, iou) if result is None else result
    rows, m = a.evidence.truth, len(a.matches.truth_rows)

    def column(values: np.ndarray, blank: Any, dtype: Any) -> np.ndarray:
        out = np.full(m, blank, dtype)
        out[rows] = values
        return out

    def number(values: np.ndarray) -> np.ndarray:
        return column(np.where(values >= 0, values, np.nan), np.nan, np.float64)

    names = np.array([*a.run.class_map.names, ""], object)
    why = np.array([a.sentence(q) for q in range(len(a))], object)
    return {
        "miss_cause": column(a.causes.astype(object), "", object).astype(str),
        "miss_reason": column(why, "", object).astype(str),
        "miss_score": number(a.evidence.score),
        "miss_iou": number(a.evidence.iou),
        "miss_seen_as": column(names[a.evidence.other_class], "", object).astype(str),
        "rescue_threshold": number(a.evidence.back_score),
        "rescue_false_positives": number(a.rescue_wrong.astype(np.float64)),
    }
