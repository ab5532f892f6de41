"""Tables to figures, for reports and exports: curves, reliability, confusion, kinds of mistakes.

Every figure carries its operating point in small type. Each function draws on an Axes given to it, or makes a
figure of its own that no global state keeps alive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analysis.drawing.fonts import literal_text
from analysis.drawing.plots import SMALL_POINTS
from analysis.drawing.style import BLUE, GREEN, GREY, PURPLE, VERMILION
from analysis.mistakes.confusion import Confusion, background_label
from analysis.mistakes.errors import KINDS, NOT_ADDITIVE, Errors
from analysis.thresholds.calibration import Reliability
from analysis.thresholds.curves import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = {"precision": (BLUE, "-"), "recall": (VERMILION, "--"), "F1": (GREEN, "-.")}


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    if ax is not None:
        return ax
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def _finish(ax: Axes, note: str, title: str = "") -> Axes:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if title:
        ax.set_title(title, fontsize=9.5, loc="left")
    ax.tick_params(labelsize=8)
    # Beneath the axis label, in the small type that every figure leaving the app carries.
    label = ax.get_xlabel()
    ax.set_xlabel("")
    ax.set_xlabel(
        f"{label}\n{note}" if label else note, fontsize=SMALL_POINTS + 0.5, color="#555555", loc="left"
    )
    return ax


@literal_text()
def plot_curves(
    curve: Curve, note: str, threshold: float | None = None, ax: Axes | None = None, title: str = ""
) -> Axes:
    """Precision, recall and F1 against confidence, lines told apart by colour and dashes, the threshold
    upright.

    Args:
        curve: of one class or all; an empty one gives empty axes.
        note: the operating point, e.g. `str(operating_point(run, threshold))`.
    """
    ax = _axes(ax, 5.2, 3.4)
    for name, values in (("precision", curve.precision), ("recall", curve.recall), ("F1", curve.f1)):
        colour, dash = LINES[name]
        ax.plot(
            curve.thresholds,
            values,
            color=colour,
            linestyle=dash,
            linewidth=1.6,
            label=name,
            drawstyle="steps-pre",
        )
    if threshold is not None:
        ax.axvline(threshold, color="#444444", linewidth=1, linestyle=":")
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence threshold")
    ax.legend(fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncol=3, borderpad=0)
    return _finish(ax, f"{note} · {curve.objects} objects", title)


@literal_text()
def plot_precision_recall(
    curve: Curve, note: str, threshold: float | None = None, ax: Axes | None = None, title: str = ""
) -> Axes:
    """Precision against recall, with the point of the threshold on it."""
    ax = _axes(ax, 4.2, 3.4)
    ax.plot(curve.recall, curve.precision, color=BLUE, linewidth=1.6)
    if threshold is not None and len(curve.thresholds):
        at = int(np.searchsorted(curve.thresholds, np.float32(threshold)))
        if at < len(curve.thresholds):
            ax.plot(curve.recall[at], curve.precision[at], "o", color=VERMILION, markersize=6)
            ax.annotate(
                f"{threshold:.2f}",
                (curve.recall[at], curve.precision[at]),
                textcoords="offset points",
                xytext=(6, 5),
                fontsize=8,
            )
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    ax.yaxis.label.set_size(8.5)
    return _finish(ax, f"{note} · {curve.objects} objects", title)


@literal_text()
def plot_reliability(table: Reliability, note: str, ax: Axes | None = None, title: str = "") -> Axes:
    """Share correct against confidence: a bar a bin, its darkness the share of detections; the diagonal is
    perfect.

    Like the table, it is about every judged detection, whatever the threshold: `note` names the run.
    """
    ax = _axes(ax, 4.2, 3.4)
    share = table.counts / max(int(table.counts.max(initial=0)), 1)
    widths = np.diff(table.edges)
    for left, width, height, weight in zip(table.edges, widths, table.accuracy, share):
        if not np.isnan(height):
            ax.bar(
                left,
                height,
                width,
                align="edge",
                color=BLUE,
                alpha=0.2 + 0.7 * float(weight),
                edgecolor="white",
                linewidth=0.8,
            )
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="share correct")
    ax.yaxis.label.set_size(8.5)
    ece = (
        "no detections"
        if table.ece is None
        else f"expected calibration error {table.ece:.3f} over {int(table.counts.sum())} detections"
    )
    return _finish(ax, f"{ece}\n{note}", title)


@literal_text()
def plot_errors(errors: Errors, note: str, ax: Axes | None = None, title: str = "") -> Axes:
    """One bar a kind of mistake: what fixing it alone would add to AP; the number of boxes beside it.

    Mistakes are those of every stored detection, whatever the threshold: `note` names the run.
    """
    ax = _axes(ax, 5.4, 2.9)
    values = [errors.dap[kind] for kind in KINDS]
    ax.barh(range(len(KINDS)), values, color=[BLUE] * 5 + [PURPLE], height=0.66)
    span = max(values, default=0) or 1.0
    for i, (kind, value) in enumerate(zip(KINDS, values)):
        n = errors.counts[kind]
        ax.text(
            value + span * 0.02,
            i,
            f"{value:.3f}  ({n} {'object' if kind == 'missed' else 'detection'}{'' if n == 1 else 's'})",
            va="center",
            fontsize=8,
        )
    ax.set(
        yticks=range(len(KINDS)),
        xlim=(0, span * 1.5),
        xlabel=f"AP at IoU {errors.matches.iou:.2f} gained by fixing (now {errors.ap:.3f})",
    )
    ax.set_yticklabels(KINDS)
    ax.invert_yaxis()
    cap = "" if errors.max_detections is None else f", the best {errors.max_detections} of an image"
    about = f"every stored detection{cap} · background is IoU ≤ {errors.background_iou:.2f}"
    return _finish(ax, f"{NOT_ADDITIVE.replace('; ', chr(10))}\n{about}\n{note}", title)


@literal_text()
def plot_confusion(
    confusion: Confusion,
    names: Sequence[str],
    note: str,
    ax: Axes | None = None,
    title: str = "",
    most: int = 20,
) -> Axes:
    """The matrix with numbers in its cells, darkness the share of the row.

    Beyond `most` classes only those with most boxes off the diagonal are drawn; the note says how many are
    not.
    """
    matrix = confusion.matrix
    k = len(matrix) - 1
    off = matrix.sum(axis=0)[:k] + matrix.sum(axis=1)[:k] - 2 * np.diag(matrix)[:k]
    shown = np.sort(np.argsort(-off, kind="stable")[:most])
    index = np.append(shown, k)
    part = matrix[np.ix_(index, index)]
    labels = [*(names[i] for i in shown), background_label(names)]
    side = 1.9 + 0.36 * len(index)
    ax = _axes(ax, side + 0.6, side)
    share = part / np.maximum(part.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), n in np.ndenumerate(part):
        if n:
            ax.text(
                j,
                i,
                str(n),
                ha="center",
                va="center",
                fontsize=7,
                color="white" if share[i, j] > 0.55 else "#222222",
            )
    ax.set(xticks=range(len(index)), yticks=range(len(index)), ylabel="ground truth", xlabel="predicted")
    ax.set_xticklabels(labels, rotation=45, ha="right")
    ax.set_yticklabels(labels)
    ax.yaxis.label.set_size(8.5)
    left = k - len(shown)
    return _finish(
        ax, f"{note}" + (f"\n{left} classes with fewer confusions are not drawn" if left else ""), title
    )
