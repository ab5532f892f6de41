"""The UIUC rule over a stored run: whole windows found beside whole windows true, one result a split.

A run keeps boxes inside their images, while the rule is about windows that may reach over the border. Their
shape is known, so a window cut on one axis is restored exactly; one cut on both (in a corner) is taken as
large as the part that is seen asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.locations.rule import ALPHA, LocationCurve, location_curve
from analysis.runs.store import Run
from detector.data.formats.uiuc import HEIGHT, WIDTH, whole_windows
from detector.errors import DataError, InputError

ONE_SCALE = "single_scale"
"""The split whose windows all have one size, so that the rule leaves the scale out."""


@dataclass(frozen=True, eq=False)
class LocationEvaluation:
    """What the rule says of one split.

    Args:
        split: its name, or None where the data set has none.
        with_scale: whether the window's width counts too (the multi-scale rule).
        images: judged; objects whose image failed or was not reached are not counted.
        note: what was assumed, "" where nothing was.
    """

    split: str | None
    with_scale: bool
    curve: LocationCurve
    images: int
    note: str = ""

    def to_dict(self, threshold: float) -> dict[str, Any]:
        """Plain numbers for JSON; a rate without denominator, and the best F1 of nothing found, is None."""
        curve, found = self.curve, len(self.curve.thresholds) > 0
        best = curve.best if found else 0
        return {
            "split": self.split,
            "rule": f"uiuc {'location and scale' if self.with_scale else 'location'}",
            "alpha": ALPHA,
            "images": self.images,
            "objects": curve.objects,
            "area": curve.area,
            "equal_error_rate": curve.equal_error_rate,
            "best_f1": float(curve.f1[best]) if found else None,
            "at_best_f1": curve.at(float(curve.thresholds[best])) if found else None,
            "at_threshold": curve.at(threshold),
            "note": self.note,
        }


def evaluate_locations(run: Run, *, restore: bool | None = None) -> list[LocationEvaluation]:
    """The rule over every split of a run, in the order they first occur.

    Args:
        restore: whether boxes cut by the border are restored to whole windows; None does it for the UIUC car
            database, whose window shape is known, and takes its true windows from its files.

    Raises:
        InputError: the run has no image to judge, or objects of several classes.
        DataError: the data set is the UIUC database, but is no longer where the run says.
    """
    if len(run.class_map) != 1:
        raise InputError(
            f"location rule: expected a run over one class, this one has {', '.join(run.class_map.names)}."
        )
    if not run.usable.any():
        raise InputError(
            "location rule: expected images that are done, readable and labelled, the run has none."
        )
    uiuc = run.manifest.dataset.format == "uiuc"
    restore = uiuc if restore is None else restore
    out = []
    for split in dict.fromkeys(run.splits[i] for i in np.flatnonzero(run.usable)):
        rows = [int(i) for i in np.flatnonzero(run.usable) if run.splits[i] == split]
        truth = {run.sample_ids[i]: np.asarray(run.annotations(i).xyxy, np.float64) for i in rows}
        note = ""
        if uiuc and split is not None:
            truth = _whole(run, split, truth)
        elif not uiuc:
            note = (
                "The rule is made for whole windows; this data set's boxes end at the border of their image."
            )
        found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for i in rows:
            detections = run.detections_of(i)
            boxes = np.asarray(detections.xyxy, np.float64)
            found[run.sample_ids[i]] = (
                restore_windows(boxes, run.image_size(i)) if restore else boxes,
                detections.scores,
            )
        with_scale = split != ONE_SCALE
        out.append(
            LocationEvaluation(
                split, with_scale, location_curve(found, truth, with_scale=with_scale), len(rows), note
            )
        )
    return out


def _whole(run: Run, split: str, truth: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    source = Path(run.manifest.dataset.source)
    if not source.is_dir():
        raise DataError(
            "expected the UIUC car database this run was made on, to read its whole windows from; it is not"
            " there any more.",
            path=source,
        )
    windows = whole_windows(source, split)
    missing = truth.keys() - windows.keys()
    if missing:
        raise DataError(
            f"expected the locations this run was made with, those of {sorted(missing)[0]} are gone.",
            path=source,
        )
    return {sample_id: windows[sample_id] for sample_id in truth}


def restore_windows(
    xyxy: np.ndarray, image_size: tuple[int, int], aspect: float = WIDTH / HEIGHT
) -> np.ndarray:
    """Boxes that end at the border made as large as their shape asks for; float64 [N, 4].

    Args:
        aspect: width over height of a whole window. The larger of the box's width and `aspect` times its
            height is the window's width: exact where the border cut one axis only. A box between two opposite
            borders keeps its centre.
    """
    out = np.array(xyxy, np.float64).reshape(-1, 4)
    width = np.maximum(out[:, 2] - out[:, 0], aspect * (out[:, 3] - out[:, 1]))
    for axis, whole, end in ((0, width, image_size[0]), (1, width / aspect, image_size[1])):
        low, high = out[:, axis].copy(), out[:, axis + 2].copy()
        at_low, at_high = low <= 0.01, high >= end - 0.01
        middle = (low + high) / 2
        out[:, axis] = np.where(at_low & at_high, middle - whole / 2, np.where(at_low, high - whole, low))
        out[:, axis + 2] = np.where(
            at_low & at_high, middle + whole / 2, np.where(at_high & ~at_low, low + whole, high)
        )
    return out


def plot_locations(evaluations: list[LocationEvaluation], title: str = "") -> Any:
    """Recall over 1 - precision, the benchmark's own axes, one line a split; a matplotlib Figure.

    The dot is the best F1; the thin diagonal is where recall equals precision. Only the corner that holds the
    curves' best parts is shown, the same length of both axes.
    """
    from matplotlib.figure import Figure

    from analysis.drawing.style import BLUE, GREY, VERMILION

    figure = Figure(figsize=(6.4, 4.4), dpi=110, layout="constrained")
    ax = figure.subplots()
    ax.plot([0, 1], [1, 0], color=GREY, linewidth=0.8)
    for k, e in enumerate(evaluations):
        if not len(e.curve.thresholds):
            continue
        colour, dashes = (BLUE, VERMILION)[k % 2], ("-", "--")[k % 2]
        curve, best = e.curve, e.curve.best
        label = (
            f"{(e.split or 'all').replace('_', ' ')}: best F1 {curve.f1[best]:.3f}, equal error rate"
            f" {curve.equal_error_rate:.3f}, area {curve.area:.3f}"
        )
        ax.plot(
            np.r_[0, 1 - curve.precision],
            np.r_[0, curve.recall],
            dashes,
            color=colour,
            linewidth=1.8,
            label=label,
        )
        ax.plot(1 - curve.precision[best], curve.recall[best], "o", color=colour)
    span = float(
        np.clip(4 * max((1 - e.curve.equal_error_rate for e in evaluations), default=1.0), 0.05, 1.0)
    )
    ax.set(
        xlim=(-0.02 * span, span),
        ylim=(1 - span, 1 + 0.02 * span),
        xlabel="1 - precision",
        ylabel="recall",
        title=title,
    )
    ax.grid(alpha=0.3)
    ax.legend(loc="lower right", fontsize=8)
    figure.text(
        0.01,
        0.005,
        f"UIUC location rule, ellipse of {ALPHA:.0%}; the dot is the best F1",
        fontsize=7,
        color=GREY,
    )
    return figure
