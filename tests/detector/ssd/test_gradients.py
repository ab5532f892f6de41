"""An SSD opened for heat maps: the same answers as it gives closed, gradients that predict what a small
change does.
"""

from __future__ import annotations

import numpy as np
import pytest

from detector.core import ClassMap
from detector.differentiable import DifferentiableDetector
from detector.errors import InputError
from detector.models.keras_ssd import KerasSSD
from detector.testing import patterned
from tests.detector.ssd.small_zoo import small_arrays, small_config

IMAGE = patterned(61, 83, 1)


@pytest.fixture(scope="module")
def detector() -> KerasSSD:
    # The second and third output swapped, so that a column taken for a class id shows.
    return KerasSSD(
        small_config(),
        small_arrays(),
        ClassMap(("cat", "owl", "dog"), (1, 3, 2)),
        outputs=[0, 2, 1],
        runtime="keras",
    )


def test_its_frame_answers_as_the_detector_does(detector):
    assert isinstance(detector, DifferentiableDetector) and "gradients" in detector.info.capabilities
    frame = detector.frame(IMAGE)
    assert (
        frame.inputs.shape == (96, 128, 3)
        and frame.window == (0, 0, 128, 96)
        and frame.image_size == (83, 61)
    )
    np.testing.assert_allclose(
        frame.to_frame([[0, 0, 83, 61], [41.5, 0, 83, 30.5]]), [[0, 0, 128, 96], [64, 0, 128, 48]]
    )
    logits, boxes = detector.answer(frame, np.stack([frame.inputs] * 11), boxes=True)
    closed = detector.candidates([IMAGE])[0]
    assert logits.shape == (11, len(closed), 3) and detector.answer(frame, frame.inputs[None])[1] is None
    np.testing.assert_allclose(logits[10], closed.logits, atol=2e-4)
    np.testing.assert_allclose(boxes[0], closed.xyxy, atol=2e-2)


def test_gradients_tell_what_a_small_change_does(detector):
    frame = detector.frame(IMAGE)
    rows, classes, weights = [40, 300], [1, 2], [0.25, -1.5]
    found = detector.gradients(frame, frame.inputs[None], rows, classes, weights)
    logits, _ = detector.answer(frame, frame.inputs[None])
    value = 0.25 * logits[0, 40, 1] - 1.5 * logits[0, 300, 2]
    assert found.values.tolist() == pytest.approx([value], abs=2e-3)
    step = found.inputs[0] / np.linalg.norm(found.inputs[0]) * 0.001  # seeded weights bend sharply
    moved, _ = detector.answer(frame, np.stack([frame.inputs + step, frame.inputs - step]))
    change = (0.25 * moved[:, 40, 1] - 1.5 * moved[:, 300, 2]) @ [0.5, -0.5]
    assert change == pytest.approx(float((found.inputs[0] * step).sum()), rel=0.2)


def test_layers_of_evidence_and_the_wrong_one(detector):
    frame = detector.frame(IMAGE)
    coarse = int(np.flatnonzero(detector.anchors.levels == 2)[0])
    names = detector.evidence_layers([coarse])
    assert names == ("stride_8", "feature_map_2") and detector.evidence_layers([0, coarse]) == (
        "stride_8",
        "feature_map_0",
        "feature_map_2",
    )
    found = detector.gradients(frame, frame.inputs[None], [coarse], [0], [1.0], (*names, "feature_map_4"))
    assert (
        found.inputs is None
        and found.features["stride_8"].shape[1:3] == (12, 16)
        and found.features["feature_map_2"].shape[1:3] == (3, 4)
    )
    assert (
        np.abs(found.gradients["stride_8"]).max() > 0 and np.abs(found.gradients["feature_map_2"]).max() > 0
    )
    assert not found.gradients["feature_map_4"].any(), "level 4 does not feed level 2"
    with pytest.raises(InputError, match="No layer is named 'conv5'.*stride_8"):
        detector.gradients(frame, frame.inputs[None], [0], [0], [1.0], ("conv5",))
    with pytest.raises(InputError, match="anchor_ids: expected 0"):
        detector.gradients(frame, frame.inputs[None], [10**6], [0], [1.0])
    with pytest.raises(InputError, match="at least one"):
        detector.gradients(frame, frame.inputs[None], [], [], [])


def test_a_missed_object_gets_the_anchors_training_assigns(detector):
    anchors = detector.candidates([IMAGE])[0].anchors
    inside = int(np.flatnonzero((anchors >= 0).all(axis=1) & (anchors <= [83, 61, 83, 61]).all(axis=1))[7])
    boxes = np.array([anchors[inside], [2, 2, 4, 4]], np.float32)
    first, tiny = detector.assigned_anchors(boxes, (83, 61))
    assert inside in first and len(tiny) == 1, "an object no anchor fits gets its best one by force"
    assert detector.assigned_anchors(np.zeros((0, 4)), (83, 61)) == []
