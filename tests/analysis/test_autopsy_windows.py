"""The autopsy of a sliding-window detector's misses: a window of this size was not looked at, or was and
scored too low.
"""

from __future__ import annotations

import numpy as np

from analysis import autopsy
from analysis.runs.in_memory import run_from_detections
from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable
from detector.models.sliding_window import SlidingWindow
from detector.sliding.settings import SlidingWindowSettings
from tests.detector.models.test_sliding_window import bright_corner, picture

IMAGE = picture(21, 31, (4, 10))


def test_no_window_of_this_size_and_a_window_below_the_threshold():
    network, geometry = bright_corner()  # sure (0.98) of the window at (4, 10) alone, 0.02 everywhere else
    settings = SlidingWindowSettings((8,), score_threshold=0.01, pad=0.0)
    detector = SlidingWindow(network, geometry, ClassMap(("car",)), settings)
    boxes = [
        [4, 10, 12, 16],
        [1, 1, 29, 20],
        [20, 2, 28, 8],
    ]  # in place; far too large; a window nobody is sure of
    dataset = Dataset(
        name="x",
        format="memory",
        source="",
        class_map=ClassMap(("car",)),
        sample_ids=["a"],
        files=[""],
        sizes=np.array([[31, 21]]),
        objects=ObjectTable.build([0, 0, 0], boxes, [0, 0, 0]),
        loader=lambda i: IMAGE,
    )
    run = run_from_detections(dataset, detector.detect([IMAGE]), detector.info, floor=0.1)
    result = autopsy(run, 0.5, candidates={0: detector.candidates([IMAGE])[0]})
    assert list(result.causes) == ["no anchor", "below threshold"]
    assert (
        result.sentence(0)
        == "No window of this size is looked at here: this car has 28×19 pixels, the detector's windows are 8"
        " wide, and the best has IoU 0.09."
    )
    assert "0.02" in result.sentence(1) and "threshold 0.50" in result.sentence(1).replace(
        "threshold is", "threshold"
    )
