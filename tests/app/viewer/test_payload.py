"""What the browser is given agrees with the matcher at every threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.matching.counts import counts, verdicts
from analysis.matching.match import match_run
from analysis.matching.matches import MATCHED, VERDICT_WORDS
from analysis.runs.store import open_run
from app.viewer import HERE
from app.viewer.payload import STEPS, boxes_of, curve, exact


@given(st.lists(st.floats(0, 1, width=32), max_size=8), st.integers(0, 100))
def test_exact_scores_pass_a_threshold_as_float32_does(scores, step):
    values = np.array(scores, np.float32)
    threshold = step / 100
    assert [s >= threshold for s in exact(values)] == (values >= np.float32(threshold)).tolist()


def test_exact_keeps_the_very_edge():
    edge = np.float32(
        [0.7, np.nextafter(np.float32(0.7), np.float32(0)), np.nextafter(np.float32(0.7), np.float32(1))]
    )
    assert [s >= 0.7 for s in exact(edge)] == [True, False, True]


@pytest.fixture
def run(tiny_run):
    return open_run(tiny_run)


def test_boxes_point_to_each_other(run):
    m = match_run(run)
    sent = boxes_of(run, m, 2)
    assert sent["judged"] and sent["dets"]["score"] == [0.7, 0.55, 0.05]
    assert [VERDICT_WORDS[k] for k in sent["dets"]["kind"]] == ["correct", "duplicate", "wrong"]
    assert sent["dets"]["partner"] == [0, 0, -1]
    assert sent["truth"]["det"] == [0] and sent["truth"]["score"] == [0.7] and sent["truth"]["iou"] == [1.0]
    assert boxes_of(run, m, 3)["dets"]["box"] == [] and boxes_of(run, m, 3)["truth"]["box"] == []


def test_cutting_the_list_keeps_every_partner(run):
    m = match_run(run)
    sent = boxes_of(run, m, 0, most=1)
    assert sent["dets"]["score"] == [0.9, 0.3] and sent["truth"]["det"] == [0, 1]
    assert boxes_of(run, m, 2, most=1)["dets"]["score"] == [0.7, 0.55]


def test_the_curve_equals_the_counts(run):
    m = match_run(run)
    found = curve(m)
    for at in (0, 5, 30, 55, 56, 100):
        c = counts(m, float(STEPS[at]))
        assert (found["correct"][at], found["wrong"][at], found["detections"][at]) == (
            c.tp,
            c.fp,
            c.detections,
        )


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.3, 0.31, 0.5, 0.7, 0.9, 0.91])
def test_browser_verdicts_equal_the_matchers(run, threshold):
    """The rule of core.js (kind and score, nothing else), spoken in Python, against
    analysis.matching.match.verdicts.
    """
    assert (
        'const KIND_VERDICT = ["wrong", "correct", "duplicate", "ignored", "unjudged"];'
        in (HERE / "core.js").read_text()
    )
    assert [v.word for v in MATCHED] == ["wrong", "correct", "duplicate", "ignored", "unjudged"]
    m = match_run(run)
    said = verdicts(m, threshold)
    for i in range(len(run)):
        sent = boxes_of(run, m, i)
        browser = [
            "below" if s < threshold else VERDICT_WORDS[k]
            for s, k in zip(sent["dets"]["score"], sent["dets"]["kind"])
        ]
        assert browser == said.detections[run.detections.of(i)].tolist()
        objects = slice(run.truth_offsets[i], run.truth_offsets[i + 1])
        found = [
            "ignored" if g else "found" if s >= threshold and s >= 0 else "missed"
            for s, g in zip(sent["truth"]["score"], sent["truth"]["ignored"])
        ]
        assert found == said.objects[objects].tolist()
