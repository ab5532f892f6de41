"""What a running training is judged by equals what the finished detector is evaluated with."""

from __future__ import annotations

import pytest

from analysis.metrics.evaluate import evaluate
from analysis.metrics.validation import average_precision
from analysis.runs.in_memory import run_from_detections
from detector.core import Detections
from tests.analysis.run_builders import INFO, StubDetector, numbered


def test_it_is_coco_s_figure_and_ap_comes_first():
    dataset, stub = numbered(19), StubDetector()
    figures = average_precision(stub, dataset)
    whole = evaluate(
        run_from_detections(dataset, StubDetector().detect([dataset.load_image(i) for i in range(19)]), INFO)
    ).figures
    assert list(figures) == ["AP", "AP50"] and figures["AP50"] == pytest.approx(whole["AP50"])
    assert sorted(stub.seen) == list(range(19))


def test_all_boxes_right_is_one_and_none_found_is_zero():
    dataset = numbered(3)

    class Knows(StubDetector):
        found = True

        def detect(self, images):
            truth = dataset.annotations(0)
            boxes = truth.xyxy[:1] if self.found else truth.xyxy[:0]
            return [Detections(boxes, [0.9] * len(boxes), [2] * len(boxes), (21, 13)) for _ in images]

    knows = Knows()
    assert average_precision(knows, dataset)["AP50"] == pytest.approx(
        0.5
    )  # both classes count, the detector knows one
    knows.found = False
    assert average_precision(knows, dataset) == {"AP": 0.0, "AP50": 0.0}
