"""Thresholds that keep a goal on new images, with a stated confidence.

The usual rule takes the threshold that just meets the goal on the images at hand, and misses it on new ones
about every second time. Here a threshold is only taken once the opposite ("the goal is not met") is refuted
by a test that is wrong at most once in 1 / (1 - confidence) times, on any number of images: Learn then Test
(Angelopoulos et al., 2021, arXiv:2110.01052) over thresholds in an order fixed before the data was seen, with
the betting test of Waudby-Smith and Ramdas (JRSS B 2024, arXiv:2010.09686).

The image is the unit: objects of one image are found and missed together, so boxes are no independent
evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from analysis.matching.matches import FALSE_POSITIVES, Matches, Verdict
from analysis.thresholds.betting import p_values
from detector.errors import InputError

GOALS = ("recall", "precision", "false positives")
GoalName = Literal["recall", "precision", "false positives"]

HEADROOM = 1.5
"""A new image may be this many times as bad as the worst one seen, and the guarantee still holds."""

LEAST_WORST = 4
"""The worst image allowed for is never better than this many missed or wrong boxes, however good those seen
are.
"""

STARTS = (0.9, 0.7, 0.5, 0.3)
"""Where the search for a precision begins. Precision does not fall steadily with the threshold, so there is
no one safe end to begin at; each start gets an equal share of the allowed error (Bonferroni)."""

FORECAST = (2, 4, 8)

GRID = np.unique(
    np.concatenate([np.arange(1, 20) / 1000, np.arange(4, 200) / 200, [0.0, 0.997, 0.999]]).astype(np.float32)
)
"""float32, ascending, 0 to .999: the thresholds that are tried, fixed before any data is seen."""


@dataclass(frozen=True)
class Goal:
    """What is to hold on new images.

    Args:
        name: "recall" or "precision" of all boxes together, or "false positives" per image.
        value: least recall or precision in (0, 1); most false positives per image, above 0.

    Raises:
        InputError: another name, or a value out of range.
    """

    name: GoalName
    value: float

    def __post_init__(self) -> None:
        if self.name not in GOALS:
            raise InputError(f"goal: expected one of {', '.join(GOALS)}, got {self.name!r}.")
        share = self.name != "false positives"
        if not self.value > 0 or (share and self.value >= 1) or not np.isfinite(self.value):
            wanted = "more than 0 and less than 1" if share else "more than 0"
            raise InputError(f"{self.name}: expected {wanted}, got {self.value!r}.")

    def __str__(self) -> str:
        if self.name == "false positives":
            return f"at most {self.value:g} false positives per image"
        return f"{self.name} of at least {self.value:g}"

    def met(self, reached: float) -> bool:
        return reached <= self.value if self.name == "false positives" else reached >= self.value


@dataclass(frozen=True, eq=False)
class ImageTable:
    """Counts per image at each threshold of `grid`; n images, T thresholds.

    Args:
        grid: float32 [T], ascending; objects: int64 [n]; tp, fp: int32 [n, T] (duplicates are wrong).
    """

    grid: np.ndarray
    objects: np.ndarray
    tp: np.ndarray
    fp: np.ndarray

    def rows(self, chosen: np.ndarray) -> ImageTable:
        """The same of some images (bool [n], or indices, repeats allowed)."""
        return ImageTable(self.grid, self.objects[chosen], self.tp[chosen], self.fp[chosen])

    def reached(self, goal: Goal) -> np.ndarray:
        """float64 [T], the goal's figure over all these images; NaN without a denominator."""
        tp, fp = self.tp.sum(axis=0, dtype=float), self.fp.sum(axis=0, dtype=float)
        if goal.name == "false positives":
            whole = np.full(len(self.grid), float(len(self.objects)))
            part = fp
        else:
            part = tp
            whole = np.full(len(tp), float(self.objects.sum())) if goal.name == "recall" else tp + fp
        return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def image_table(
    matches: Matches,
    images: np.ndarray | None = None,
    *,
    class_id: int | None = None,
    grid: np.ndarray = GRID,
    floor: float = 0.0,
) -> ImageTable:
    """Counts of the judged images under a mask (bool [N], None: all), in the order of the run.

    Args:
        floor: the run holds no detection below it; thresholds below it are left out and it is the first one.

    Raises:
        InputError: a class is asked of a matching that ignores the class.
    """
    if class_id is not None and not matches.class_aware:
        raise InputError("guarantee: a threshold per class needs class-aware matching.")
    floor32 = np.float32(floor)
    grid = np.unique(np.append(grid[grid > floor32], floor32)).astype(np.float32)
    chosen = matches.judged if images is None else matches.judged & np.asarray(images, bool)
    place = np.where(chosen, np.cumsum(chosen) - 1, -1)
    n, t = int(chosen.sum()), len(grid)
    mine = place[matches.det_rows] >= 0
    counted = matches.truth_counted & (place[matches.truth_rows] >= 0)
    if class_id is not None:
        mine &= matches.det_classes == class_id
        counted &= matches.truth_classes == class_id

    def table(kinds: tuple[int, ...]) -> np.ndarray:
        kept = np.flatnonzero(mine & np.isin(matches.det_kind, kinds))
        # The last threshold that the score still reaches; -1 below the floor.
        last = np.searchsorted(grid, matches.det_scores[kept], side="right") - 1
        kept, last = kept[last >= 0], last[last >= 0]
        cells = np.bincount(place[matches.det_rows[kept]] * t + last, minlength=n * t).reshape(n, t)
        return np.cumsum(cells[:, ::-1], axis=1, dtype=np.int32)[:, ::-1]

    objects = np.bincount(place[matches.truth_rows[counted]], minlength=n)
    return ImageTable(grid, objects, table((Verdict.CORRECT,)), table(FALSE_POSITIVES))


