"""D-RISE: hide parts of the picture at random and see how the answer follows. Works with any detector.

Petsiuk et al., CVPR 2021, with four changes that a small budget needs (each measured, see docs/heatmaps.md):
weights are centred, so that the map shows differences and not an offset; masks lie in a window around the
object; the grid is 6 x 6, and the map is smoothed by 0.4 cells; objects whose windows do not touch share the
passes. The value of a place is the slope of the answer on its being shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from analysis.saliency.heatmap import HeatMap
from analysis.saliency.targets import Target
from analysis.saliency.views import BATCH, View

KEPT_SIDE = 80
"""Masks are summed at this many pixels on a window's longer side: the grid is far coarser."""
FIRST, STEP = 64, 32
SMOOTH = 0.4
"""Sigma of the map's smoothing, in cells."""


def d_rise(
    view: View,
    targets: Sequence[Target],
    *,
    masks: int = 512,
    grid: int = 6,
    p: float = 0.5,
    window: float | None = 3.0,
    stop_reliability: float = 0.9,
    seed: int = 0,
    cancelled: Callable[[], bool] | None = None,
    every_batch: bool = False,
) -> Iterator[list[HeatMap]]:
    """Maps of all targets, better and better; the last ones have `done`.

    Yields a map a target after 64 masks, then after every 32, until each target's split-half reliability
    reaches `stop_reliability`, or after `masks`. Closing the generator, or `cancelled()` turning true, ends
    it within one batch of eight; what was yielded last stands.

    Args:
        view: of the image, for these targets.
        masks: at most this many for each group of targets.
        grid: cells of a mask along each side of the window; p: share of them shown.
        window: side of the masked window in units of the box's; None masks the whole picture.
        seed: the same seed gives the same maps.
        every_batch: also yield between, after each batch, what was yielded last ([] at first), so that who
            asks can stop.

    No targets: nothing is yielded.
    """
    started = time.perf_counter()
    windows = [_window(view, t, window) for t in targets]
    spots = [_Spot(w, grid, p, np.random.default_rng([seed, *_spread(w)])) for w in windows]
    clean = view.evidence(view.pixels[None], list(targets))[0] if targets else np.zeros(0)
    groups = _apart(windows)
    passes = 1

    def maps(done: bool) -> list[HeatMap]:
        out = []
        for t, target in enumerate(targets):
            spot = spots[t]
            values = np.zeros(view.pixels.shape[:2], np.float32)
            x1, y1, x2, y2 = spot.window
            values[y1:y2, x1:x2] = cv2.resize(
                spot.slope(), (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR
            )
            reliability = spot.reliability()
            notes = (
                ()
                if not done or reliability >= stop_reliability
                else (f"Two halves of the masks agree by {reliability:.2f} only: details are noise.",)
            )
            out.append(
                HeatMap(
                    "d_rise",
                    view.threshold(values),
                    view.image_size,
                    f"{'share' if target.sides is not None else view.unit} slope",
                    signed=True,
                    target=target,
                    value=float(clean[t]),
                    baseline=float(spot.mean),
                    reliability=reliability,
                    forwards=passes,
                    seconds=time.perf_counter() - started,
                    seed=seed,
                    done=done,
                    params={
                        "masks": spot.count,
                        "grid": grid,
                        "p": p,
                        "window": window,
                        "hidden": "mean colour",
                    },
                    notes=notes,
                )
            )
        return out

    if not targets:
        return
    open_groups, latest = [list(group) for group in groups], []
    while True:
        for group in open_groups:
            wanted = FIRST if spots[group[0]].count == 0 else STEP
            wanted = min(wanted, masks - spots[group[0]].count)
            for at in range(0, wanted, BATCH):
                if cancelled is not None and cancelled():
                    return
                size = min(BATCH, wanted - at)
                _round(view, targets, spots, group, size)
                passes += size
                if every_batch:
                    yield latest
        open_groups = [
            g
            for g in open_groups
            if spots[g[0]].count < masks and any(spots[t].reliability() < stop_reliability for t in g)
        ]
        latest = maps(not open_groups)
        yield latest
        if not open_groups:
            return


def _round(view: View, targets: Sequence[Target], spots: list[_Spot], group: list[int], size: int) -> None:
    """One batch of pictures in which every target of the group has its own masks in its own window."""
    shown = np.ones((size, *view.pixels.shape[:2]), np.float32)
    small = []
    for t in group:
        x1, y1, x2, y2 = spots[t].window
        kept, full = spots[t].draw(size)
        shown[:, y1:y2, x1:x2] = full
        small.append(kept)
    scores = view.evidence(view.hidden(shown), [targets[t] for t in group])
    for k, t in enumerate(group):
        spots[t].add(small[k], scores[:, k])


class _Spot:
    """Masks and running sums of one target's window."""

    def __init__(self, window: tuple[int, int, int, int], grid: int, p: float, rng: np.random.Generator):
        self.window, self._grid, self._p, self._rng = window, grid, p, rng
        width, height = window[2] - window[0], window[3] - window[1]
        shrink = min(1.0, KEPT_SIDE / max(width, height))
        self._size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        # Two halves, of even and odd masks: [half, sum of m, of m^2, of s m, h, w] and of 1, s, s^2.
        self._maps = np.zeros((2, 3, self._size[1], self._size[0]))
        self._sums = np.zeros((2, 2))
        self.count = 0

    def draw(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """New masks 0..1, shown 1: float32 [size, h, w] at the kept resolution and at the window's own."""
        w, h = self._size
        full = (self.window[2] - self.window[0], self.window[3] - self.window[1])
        cells = (self._rng.random((size, self._grid + 1, self._grid + 1)) < self._p).astype(np.float32)
        shifts = self._rng.random((size, 2)).astype(np.float32)
        small = np.empty((size, h, w), np.float32)
        for k in range(size):
            # Bilinear between the centres of cells, shifted by up to a cell each way.
            sx, sy = self._grid / w, self._grid / h
            matrix = np.array(
                [[sx, 0, sx / 2 - 0.5 + shifts[k, 0]], [0, sy, sy / 2 - 0.5 + shifts[k, 1]]], np.float32
            )
            small[k] = cv2.warpAffine(
                cells[k],
                matrix,
                (w, h),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
        large = (
            small
            if full == (w, h)
            else np.stack([cv2.resize(m, full, interpolation=cv2.INTER_LINEAR) for m in small])
        )
        return small, large

    def add(self, masks: np.ndarray, scores: np.ndarray) -> None:
        for mask, score in zip(masks, scores):
            half = self.count % 2
            self._maps[half] += np.stack([mask, mask * mask, score * mask])
            self._sums[half] += (1, score)
            self.count += 1

    @property
    def mean(self) -> float:
        """The mean answer over the masks."""
        n, s = self._sums.sum(axis=0)
        return float(s / n) if n else 0.0

    def slope(self, half: int | None = None) -> np.ndarray:
        """float32 [h, w]: covariance of answer and mask over the mask's variance, of all masks or one half of
        them.
        """
        m, mm, sm = self._maps.sum(axis=0) if half is None else self._maps[half]
        n, s = self._sums.sum(axis=0) if half is None else self._sums[half]
        if n < 2:
            return np.zeros(m.shape, np.float32)
        variance = mm / n - (m / n) ** 2
        covariance = sm / n - (m / n) * (s / n)
        # Where the few masks so far hardly differ the slope would be noise divided by nothing.
        found = np.divide(covariance, variance, out=np.zeros_like(variance), where=variance > 1e-3)
        # Nothing finer than a cell was ever hidden, so what is finer in the map is noise.
        h, w = found.shape
        return cv2.GaussianBlur(
            found,
            (0, 0),
            sigmaX=SMOOTH * w / self._grid,
            sigmaY=SMOOTH * h / self._grid,
            borderType=cv2.BORDER_REFLECT,
        ).astype(np.float32)

    def reliability(self) -> float:
        """0..1: the correlation of the maps of both halves, by Spearman and Brown's rule for the whole."""
        a, b = self.slope(0).ravel(), self.slope(1).ravel()
        if self.count < 4 or a.std() == 0 or b.std() == 0:
            return 0.0
        r = float(np.corrcoef(a, b)[0, 1])
        return max(0.0, 2 * r / (1 + r)) if r > -1 else 0.0


def _window(view: View, target: Target, times: float | None) -> tuple[int, int, int, int]:
    """Pixels of the frame to be masked: `times` the box, at least 24 pixels a side, inside the picture."""
    x1, y1, x2, y2 = (int(round(v)) for v in view.window)
    if times is None or target.box is None:
        return x1, y1, x2, y2
    left, top, right, bottom = view.to_frame(target.box)[0]
    half_w, half_h = max((right - left) * times / 2, 12), max((bottom - top) * times / 2, 12)
    cx, cy = (left + right) / 2, (top + bottom) / 2
    low_x, low_y = max(x1, int(np.floor(cx - half_w))), max(y1, int(np.floor(cy - half_h)))
    high_x, high_y = min(x2, int(np.ceil(cx + half_w))), min(y2, int(np.ceil(cy + half_h)))
    return min(low_x, x2 - 1), min(low_y, y2 - 1), max(high_x, low_x + 1), max(high_y, low_y + 1)


def _apart(windows: list[tuple[int, int, int, int]]) -> list[list[int]]:
    """Targets in groups whose windows do not touch, few groups: each takes the first that has room."""
    groups: list[list[int]] = []
    for t, (x1, y1, x2, y2) in enumerate(windows):
        for group in groups:
            if all(
                x2 <= windows[o][0] or windows[o][2] <= x1 or y2 <= windows[o][1] or windows[o][3] <= y1
                for o in group
            ):
                group.append(t)
                break
        else:
            groups.append([t])
    return groups


def _spread(window: tuple[int, int, int, int]) -> list[int]:
    return [int(v) for v in window]
