"""Exported two-head detectors answer as the network does: SavedModel and TFLite, stretched and
letterboxed.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from detector import load_detector
from detector.errors import ConfigError, RunError
from detector.export.two_head import export_saved_model, export_tflite
from detector.models.two_head import TwoHeadDetector
from detector.testing import patterned
from detector.two_head.stored import TwoHeadSettings
from tests.detector.models.test_two_head import CLASSES, CONFIG, arrays_for

IMAGES = [patterned(61, 83, 1), patterned(97, 45, 2), patterned(64, 96, 3)]


def agree(a, b, pixels: float, shares: float) -> None:
    for one, other in zip(a.detect(IMAGES), b.detect(IMAGES)):
        assert one.image_size == other.image_size and sorted(one.class_ids) == sorted(other.class_ids)
        order, order2 = np.argsort(one.class_ids), np.argsort(other.class_ids)
        assert other.xyxy[order2] == pytest.approx(one.xyxy[order], abs=pixels)
        assert other.scores[order2] == pytest.approx(one.scores[order], abs=shares)


@pytest.fixture(scope="module", params=["stretch", "letterbox"])
def detector(request):
    config = dataclasses.replace(CONFIG, resize=request.param)
    return TwoHeadDetector(
        config, arrays_for(config), CLASSES, TwoHeadSettings(top_k=2, flip_average=request.param == "stretch")
    )


@pytest.mark.slow
def test_tflite_says_the_same_object_by_object(detector, tmp_path):
    file = export_tflite(detector, tmp_path / "net.tflite")
    again = load_detector(file)
    assert again.info.class_map.names == CLASSES.names and again.info.settings["max_total_detections"] == 2
    agree(detector, again, 0.05, 0.001)
    assert all(c.scores.shape == (1, 3) for c in again.candidates(IMAGES))
    with pytest.raises(RunError, match="there is one already"):
        export_tflite(detector, file)


@pytest.mark.slow
def test_a_saved_model_says_the_same(detector, tmp_path):
    out = export_saved_model(detector, tmp_path / "out")
    again = load_detector(out / "saved_model", white_box=False)
    assert again.info.class_map.names == CLASSES.names and "candidates" in again.info.capabilities
    agree(detector, again, 1.0, 0.03)
    (shown,) = again.candidates(IMAGES[:1])
    assert shown.scores.shape == (1, 3) and shown.scores == pytest.approx(
        detector.candidates(IMAGES[:1])[0].scores, abs=0.03
    )


def test_four_classes_are_not_taken_for_a_box_and_the_letterbox_travels(tmp_path):
    from detector.core import ClassMap

    config = dataclasses.replace(CONFIG, num_classes=4, resize="letterbox")
    detector = TwoHeadDetector(config, arrays_for(config), ClassMap(("a", "b", "c", "d")))
    agree(detector, load_detector(export_tflite(detector, tmp_path / "four.tflite")), 0.05, 0.001)


@pytest.mark.slow
def test_eight_bits_are_near(tmp_path):
    detector = TwoHeadDetector(CONFIG, arrays_for(CONFIG), CLASSES)
    again = load_detector(
        export_tflite(detector, tmp_path / "int8.tflite", precision="int8", images=IMAGES * 5)
    )
    assert again.info.input_size == (96, 64)
    for one, other in zip(detector.candidates(IMAGES), again.candidates(IMAGES)):
        assert np.abs(one.xyxy - other.xyxy).max() < 12 and np.abs(one.scores - other.scores).max() < 0.2


@pytest.mark.parametrize(
    "options, message",
    [
        ({"precision": "int4"}, "precision"),
        ({"precision": "int8"}, "expected pictures"),
        ({"name": "x.bin"}, "ending in .tflite"),
    ],
)
def test_refusals(tmp_path, options, message):
    detector = TwoHeadDetector(CONFIG, {}, CLASSES)
    with pytest.raises(ConfigError, match=message):
        export_tflite(detector, tmp_path / options.pop("name", "x.tflite"), **options)
