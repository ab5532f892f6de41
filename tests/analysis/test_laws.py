"""Laws over the whole engine: permuting images changes nothing; importing it loads nothing heavy."""

from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import analysis
from analysis.matching.counts import counts
from analysis.matching.match import match_run
from analysis.metrics.evaluate import evaluate
from analysis.metrics.voc import evaluate_voc
from analysis.mistakes.confusion import Confusions
from analysis.mistakes.errors import find_errors
from analysis.mistakes.slices import slice_run
from analysis.queries import find_images_with_classes
from analysis.runs.tables import DetectionTable
from analysis.thresholds.calibration import run_reliability
from analysis.thresholds.curves import best_f1, exact_curve
from detector.data.dataset import ObjectTable
from tests.analysis.builders import random_run


def permuted(run, seed):
    """The run with its images, and the objects and detections of each, in another order."""
    rng = np.random.default_rng(seed)
    n = len(run.sample_ids)
    order = rng.permutation(n)
    place = np.argsort(order)
    other = copy.copy(run)
    other.sample_ids = [run.sample_ids[i] for i in order]
    other.position = other.sample_ids.index
    d, t = run.detections, run.truth
    mix, t_mix = rng.permutation(len(d.rows)), rng.permutation(len(t.rows))
    mix = mix[np.argsort(place[d.rows[mix]], kind="stable")]
    other.detections = DetectionTable.build(
        place[d.rows[mix]], d.xyxy[mix], d.scores[mix], d.class_ids[mix], count=n
    )
    other.truth = ObjectTable.build(
        place[t.rows[t_mix]], t.xyxy[t_mix], t.class_ids[t_mix], ids=t.ids[t_mix], crowd=t.crowd[t_mix]
    )
    return other


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 5000))
def test_permuting_images_objects_and_detections_changes_nothing(seed):
    run = random_run(seed, images=8, ties=False)
    rng = np.random.default_rng(seed)
    for table in (run.detections, run.truth):  # no two IoUs alike
        moved = table.xyxy + rng.uniform(0, 0.3, table.xyxy.shape).astype(np.float32)
        object.__setattr__(table, "xyxy", moved)
    other = permuted(run, seed)
    a, b = match_run(run), match_run(other)
    for threshold in (0, 0.4, [0.1, 0.6, 0.3, 0.9]):
        assert counts(a, threshold).to_dict() == counts(b, threshold).to_dict()
    assert evaluate(run).figures == evaluate(other).figures
    assert evaluate_voc(run).per_class == evaluate_voc(other).per_class
    one, two = find_errors(run), find_errors(other)
    assert one.counts == two.counts and one.dap == pytest.approx(two.dap)
    np.testing.assert_array_equal(Confusions(run).at(0.3).matrix, Confusions(other).at(0.3).matrix)
    assert best_f1(exact_curve(a)) == best_f1(exact_curve(b))
    np.testing.assert_allclose(run_reliability(a)[0].confidence, run_reliability(b)[0].confidence)
    assert sorted(find_images_with_classes(run, ["c0", "c1"], "all")) == sorted(
        find_images_with_classes(other, ["c0", "c1"], "all")
    )
    assert [(s.label, s.objects, s.found) for s in slice_run(run, samples=10).slices] == [
        (s.label, s.objects, s.found) for s in slice_run(other, samples=10).slices
    ]


def test_importing_analysis_and_matching_loads_nothing_heavy():
    code = (
        "import sys, analysis, analysis.matching.match, analysis.queries, analysis.matching.counts,"
        " analysis.metrics.evaluate, analysis.thresholds.curves;heavy = {'tensorflow', 'keras', 'streamlit',"
        " 'fiftyone', 'matplotlib', 'cv2', 'pycocotools', 'hotcoco', 'sklearn', 'scipy'} &"
        " set(sys.modules);print(sorted(heavy))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_the_promised_names_are_there():
    for name in analysis.__all__:
        if name != "push_to_fiftyone":  # its module is imported by its own tests
            assert callable(getattr(analysis, name)), name
    assert set(analysis.__all__) <= set(dir(analysis))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = analysis.nonsense
