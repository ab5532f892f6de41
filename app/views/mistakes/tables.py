"""What the Mistakes page shows, as plain values: kinds, the matrix, slices. No Streamlit calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.mistakes.confusion import Confusion
from analysis.mistakes.errors import KINDS, MISSED, SENTENCES, Errors
from analysis.mistakes.slices import Slice, Slices
from app.views.mistakes.boxes import MistakesRequest, label_of
from app.views.mistakes.figures import errors_of

LOOKS = ("Kinds", "Causes", "Confusion", "Slices")
MATRIX_SIZES = (12, 24)


# ---- what is drawn


def count_kinds(s: Any) -> dict[str, int]:
    """How many of each kind at the operating point, among the chosen images and classes."""
    errors, m = errors_of(s), s.matches
    det_codes, object_codes = errors.at(s.thresholds)
    if s.class_ids is not None:
        det_codes = np.where(_chosen(s, m.det_rows, m.det_classes), det_codes, 0)
        object_codes = np.where(_chosen(s, m.truth_rows, m.truth_classes), object_codes, 0)
    of_dets = np.bincount(det_codes, minlength=7)
    return {kind: int(of_dets[code]) for code, kind in enumerate(KINDS, 1)} | {
        "missed": int((object_codes == MISSED).sum())
    }


def _chosen(s: Any, rows: np.ndarray, classes: np.ndarray) -> np.ndarray:
    wanted = np.ones(len(s.run.class_map), bool)
    if s.counted_classes is not None:
        wanted[:] = False
        wanted[list(s.counted_classes)] = True
    return s.images[rows] & wanted[classes]


def kind_rows(errors: Errors, found: dict[str, int], selected: str | None) -> dict[str, Any]:
    """The kinds as rows, the costliest first.

    Args:
        found: how many of each at the operating point.
    """
    top = max(max(errors.dap[kind] for kind in KINDS), 1e-9)
    rows = []
    for kind in sorted(KINDS, key=lambda k: -errors.dap[k]):
        thing = "objects" if kind == "missed" else "detections"
        rows.append(
            {
                "id": kind,
                "name": kind,
                "note": SENTENCES[kind],
                "verdict": {"missed": "missed", "duplicate": "duplicate"}.get(kind, "wrong"),
                "count": f"{found[kind]:,}",
                "count_note": thing,
                "count_title": (
                    f"{found[kind]:,} {thing} at this threshold; {errors.counts[kind]:,} at any stored score"
                ),
                "bar": errors.dap[kind] / top,
                "value": f"+{errors.dap[kind]:.3f}",
                "value_note": "AP",
                "title": f"Show the {found[kind]:,} {thing}",
                "disabled": False,
            }
        )
    return {
        "head": ["kind of mistake", "at this threshold", "", "mending all adds"],
        "rows": rows,
        "selected": selected,
    }


def slice_rows(slices: Slices, selected: str | None, least: int = 20) -> dict[str, Any]:
    """Slices as rows with their recall and its interval, those surely below the whole first, then by
    recall.
    """
    low = set(slices.worst(len(slices.slices), least))
    kept = [s for s in slices.slices if s.recall is not None]
    rows = [
        _slice_row(s, s in low, s.objects < least)
        for s in sorted(
            kept,
            key=lambda s: (s not in low, s.objects < least, s.recall_interval[1] if s in low else s.recall),
        )
    ]
    return {
        "head": ["part of the data", "missed", "recall, 95 % interval", ""],
        "rows": rows,
        "selected": selected,
        "line": slices.whole.recall,
        "foot": (
            f"Dashed line: recall of everything, {percent(slices.whole.recall)}. A part is marked ◆ only"
            f" where its whole interval lies below that line and it has {least} objects or more. Intervals:"
            f" bootstrap over images, {slices.samples} resamples. Many parts are looked at together, so a"
            " mark is a hint, not a proof."
        ),
    }


def _slice_row(s: Slice, low: bool, few: bool) -> dict[str, Any]:
    interval = s.recall_interval or (s.recall, s.recall)
    precision = f", precision {percent(s.precision)}" if s.precision is not None else ""
    return {
        "id": str(MistakesRequest("slice", (s.group, s.name))),
        "name": label_of(s.group, s.name),
        "verdict": "",
        "flag": low,
        "quiet": few and not low,
        "note": (
            f"{s.objects:,} objects in {s.images:,} images{precision}"
            + (" · too few to judge" if few else "")
        ),
        "count": f"{s.objects - s.found:,}",
        "count_title": f"{s.objects - s.found:,} of {s.objects:,} objects missed (false negatives)",
        "low": interval[0],
        "high": interval[1],
        "mid": s.recall,
        "value": percent(s.recall),
        "value_note": f"{100 * interval[0]:.0f}–{100 * interval[1]:.0f}",
        "title": f"Show the {s.objects - s.found:,} missed objects",
        "disabled": False,
    }


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def matrix_of(s: Any, confusion: Confusion) -> np.ndarray:
    """int64 [K + 1, K + 1], the matrix of the chosen images."""
    if s.class_ids is None:
        return confusion.matrix
    m, k = s.matches, s.matches.num_classes
    seen = s.images[m.det_rows[confusion.det_rows]]
    truth = np.append(m.truth_classes, k)[confusion.det_truth[seen]]
    flat = np.bincount(truth * (k + 1) + m.det_classes[confusion.det_rows[seen]], minlength=(k + 1) ** 2)
    matrix = flat.reshape(k + 1, k + 1)
    missed = confusion.missed[s.images[m.truth_rows[confusion.missed]]]
    matrix[:k, k] = np.bincount(m.truth_classes[missed], minlength=k)
    return matrix


def shown_classes(matrix: np.ndarray, chosen: tuple[int, ...] | None, most: int) -> list[int]:
    """Class ids for the matrix, the most confused first: those confused with other classes, then with
    background.

    Classes without any box are left out. Where classes are chosen, they come first, then those confused with
    them.
    """
    k = len(matrix) - 1
    inner = matrix[:k, :k].copy()
    np.fill_diagonal(inner, 0)
    if chosen is None:
        between = inner.sum(0) + inner.sum(1)
        first = np.zeros(k, bool)
    else:
        first = np.isin(np.arange(k), chosen)
        between = inner[first].sum(0) + inner[:, first].sum(1)
    back = matrix[:k, k] + matrix[k, :k]
    there = (matrix[:k].sum(1) + matrix[:, :k].sum(0)) > 0
    there &= first | (between > 0) | (chosen is None)
    order = np.lexsort((-back, -between, ~first))
    return [int(c) for c in order if there[c]][:most]


def matrix_payload(
    matrix: np.ndarray, names: tuple[str, ...], shown: list[int], selected: tuple[str, ...] | None
) -> dict[str, Any]:
    """The part of the matrix over the shown classes, and background last. `rows`: the sums over all classes,
    which shares refer to.
    """
    k = len(matrix) - 1
    index = [*shown, k]
    labels = [*(names[c] for c in shown), "background"]
    sums = matrix.sum(axis=1)
    part = matrix[np.ix_(index, index)]
    totals = [
        {"text": f"{sums[c]:,}", "title": f"{labels[n]}: {sums[c]:,} objects"} for n, c in enumerate(shown)
    ]
    totals.append(
        {"text": f"{sums[k]:,}", "title": f"background: {sums[k]:,} detections that stand on no object"}
    )
    at = [labels.index(part) if part in labels else -1 for part in selected] if selected else None
    return {
        "labels": labels,
        "counts": part.tolist(),
        "rows": sums[index].tolist(),
        "totals": totals,
        "selected": at,
    }
