"""Figures say what the tables say, and carry their operating point."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.matching.counts import counts
from analysis.matching.match import match_run
from analysis.matching.operating_point import operating_point
from analysis.mistakes.confusion import Confusions
from analysis.mistakes.errors import find_errors
from analysis.report.charts import (
    plot_confusion,
    plot_curves,
    plot_errors,
    plot_precision_recall,
    plot_reliability,
)
from analysis.thresholds.calibration import reliability, run_reliability
from analysis.thresholds.curves import exact_curve
from tests.analysis.builders import make_run, random_run

RUN = random_run(5, images=30)
M = match_run(RUN)
NOTE = str(operating_point(RUN, 0.5))


def test_curves_and_the_point_on_them():
    ax = plot_curves(exact_curve(M), NOTE, 0.5)
    assert [line.get_label() for line in ax.get_lines()][:3] == ["precision", "recall", "F1"]
    assert len({line.get_linestyle() for line in ax.get_lines()}) == 4, "told apart without colour"
    assert "IoU ≥ 0.50" in ax.get_xlabel() and f"{counts(M).objects} objects" in ax.get_xlabel()
    c = counts(M, 0.5)
    (point,) = [
        line
        for line in plot_precision_recall(exact_curve(M), NOTE, 0.5).get_lines()
        if line.get_marker() == "o"
    ]
    assert point.get_xdata()[0] == pytest.approx(c.recall) and point.get_ydata()[0] == pytest.approx(
        c.precision
    )


def test_reliability_bars():
    table, _ = run_reliability(M)
    ax = plot_reliability(table, NOTE)
    heights = [p.get_height() for p in ax.patches]
    np.testing.assert_allclose(heights, table.accuracy[table.counts > 0])
    assert f"{table.ece:.3f}" in ax.get_xlabel()
    assert "no detections" in plot_reliability(reliability([], []), NOTE).get_xlabel()


def test_error_bars():
    e = find_errors(RUN)
    ax = plot_errors(e, NOTE)
    np.testing.assert_allclose(
        [p.get_width() for p in ax.patches],
        [e.dap[k] for k in ("classification", "localisation", "both", "duplicate", "background", "missed")],
    )
    assert "does not gain their sum" in ax.get_xlabel()
    assert any(f"({e.counts['missed']} object" in t.get_text() for t in ax.texts)


def test_confusion_cells_and_the_classes_left_out():
    c = Confusions(RUN, matches=M).at(0.3)
    ax = plot_confusion(c, RUN.class_map.names, NOTE)
    assert sorted(int(t.get_text()) for t in ax.texts) == sorted(int(v) for v in c.matrix.ravel() if v)
    assert (
        "2 classes with fewer confusions" in plot_confusion(c, RUN.class_map.names, NOTE, most=2).get_xlabel()
    )


def test_empty_tables_draw():
    empty = make_run([], [], num_images=1)
    m = match_run(empty)
    plot_curves(exact_curve(m), NOTE, 0.5)
    plot_precision_recall(exact_curve(m), NOTE, 0.5)
    plot_errors(find_errors(empty), NOTE)
    assert not plot_confusion(Confusions(empty).at(), empty.class_map.names, NOTE).texts
