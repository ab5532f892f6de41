"""What a change of one setting costs: objects gained, false positives added, precision and recall after.

A threshold is priced from the stored matching of the whole run, by binary search. NMS IoU and caps are priced
by replaying post-processing on every image whose candidates are at hand, and say how many that were.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.matching.counts import Counts, counts
from analysis.matching.matches import FALSE_POSITIVES, Matches, Verdict
from analysis.thresholds.curves import shortest_between

RULES = {
    "class threshold": "the confidence threshold of one class",
    "threshold": "the confidence threshold of every class",
    "iou_threshold": "the NMS IoU",
    "max_detections_per_class": "the cap on detections of one class",
    "max_total_detections": "the cap on detections of an image",
}
THRESHOLDS = ("class threshold", "threshold")


@dataclass(frozen=True)
class Rescue:
    """One setting changed, and its price.

    Args:
        rule: a key of `RULES`, post-processing settings by their real names; class_id: for a class threshold,
            else -1.
        before, value: the setting now and then.
        gained: objects found then and not now, less those lost; wrong: false positives added (negative:
            fewer).
        precision, recall, f1: over the counted images then; None without a denominator.
        images: how many images it was counted over.
        whole: whether these are all images of the run that count.
    """

    rule: str
    class_id: int
    before: float
    value: float
    gained: int
    wrong: int
    precision: float | None
    recall: float | None
    f1: float | None
    images: int
    whole: bool = True

    def sentence(self, names: tuple[str, ...]) -> str:
        """The change and its price in words."""
        if np.isnan(self.value):
            what = f"{self.rule[:1].upper()}{self.rule[1:]},"
        else:
            what = f"{self._setting(names)} {self.value:g}"
        scope = (
            "over the whole run"
            if self.whole
            else f"over the {self.images:,} image{_s(self.images)} whose candidates are at hand"
        )
        verb = (
            f"adds {self.wrong:,} false positive{_s(self.wrong)}"
            if self.wrong >= 0
            else f"takes away {-self.wrong:,} false positive{_s(self.wrong)}"
        )
        more = (
            f"finds {self.gained:,} more object{_s(self.gained)}"
            if self.gained >= 0
            else f"loses {-self.gained:,} object{_s(self.gained)}"
        )
        return (
            f"{what} {scope} {more} and {verb} (precision {_rate(self.precision)}, recall"
            f" {_rate(self.recall)})."
        )

    def _setting(self, names: tuple[str, ...]) -> str:
        return {
            "class threshold": f"The threshold of {names[self.class_id]} at",
            "threshold": "A threshold of",
            "iou_threshold": "An NMS IoU of",
        }.get(self.rule, f"{self.rule} of")

    def to_dict(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "class": names[self.class_id] if self.class_id >= 0 else None,
            "before": _number(self.before),
            "value": _number(self.value),
            "objects_gained": self.gained,
            "false_positives_added": self.wrong,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "images": self.images,
            "whole_run": self.whole,
        }


def _s(n: int) -> str:
    return "" if abs(n) == 1 else "s"


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _rate(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f} %"


def lowered(thresholds: np.ndarray, rescue: Rescue) -> np.ndarray:
    """The thresholds float32 [K] after a threshold change; a global one never raises a class's own."""
    thresholds = thresholds.copy()
    if rescue.rule == "class threshold":
        thresholds[rescue.class_id] = rescue.value
        return thresholds
    return np.minimum(thresholds, np.float32(rescue.value))


def priced(
    rule: str,
    class_id: int,
    before: float,
    value: float,
    now: Counts,
    then: Counts,
    images: int,
    whole: bool = True,
) -> Rescue:
    """A rescue from the counts on both sides."""
    rates = [None if np.isnan(v) else float(v) for v in (then.precision, then.recall, then.f1)]
    return Rescue(
        rule,
        class_id,
        float(before),
        float(value),
        int(then.tp - now.tp),
        int(then.fp - now.fp),
        *rates,
        images,
        whole,
    )


def threshold_rescues(m: Matches, thresholds: np.ndarray, class_id: int, score: float) -> list[Rescue]:
    """The two thresholds that let a score of a class through, its class's alone and everyone's, with their
    prices.

    The values are the shortest decimals with the same counts as the score itself.
    """
    now, images, score = counts(m, thresholds), int(m.judged.sum()), np.float32(score)
    out = []
    for rule in THRESHOLDS:
        mine = m.det_scores[m.det_classes == class_id] if rule == "class threshold" else m.det_scores
        lower = mine[mine < score]
        low = float(lower.max()) if len(lower) else max(0.0, float(score) - 0.01)
        value = shortest_between(low, float(score))
        change = Rescue(
            rule,
            class_id if rule == "class threshold" else -1,
            float(thresholds[class_id]),
            value,
            0,
            0,
            None,
            None,
            None,
            images,
        )
        out.append(
            priced(
                rule,
                change.class_id,
                change.before,
                value,
                now,
                counts(m, lowered(thresholds, change)),
                images,
            )
        )
    return out