@dataclass(frozen=True)
class Guarantee:
    """A threshold that keeps a goal, or the reason why none can be promised.

    Args:
        goal, confidence: what is promised, and how surely, e.g. .9.
        threshold: None where nothing can be promised; `reason` says why.
        images: with evidence, out of the calibration images; objects: in them.
        reached: the goal's figure there on the calibration images.
        recall, precision: there on the calibration images; None without a denominator.
        usual: the threshold that just meets the goal on the same images (no promise), None where none does;
            usual_recall, usual_precision: at it. The difference is the price of the promise.
        at_most: the worst single image the promise allows for: missed objects, or wrong detections.
        forecast: (images, threshold) with more images of the same kind; None where still nothing.
        provable: the best value of the goal that these images prove at the safe end, None if unknown.
    """

    goal: Goal
    confidence: float
    threshold: float | None
    images: int
    objects: int
    reached: float | None = None
    recall: float | None = None
    precision: float | None = None
    usual: float | None = None
    usual_recall: float | None = None
    usual_precision: float | None = None
    at_most: int = 0
    forecast: tuple[tuple[int, float | None], ...] = ()
    provable: float | None = None
    reason: str = ""

    @property
    def assumption(self) -> str:
        """What has to be true for the promise to hold, in one sentence."""
        worst = "missed objects" if self.goal.name == "recall" else "wrong detections"
        return (
            "New images come from the same source, drawn as these were, labelled by the same rules, and none"
            f" has more than {self.at_most} {worst}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "goal"}
        return {"goal": self.goal.name, "value": self.goal.value, **values, "assumption": self.assumption}


def guarantee(
    table: ImageTable, goal: Goal, confidence: float = 0.9, *, forecast: bool = False, classes: int = 1
) -> Guarantee:
    """The threshold that keeps the goal on new images with this confidence, at the least cost.

    For recall the highest such threshold, for precision and false positives the lowest.

    Args:
        table: of the calibration images, from `image_table`.
        confidence: in (0, 1): at most one draw of calibration images in 1 / (1 - confidence) gives a
            threshold that breaks the goal.
        forecast: whether to say what 2, 4 and 8 times the images would give.
        classes: how many classes share the confidence; each gets an equal part of the error (Bonferroni).

    Raises:
        InputError: a confidence outside (0, 1).
    """
    error = allowed_error(confidence) / classes
    table = informative(table, goal)
    n, objects = len(table.objects), int(table.objects.sum())
    usual = _usual(table, goal)
    at = certified(table, goal, error)
    more: list[tuple[int, float | None]] = []
    if forecast and n:
        for times in FORECAST:
            place = certified(table.rows(np.tile(np.arange(n), times)), goal, error)
            more.append((n * times, None if place is None else _number(table.grid[place])))
    common = {
        "goal": goal,
        "confidence": confidence,
        "images": n,
        "objects": objects,
        "at_most": int(np.ceil(worst_image(table, goal)[0 if at is None else at])),
        "forecast": tuple(more),
        **_rates(table, usual, "usual_"),
        "usual": None if usual is None else _number(table.grid[usual]),
    }
    if at is None:
        best = provable(table, goal, error)
        return Guarantee(threshold=None, provable=best, reason=_reason(table, goal, best), **common)
    reached = float(table.reached(goal)[at])
    return Guarantee(threshold=_number(table.grid[at]), reached=reached, **_rates(table, at), **common)


def allowed_error(confidence: float) -> float:
    """1 - confidence.

    Raises:
        InputError: a confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence: expected more than 0 and less than 1, got {confidence!r}.")
    return 1 - confidence


def informative(table: ImageTable, goal: Goal) -> ImageTable:
    """Without the images that say nothing about the goal: no object (recall), no detection (precision)."""
    if goal.name == "recall":
        return table.rows(table.objects > 0)
    if goal.name == "precision":
        return table.rows((table.tp[:, 0] + table.fp[:, 0]) > 0)
    return table


def worst_image(table: ImageTable, goal: Goal) -> np.ndarray:
    """The most that a new image may count against the goal, float64 [T]: HEADROOM times the objects (recall),
    or the wrong detections at each threshold, of the worst image here."""
    seen = table.fp.max(axis=0, initial=0)
    if goal.name == "recall":
        seen = np.full(len(table.grid), table.objects.max(initial=0))
    return np.maximum(seen * HEADROOM, LEAST_WORST)


def certified(table: ImageTable, goal: Goal, error: float) -> int | None:
    """The place in the grid of the threshold that keeps the goal, or None; see `guarantee`."""
    if not len(table.objects):
        return None
    if goal.name == "recall":
        return _walk(table, goal, error, range(len(table.grid)))
    last = len(table.grid) - 1
    if goal.name == "false positives":
        return _walk(table, goal, error, range(last, -1, -1))
    found = []
    for start in STARTS:
        begin = min(last, int(np.searchsorted(table.grid, np.float32(start))))
        place = _walk(table, goal, error / len(STARTS), range(begin, -1, -1))
        if place is not None:
            found.append(place)
    return min(found, default=None)


def _walk(table: ImageTable, goal: Goal, error: float, order: range, block: int = 16) -> int | None:
    """The last threshold in this order up to which every test rejects (fixed-sequence testing)."""
    best = None
    places = np.array(order)
    for begin in range(0, len(places), block):
        part = places[begin : begin + block]
        gains, bound = image_gains(table, goal, part)
        passed = p_values(gains, bound, error) <= error
        failed = np.flatnonzero(~passed)
        count = failed[0] if len(failed) else len(part)
        if count:
            best = int(part[count - 1])
        if len(failed):
            break
    return best


def image_gains(table: ImageTable, goal: Goal, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each image adds to the goal, float64 [n, P], and bounds b [P] with every gain at least -b.

    The goal holds on new images exactly when the expected gain is at least 0:
    recall: tp - r * objects; precision: tp - p * (tp + fp); false positives: k - fp.
    """
    tp, fp = table.tp[:, places].astype(float), table.fp[:, places].astype(float)
    worst = worst_image(table, goal)[places]
    if goal.name == "recall":
        return tp - goal.value * table.objects[:, None], goal.value * worst
    if goal.name == "precision":
        return tp - goal.value * (tp + fp), goal.value * worst
    return goal.value - fp, np.maximum(worst - goal.value, goal.value)


def provable(table: ImageTable, goal: Goal, error: float) -> float | None:
    """The best value these images prove at the safe end of the grid (recall: the floor); None for precision,
    which has no safe end, and without images."""
    if goal.name == "precision" or not len(table.objects):
        return None
    end = np.array([0 if goal.name == "recall" else len(table.grid) - 1])
    low, high = (0.0, 1.0) if goal.name == "recall" else (0.0, float(worst_image(table, goal)[-1]))
    for _ in range(20):
        middle = (low + high) / 2
        gains, bound = image_gains(table, Goal(goal.name, middle), end)
        if (p_values(gains, bound, error)[0] <= error) == (goal.name == "recall"):
            low = middle
        else:
            high = middle
    return low if goal.name == "recall" else high


def _usual(table: ImageTable, goal: Goal) -> int | None:
    """The threshold that just meets the goal on these images: the highest for recall, else the lowest."""
    with np.errstate(invalid="ignore"):
        met = np.flatnonzero(
            table.reached(goal) <= goal.value
            if goal.name == "false positives"
            else table.reached(goal) >= goal.value
        )
    if not len(met):
        return None
    return int(met[-1] if goal.name == "recall" else met[0])


def _rates(table: ImageTable, at: int | None, prefix: str = "") -> dict[str, float | None]:
    rates: dict[str, float | None] = {}
    for name in ("recall", "precision"):
        value = np.nan if at is None else table.reached(Goal(name, 0.5))[at]
        rates[prefix + name] = None if np.isnan(value) else float(value)
    return rates


def _reason(table: ImageTable, goal: Goal, best: float | None) -> str:
    n = len(table.objects)
    if not n:
        return {
            "recall": "no calibration image has an object",
            "precision": "no calibration image has a detection",
            "false positives": "there is no calibration image",
        }[goal.name]
    if goal.name == "recall":
        reached = float(table.reached(goal)[0])
        return (
            f"recall reaches {reached:.1%} at the lowest stored score, and these {n} images prove no more"
            f" than {best:.1%}"
        )
    if goal.name == "false positives":
        return (
            f"these {n} images prove no fewer than {best:.2g} false positives per image, even at the highest"
            " threshold"
        )
    with np.errstate(invalid="ignore"):
        reached = float(np.nanmax(np.append(table.reached(goal), 0.0)))
    return (
        f"precision reaches {reached:.1%} at best, which these {n} images do not prove to be {goal.value:.1%}"
    )


def describe_usual(found: Guarantee) -> str:
    """What the promise costs against the threshold that just meets the goal on the same images, as a
    clause.
    """
    if found.usual is None:
        return "no threshold meets the goal on these images themselves"
    if found.usual == found.threshold:
        return "the promise costs nothing: the goal is just met here too"
    what = "precision" if found.goal.name == "recall" else "recall"
    before = found.usual_precision if what == "precision" else found.usual_recall
    after = found.precision if what == "precision" else found.recall
    just = f"{found.usual:g}, which just meets the goal here"
    if before is None or after is None or before <= after:
        return f"without a promise: {just}"
    return f"the promise costs {100 * (before - after):.1f} points of {what} against {just}"


def _number(threshold: np.float32) -> float:
    """The threshold as it is written: the shortest decimal that is the same float32."""
    return float(str(np.float32(threshold)))
