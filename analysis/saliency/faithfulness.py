"""Does a map say what matters? Pixels are hidden, or shown, in its order, and the answer is followed.

Beside every map the same is done for three orders that know nothing of the model: random, edges of the
picture, and a Gaussian on the target's box. A map that does not beat the last one tells no more than where
the box is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from analysis.saliency.heatmap import HeatMap, resized
from analysis.saliency.targets import Target
from analysis.saliency.views import View

BASELINES = ("random", "edge", "gaussian")
STEPS = 16
NEAR = 3.0
"""Times the box's area that three quarters of the steps go over, in equal parts; the rest grows to the whole
picture.
"""


@dataclass(frozen=True)
class Curves:
    """What the answer does while pixels go or come, one value a step, the first before any.

    `deletion` and `insertion` are the means under the curves, in units of `start`, the answer on the clean
    picture; where the answer is a logit (a missed object), differences to it. `gain` is insertion less
    deletion: more is better.
    """

    hidden: tuple[float, ...]
    shown: tuple[float, ...]
    deletion: float
    insertion: float

    @property
    def gain(self) -> float:
        return self.insertion - self.deletion


@dataclass(frozen=True)
class Faithfulness:
    """One map beside the baselines.

    Args:
        curves: of the map; baselines: of each of `BASELINES`.
        inside: share of the positive evidence in the target's box; area: the box's share of the image. None
            without a box.
        start: the answer on the clean picture; unit: "belief" (best IoU times score), "logit", or "box" (of
            evidence for a box or one of its sides: the IoU of the whole box with itself).
        fractions: share of the image's pixels changed at each step.
    """

    method: str
    curves: Curves
    baselines: dict[str, Curves] = field(default_factory=dict)
    inside: float | None = None
    area: float | None = None
    start: float = 0.0
    unit: str = "belief"
    fractions: tuple[float, ...] = ()

    @property
    def inside_gain(self) -> float | None:
        """Energy inside the box less the area share: 0 for a map that knows nothing."""
        return None if self.inside is None or self.area is None else self.inside - self.area

    def beats(self, baseline: str) -> bool:
        """Whether it is better by what two digits show."""
        return round(self.curves.gain, 2) > round(self.baselines[baseline].gain, 2)

    @property
    def lost_to(self) -> tuple[str, ...]:
        """The baselines that tell as much or more."""
        return tuple(name for name in self.baselines if not self.beats(name))

    def sentence(self) -> str:
        """The verdict in words, losses included."""
        others = ", ".join(f"{name} {curves.gain:+.2f}" for name, curves in self.baselines.items())
        what = " of the whole box's IoU with itself" if self.unit == "box" else ""
        own = f"insertion less deletion{what} {self.curves.gain:+.2f} ({others})"
        if not self.lost_to:
            return f"Beats all {len(self.baselines)} baselines on this object: {own}."
        worst = {
            "gaussian": "a Gaussian drawn on the box, without any model",
            "edge": "the picture's edges",
            "random": "a random order",
        }
        return f"Not better than {' and '.join(worst[name] for name in self.lost_to)} on this object: {own}."

    def to_dict(self) -> dict[str, Any]:
        def plain(c: Curves) -> dict[str, Any]:
            return {
                "deletion": c.deletion,
                "insertion": c.insertion,
                "gain": c.gain,
                "hidden": list(c.hidden),
                "shown": list(c.shown),
            }

        return {
            "method": self.method,
            "unit": self.unit,
            "start": self.start,
            "fractions": list(self.fractions),
            **plain(self.curves),
            "baselines": {name: plain(c) for name, c in self.baselines.items()},
            "inside": self.inside,
            "area": self.area,
            "inside_gain": self.inside_gain,
            "lost_to": list(self.lost_to),
            "sentence": self.sentence(),
        }


class Trial:
    """Deletion and insertion for one target; the baselines are run once and kept.

    Args:
        view: of the image. target: with a box, or the Gaussian baseline has nothing to stand on.
        steps: changes on the way; 3/4 of them in equal parts up to three times the box's area.
        hide: "mean" colour, or "blur", for deletion. Insertion starts from a blurred picture (sigma 0.1 of
            the shorter side).
    """

    def __init__(self, view: View, target: Target, *, steps: int = STEPS, hide: str = "mean", seed: int = 0):
        self.view, self.target, self.steps, self.seed = view, target, steps, seed
        self.blurred = cv2.GaussianBlur(view.pixels, (0, 0), 0.1 * min(view.size)).reshape(view.pixels.shape)
        self.empty = (
            self.blurred
            if hide == "blur"
            else np.broadcast_to(view.fill, view.pixels.shape).astype(np.float32)
        )
        # A box is held against itself: by its IoU with where it lies on the clean picture.
        self._of_box = target.sides is not None
        # An object the detector hardly believes in has no score to lose; its logit still moves.
        self.unit = "logit" if target.kind != "detection" and view.unit == "logit" else "belief"
        if self._of_box:
            self.unit = "box"
        self.start = float(self._answers(view.pixels[None])[0])
        self._baselines: dict[str, Curves] = {}

    def _answers(self, batch: np.ndarray) -> np.ndarray:
        ask = self.view.evidence if self.unit == "logit" else self.view.belief
        return ask(batch, [self.target])[:, 0]

    def counts(self) -> np.ndarray:
        """int64 [steps + 1], pixels changed after each step."""
        total = self.view.pixels[self.view.inside].shape[0] * self.view.pixels[self.view.inside].shape[1]
        near = round(self.steps * 0.75)
        limit = total if self.target.box is None else int(min(total, NEAR * max(1.0, self._box_area())))
        first = np.linspace(0, limit, near + 1)
        rest = np.geomspace(max(limit, 1), total, self.steps - near + 1)[1:]
        return np.minimum(np.rint(np.concatenate([first, rest])).astype(np.int64), total)

    def _box_area(self) -> float:
        x1, y1, x2, y2 = self.view.to_frame(self.target.box)[0]
        return (x2 - x1) * (y2 - y1)

    def curves(self, ranking: np.ndarray) -> Curves:
        """For pixels in falling order of `ranking` [h, w], a map over the image; ties in a fixed random
        order.
        """
        x1, y1, x2, y2 = (int(round(v)) for v in self.view.window)
        ranking = resized(ranking, (x2 - x1, y2 - y1))
        shuffled = np.random.default_rng(self.seed).permutation(ranking.size)
        order = shuffled[np.argsort(-ranking.ravel()[shuffled], kind="stable")]
        place = np.empty(ranking.size, np.int64)
        place[order] = np.arange(ranking.size)
        place = place.reshape(ranking.shape)
        hidden, shown = [], []
        counts = self.counts()
        for at in range(0, len(counts), 8):
            batch = []
            for n in counts[at : at + 8]:
                chosen = np.zeros(self.view.pixels.shape[:2], bool)
                chosen[self.view.inside] = place < n
                batch += [
                    np.where(chosen[..., None], self.empty, self.view.pixels),
                    np.where(chosen[..., None], self.view.pixels, self.blurred),
                ]
            answers = self._answers(np.stack(batch))
            hidden += answers[0::2].tolist()
            shown += answers[1::2].tolist()
        return Curves(tuple(hidden), tuple(shown), self._mean(hidden), self._mean(shown))

    def _mean(self, values: list[float]) -> float:
        v = np.asarray(values)
        area = float(((v[1:] + v[:-1]) / 2).mean())
        return area - self.start if self.unit == "logit" else area / max(self.start, 1e-9)

    def baseline(self, name: str) -> Curves:
        if name not in self._baselines:
            self._baselines[name] = self.curves(baseline_map(name, self.view, self.target, self.seed))
        return self._baselines[name]

    def judge(self, heat: HeatMap, baselines: tuple[str, ...] = BASELINES) -> Faithfulness:
        """The map beside the baselines; without a box there is no Gaussian."""
        names = tuple(n for n in baselines if n != "gaussian" or self.target.box is not None)
        # What holds a side out and what draws it in both matter for where it stands.
        values = np.abs(heat.values) if self._of_box else heat.values
        inside, area = energy_inside(values, heat.image_size, self.target.box)
        total = max(1, int(self.counts()[-1]))
        return Faithfulness(
            heat.method,
            self.curves(values),
            {name: self.baseline(name) for name in names},
            inside,
            area,
            self.start,
            self.unit,
            tuple((self.counts() / total).tolist()),
        )


def baseline_map(name: str, view: View, target: Target, seed: int = 0) -> np.ndarray:
    """A map [h, w] over the image that knows nothing of the model.

    "random" is noise of cells of 1/32 of the longer side; "edge" the length of the picture's gradient,
    blurred by two pixels; "gaussian" stands on the box with sigmas of half its sides.
    """
    picture = view.pixels[view.inside]
    height, width = picture.shape[:2]
    if name == "random":
        cells = (
            max(2, round(32 * height / max(height, width))),
            max(2, round(32 * width / max(height, width))),
        )
        return cv2.resize(
            np.random.default_rng(seed + 1).random(cells, np.float32),
            (width, height),
            interpolation=cv2.INTER_NEAREST,
        )
    if name == "edge":
        grey = np.ascontiguousarray(picture.mean(axis=2))
        edges = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
        return cv2.GaussianBlur(edges, (0, 0), 2.0)
    x1, y1, x2, y2 = view.to_frame(target.box)[0] - np.array([view.window[0], view.window[1]] * 2)
    y, x = np.mgrid[0:height, 0:width] + 0.5
    sx, sy = max((x2 - x1) / 2, 0.5), max((y2 - y1) / 2, 0.5)
    return np.exp(-(((x - (x1 + x2) / 2) / sx) ** 2 + ((y - (y1 + y2) / 2) / sy) ** 2) / 2)


def energy_inside(
    values: np.ndarray, image_size: tuple[int, int], box: np.ndarray | None
) -> tuple[float | None, float | None]:
    """(share of the positive evidence inside the box, the box's share of the image); None without a box or
    evidence.
    """
    if box is None:
        return None, None
    height, width = values.shape
    x1, y1, x2, y2 = np.asarray(box, np.float64) * np.tile([width / image_size[0], height / image_size[1]], 2)

    def cover(low: float, high: float, n: int) -> np.ndarray:
        return np.clip(np.minimum(high, np.arange(n) + 1) - np.maximum(low, np.arange(n)), 0, 1)

    weights = cover(y1, y2, height)[:, None] * cover(x1, x2, width)[None]
    area = float(weights.sum() / weights.size)
    positive = np.maximum(values, 0)
    total = float(positive.sum(dtype=np.float64))
    return (float((positive * weights).sum(dtype=np.float64)) / total if total > 0 else None), area
