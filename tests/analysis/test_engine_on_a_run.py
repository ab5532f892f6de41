"""The whole engine on a stored run read back from disk, against the same numbers from plain columns."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.matching.counts import counts
from analysis.matching.match import match
from analysis.metrics.evaluate import evaluate
from analysis.metrics.pycocotools_check import parity
from analysis.metrics.voc import evaluate_voc
from analysis.mistakes.compare import compare
from analysis.mistakes.confusion import Confusions
from analysis.mistakes.errors import find_errors
from analysis.mistakes.slices import slice_run
from analysis.runs.store import RunWriter, create_run, open_run
from analysis.thresholds.calibration import calibrated_run, fit_calibration
from detector.core import ClassMap, Detections, DetectorInfo
from detector.data.dataset import Dataset
from tests.analysis.builders import random_run


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """(plain columns, the same as an opened run whose detector knows its classes in another order and one
    more).
    """
    plain = random_run(17, images=40)
    data = Dataset(
        name="toy",
        format="test",
        source="",
        class_map=plain.class_map,
        sample_ids=plain.sample_ids,
        files=[""] * 40,
        sizes=plain.sizes,
        objects=plain.truth,
    )
    folder = tmp_path_factory.mktemp("engine") / "run"
    info = DetectorInfo(
        "toy ssd", "fake", ClassMap(("ufo", *plain.class_map.names[::-1])), "feed" * 8, simulated=True
    )
    manifest = create_run(folder, data, info, floor=0.0)
    assert manifest.classes.names == (*plain.class_map.names, "ufo")
    d = plain.detections
    with RunWriter(folder) as writer:
        for i in range(40):
            rows = d.of(i)
            writer.add(i, Detections(d.xyxy[rows], d.scores[rows], d.class_ids[rows], tuple(plain.sizes[i])))
        writer.finish("done")
    return plain, open_run(folder)


def test_figures_agree(pair):
    plain, run = pair
    assert evaluate(run).figures == evaluate(plain).figures
    assert parity(run).equal
    assert evaluate_voc(run).per_class == evaluate_voc(plain).per_class
    assert counts(match(run), 0.4).to_dict() == counts(match(plain), 0.4).to_dict()
    one, two = find_errors(run), find_errors(plain)
    assert one.counts == two.counts and one.dap == two.dap
    np.testing.assert_array_equal(
        Confusions(run).at(0.3).matrix[:4, :4], Confusions(plain).at(0.3).matrix[:4, :4]
    )
    assert slice_run(run, samples=10).whole == slice_run(plain, samples=10).whole


def test_operating_points_name_the_detector(pair):
    _, run = pair
    for text in (
        str(compare(run, threshold_b=0.3).a.point),
        evaluate(run).operating_point,
        str(slice_run(run, samples=10).point),
    ):
        assert "toy ssd feedfeed" in text


def test_views_of_a_run_leave_it_alone(pair):
    _, run = pair
    before = run.detections.scores.copy()
    other = calibrated_run(run, fit_calibration(match(run)))
    assert other.version != run.version and other.usable.all()
    assert compare(run, other, threshold=0.3).left_out == 0
    assert compare(run, nms_iou_b=0.3).b.run.version != run.version
    np.testing.assert_array_equal(run.detections.scores, before)
