"""Encodings on the anchors of a file's own metadata, by hand."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np

from detector.core import ClassMap
from detector.models.decoders import ssd_anchors
from detector.models.decoders.interface import Described, Tensor

ANCHORS = [(0.25, 0.5, 0.5, 0.25), (0.75, 0.5, 0.25, 0.5)]  # centre x, y, width, height


def options(*, scales=(1.0, 2.0, 1.0, 4.0), logits: bool = False) -> bytes:
    """The bytes of an ObjectDetectorOptions table."""
    b = flatbuffers.Builder(256)
    made = []
    for anchor in ANCHORS:
        b.StartObject(4)
        for number, value in enumerate(anchor):
            b.PrependFloat32Slot(number, value, 0.0)
        made.append(b.EndObject())
    b.StartVector(4, len(made), 4)
    for anchor in reversed(made):
        b.PrependUOffsetTRelative(anchor)
    vector = b.EndVector()
    b.StartObject(1)
    b.PrependUOffsetTRelativeSlot(0, vector, 0)
    fixed = b.EndObject()
    b.StartObject(1)
    b.PrependUOffsetTRelativeSlot(0, fixed, 0)
    ssd = b.EndObject()
    b.StartObject(12)
    for number, value in zip((6, 7, 8, 9), scales):  # x, y, w, h
        b.PrependFloat32Slot(number, value, 0.0)
    b.PrependBoolSlot(10, True, False)
    b.PrependBoolSlot(11, logits, False)
    decoding = b.EndObject()
    b.StartObject(3)
    b.PrependUOffsetTRelativeSlot(1, ssd, 0)
    b.PrependUOffsetTRelativeSlot(2, decoding, 0)
    b.Finish(b.EndObject())
    return bytes(b.Output())


def described(**more) -> Described:
    outputs = (Tensor("encodings", (1, 2, 4)), Tensor("scores", (1, 2, 3)))
    labels = ClassMap(("cat", "dog"), (1, 2))
    return Described(
        Path("m"), "tflite", outputs, (200, 100), labels=labels, detector_options=options(**more)
    )


def test_boxes_come_y_first_and_sizes_are_exponents():
    """Anchor 0 of a 200 x 100 input: centre (50, 50), 100 x 25. x moves by .1 / 1 * 100, y by .4 / 2 * 25;
    the width grows by e^(ln 2 / 1), the height by e^(4 ln 2 / 4)."""
    encodings = np.zeros((1, 2, 4), np.float32)
    encodings[0, 0] = [0.4, 0.1, 4 * np.log(2), np.log(2)]
    scores = np.float32([[[0.1, 0.8, 0.2], [0.9, 0.0, 0.3]]])
    decoder = ssd_anchors.recognise(described(), [encodings, scores])
    assert (decoder.background, decoder.classes, decoder.unit) == (1, 2, "anchor")
    rows = decoder.rows([encodings, scores])
    np.testing.assert_allclose(rows.xyxy, [[-40, 30, 160, 80], [125, 25, 175, 75]], atol=1e-3)
    np.testing.assert_allclose(rows.scores, scores[0])
    np.testing.assert_allclose(decoder.anchors, [[0, 37.5, 100, 62.5], [125, 25, 175, 75]], atol=1e-4)


def test_logits_where_the_metadata_say_so():
    scores = np.float32([[[0, 2, -2], [0, 0, 0]]])
    encodings = np.zeros((1, 2, 4), np.float32)
    decoder = ssd_anchors.recognise(described(logits=True), [encodings, scores])
    rows = decoder.rows([encodings, scores])
    np.testing.assert_allclose(rows.scores[0], [0.5, 0.8808, 0.1192], atol=1e-4)
    np.testing.assert_allclose(rows.logits, scores[0])


def test_other_files_are_not_taken():
    file = Described(Path("m"), "tflite", (), (200, 100))
    assert ssd_anchors.recognise(file, [np.zeros((1, 2, 4)), np.zeros((1, 2, 3))]) is None