@dataclass(frozen=True, eq=False)
class ThresholdPrices:
    """Prices of Q class thresholds at once: int64 [Q] gained and wrong, float64 [Q] precision, recall, f1."""

    gained: np.ndarray
    wrong: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def threshold_prices(
    m: Matches, thresholds: np.ndarray, class_ids: np.ndarray | None, scores: np.ndarray
) -> ThresholdPrices:
    """Prices of letting each of Q scores through.

    Args:
        class_ids: int [Q]: the threshold of that class alone is lowered. None: every class's, where it is
            higher.
        scores: float32 [Q], at or below the thresholds they lower.
    """
    now = counts(m, thresholds)
    gains = []
    for kinds in ((Verdict.CORRECT,), FALSE_POSITIVES):
        # Only what lies below its threshold can be let in.
        mine = np.isin(m.det_kind, kinds) & (m.det_scores < thresholds[m.det_classes])
        key = m.det_scores[mine].astype(np.float64) + (0 if class_ids is None else 2.0 * m.det_classes[mine])
        key.sort()
        shift = 0 if class_ids is None else 2.0 * np.asarray(class_ids)
        gains.append(
            np.searchsorted(key, shift + 2 if class_ids is not None else np.inf)
            - np.searchsorted(key, scores.astype(np.float64) + shift)
        )
    gained, wrong = gains
    tp, fp = now.tp + gained, now.fp + wrong
    with np.errstate(invalid="ignore", divide="ignore"):
        return ThresholdPrices(
            gained, wrong, tp / (tp + fp), tp / np.float64(now.objects), 2 * tp / (tp + fp + now.objects)
        )


def best_changes(
    m: Matches, thresholds: np.ndarray, extra: Iterable[Rescue] = (), most: int = 10
) -> list[Rescue]:
    """The best single changes to make next: for each class, and for all together, the threshold with the best
    F1 after it; `extra` ones (NMS, caps) beside them. Sorted by F1 after, then by the fewest false positives.

    Only changes that bring objects back are listed.
    """
    now, images = counts(m, thresholds), int(m.judged.sum())
    right = (m.det_kind == Verdict.CORRECT) & (m.det_scores < thresholds[m.det_classes])
    classes, scores = m.det_classes[right], m.det_scores[right]
    found = []
    for rule, ids in (("class threshold", classes), ("threshold", None)):
        p = threshold_prices(m, thresholds, ids, scores)
        order = np.lexsort((p.wrong, -p.f1))
        group = classes if ids is not None else np.zeros(len(scores), np.int32)
        _, first = np.unique(group[order], return_index=True)
        found += [(p.f1[q], p.wrong[q], rule, int(classes[q]), float(scores[q])) for q in order[first]]
    found.sort(key=lambda row: (-row[0], row[1]))
    out = [
        _exact(m, thresholds, now, images, rule, class_id, score)
        for _, _, rule, class_id, score in found[:most]
    ]
    out += [r for r in extra if r.gained > 0]
    return sorted(out, key=lambda r: (-(r.f1 or 0), r.wrong))[:most]


def _exact(
    m: Matches, thresholds: np.ndarray, now: Counts, images: int, rule: str, class_id: int, score: float
) -> Rescue:
    value = next(r.value for r in threshold_rescues(m, thresholds, class_id, score) if r.rule == rule)
    change = Rescue(
        rule, class_id if rule == "class threshold" else -1, 0.0, value, 0, 0, None, None, None, images
    )
    then = counts(m, lowered(thresholds, change))
    before = float(thresholds[class_id]) if rule == "class threshold" else float(thresholds.max(initial=0))
    return priced(rule, change.class_id, before, value, now, then, images)


def add_counts(parts: list[Counts]) -> Counts:
    """The counts of several images together."""
    if not parts:
        return Counts(*([0] * 8))
    return Counts(
        *(
            int(sum(getattr(p, name) for p in parts))
            for name in ("tp", "fp", "fn", "duplicates", "ignored", "unjudged", "objects", "detections")
        )
    )
