"""A sliding-window detector opened for heat maps: a frame a scale, margins as logits, gradients of one
window.
"""

from __future__ import annotations

import numpy as np
import pytest

from detector.core import ClassMap
from detector.differentiable import DifferentiableDetector
from detector.errors import CapabilityError, InputError
from detector.models.sliding_window import SlidingWindow, load_sliding_window
from detector.sliding.network import patch_classifier
from detector.sliding.settings import SlidingWindowSettings
from detector.sliding.stored import save_sliding_window
from detector.testing import patterned
from tests.detector.models.test_sliding_window import bright_corner
from tests.detector.sliding.test_convert import shaken

IMAGE = patterned(61, 83, 1)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    classifier = shaken(patch_classifier((36, 20), widths=(3, 4), dense=7))
    settings = SlidingWindowSettings(window_widths=(36.0, 54.0), score_threshold=0.05)
    return load_sliding_window(
        save_sliding_window(
            tmp_path_factory.mktemp("made") / "bars", classifier, ClassMap(("bar",)), settings
        )
    )


def test_each_scale_is_a_frame_that_answers_for_its_windows(detector):
    assert isinstance(detector, DifferentiableDetector) and "gradients" in detector.info.capabilities
    closed = detector.candidates([IMAGE])[0]
    for level in (0, 1):
        rows = np.flatnonzero(closed.levels == level)
        frame = detector.frame(IMAGE, [rows[3]])
        assert (frame.first, frame.count) == (rows[0], len(rows)) and frame.inputs.shape[2] == 1
        logits, boxes = detector.answer(frame, frame.inputs[None], boxes=True)
        np.testing.assert_allclose(logits[0, :, 0], closed.logits[rows, 0], atol=1e-5)
        np.testing.assert_allclose(boxes[0], closed.xyxy[rows], atol=1e-3)
        # The window lies where its box says, in the frame's pixels.
        x1, y1, x2, y2 = frame.to_frame(closed.xyxy[rows[3]])[0]
        assert (x2 - x1, y2 - y1) == pytest.approx((36, 20), abs=1e-3)
    with pytest.raises(InputError, match="expected one of the"):
        detector.frame(IMAGE, [len(closed)])


def test_gradients_of_one_window_stay_in_it(detector):
    closed = detector.candidates([IMAGE])[0]
    row = int(np.flatnonzero(closed.levels == 1)[5])
    frame = detector.frame(IMAGE, [row])
    found = detector.gradients(frame, frame.inputs[None], [row], [0], [2.0])
    assert found.values[0] == pytest.approx(2 * closed.logits[row, 0], abs=1e-4)
    x1, y1, x2, y2 = (int(round(v)) for v in frame.to_frame(closed.xyxy[row])[0])
    outside = found.inputs[0, :, :, 0].copy()
    outside[y1:y2, x1:x2] = 0
    assert np.abs(found.inputs).max() > 0 and not outside.any()
    layers = detector.evidence_layers([row])
    assert (
        np.abs(
            detector.gradients(frame, frame.inputs[None], [row], [0], [1.0], layers).gradients[layers[0]]
        ).max()
        > 0
    )
    with pytest.raises(InputError, match="the windows of this scale"):
        detector.gradients(frame, frame.inputs[None], [0], [0], [1.0])


def test_an_objects_windows_are_of_one_scale(detector):
    closed = detector.candidates([IMAGE])[0]
    row = int(np.flatnonzero(closed.levels == 1)[5])
    (near,) = detector.assigned_anchors(closed.xyxy[row : row + 1], (83, 61))
    assert row in near and set(closed.levels[near]) == {1}
    (one,) = detector.assigned_anchors(np.array([[0, 0, 2, 2]]), (83, 61))
    assert len(one) == 1


def test_without_its_keras_model_there_are_no_gradients():
    network, geometry = bright_corner()
    detector = SlidingWindow(
        network, geometry, ClassMap(("spot",)), SlidingWindowSettings(window_widths=(8.0,), pad=0.0)
    )
    assert "gradients" not in detector.info.capabilities
    frame = detector.frame(IMAGE)
    with pytest.raises(CapabilityError, match="without its Keras model"):
        detector.gradients(frame, frame.inputs[None], [0], [0], [1.0])
