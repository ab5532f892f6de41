"""Exported .tflite files: outputs in the order phones expect, labels, input range and resize, and the
detector's own answers.
"""

import dataclasses

import numpy as np
import pytest

from detector.core import Detections
from detector.errors import ConfigError, RunError
from detector.export.ssd_saved_model import probe_picture
from detector.export.ssd_tflite import FORMS, PRECISIONS, export_tflite
from detector.models.keras_ssd import KerasSSD
from detector.models.tflite import TFLiteDetector
from detector.models.tflite_file import read_facts
from tests.detector.export.test_ssd_saved_model import CLASSES, detector  # noqa: F401 - the fixture

SLOW = [
    pytest.param(
        form, precision, marks=() if (form, precision) == ("detections", "float32") else pytest.mark.slow
    )
    for form in FORMS
    for precision in PRECISIONS
]


def pictures(detector) -> list[np.ndarray]:  # noqa: F811
    """Of the network's own size: resizing is the caller's, and no part of the file."""
    whole = probe_picture(detector)
    return [
        p[: detector.config.height, : detector.config.width].copy()
        for p in (whole, whole[::-1], whole[:, ::-1])
    ]


def found_again(want: Detections, got: Detections, scores: float) -> float:
    """The share of detections that the other has too: same class, IoU of 0.9, score within `scores`."""
    from detector.boxes import iou

    overlap = iou(want.xyxy, got.xyxy)
    fits = (
        (overlap > 0.9)
        & (want.class_ids[:, None] == got.class_ids[None])
        & (np.abs(want.scores[:, None] - got.scores[None]) <= scores)
    )
    return float(fits.any(axis=1).mean())


def uncapped(detector, total: int) -> KerasSSD:  # noqa: F811
    """The same network with TFLite's caps: none of its own a class."""
    settings = dataclasses.replace(
        detector.config.postprocess, max_detections_per_class=total, max_total_detections=total
    )
    return KerasSSD(detector.config.with_(postprocess=settings), detector.weights, CLASSES, runtime="keras")


def classes_found(path, image: np.ndarray, threads: int) -> list[int]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[1]["index"])[0].astype(int).tolist()


@pytest.mark.parametrize("form, precision", SLOW)
def test_it_answers_like_the_detector(detector, form, precision, tmp_path):  # noqa: F811
    images = pictures(detector)
    out = export_tflite(
        detector,
        tmp_path / "model.tflite",
        precision=precision,
        form=form,
        nms="fast",
        images=images * 4,
        max_detections=30,
    )

    facts = read_facts(out)
    assert facts.labels.names == CLASSES.names
    assert facts.mean == ((0.0,) if precision == "int8" else (127.5,)) and facts.std == (
        (1.0,) if precision == "int8" else (127.5,)
    )
    if form == "detections":
        assert facts.output_names == ("location", "category", "score", "number of detections")
        assert facts.postprocess["max_detections"] == 30 and facts.postprocess["num_classes"] == 3
        assert facts.postprocess["nms_score_threshold"] == pytest.approx(0.02)
    else:
        assert sorted(facts.output_names) == ["boxes", "scores"]

    assert facts.own["resize"] == "legacy" and ("postprocess" in facts.own) == (form == "raw")
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(out))
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    assert given["shape"].tolist() == [1, 96, 128, 3]
    assert given["dtype"] == (np.uint8 if precision == "int8" else np.float32)
    shapes = [tuple(o["shape"].tolist()) for o in interpreter.get_output_details()]
    if form == "detections":
        assert shapes == [(1, 30, 4), (1, 30), (1, 30), (1,)]
    if precision == "int8":
        assert given["quantization"] == (1.0, 0)  # its bytes are the pixels

    file = TFLiteDetector(out)
    if (
        precision == "float32"
    ):  # of another size than the network's: the file says how it was trained to be resized
        whole = probe_picture(detector)
        (want,), (got,) = detector.candidates([whole]), file.candidates([whole])
        np.testing.assert_allclose(got.scores, want.scores, atol=1e-4)
        if form == "raw":
            assert found_again(detector.detect([whole])[0], file.detect([whole])[0], 1e-3) == 1.0
            assert file.info.settings["max_detections_per_class"] == 20
    for want, got in zip(uncapped(detector, 100).detect(images), file.detect(images)):
        assert len(got) >= 10 and (form == "raw" or got.scores[0] == pytest.approx(want.scores[0], abs=0.02))
        if precision in ("float32", "float16"):  # whatever fast NMS leaves, per-class NMS leaves too
            assert found_again(got, want, 1e-3 if precision == "float32" else 0.02) >= (
                1.0 if precision == "float32" else 0.8
            )
        else:  # random weights have far more close calls than trained ones
            assert found_again(got, want, 0.2) > 0.3
    if form == "detections" and precision == "float32":  # each number of threads finds every class
        fed = (images[0].astype(np.float32) / 127.5 - 1)[None]
        assert len({tuple(classes_found(out, fed, threads)) for threads in (1, 2, 3, 4)}) == 1
    sizes = {"float32": 1.0, "float16": 0.55, "dynamic": 0.4, "int8": 0.4}
    assert out.stat().st_size < 1.1 * sizes[precision] * 4 * detector.network.count_params()


@pytest.mark.slow
def test_per_class_nms_equals_the_network(detector, tmp_path):  # noqa: F811
    images = pictures(detector)
    chosen = {name: 0.25 * (i + 1) for i, name in enumerate(CLASSES.names)}
    out = export_tflite(detector, tmp_path / "model.tflite", thresholds=chosen, max_detections=30)
    facts = read_facts(out)  # per class is the default: the file answers as the network does
    assert facts.postprocess["use_regular_nms"] and facts.own["thresholds"] == chosen
    assert b"threads: 1, or 3 and more" in out.read_bytes() and "threads" in facts.own
    for want, got in zip(
        uncapped(detector, 30).detect(images), TFLiteDetector(out, num_threads=2).detect(images)
    ):
        assert found_again(want, got, 1e-3) == 1.0 and len(want) == len(got)


def test_refusals(detector, tmp_path):  # noqa: F811
    out = tmp_path / "model.tflite"
    with pytest.raises(ConfigError, match="expected one of float32, float16, dynamic, int8"):
        export_tflite(detector, out, precision="int4")
    with pytest.raises(ConfigError, match="expected one of detections, raw"):
        export_tflite(detector, out, form="boxes")
    with pytest.raises(ConfigError, match="they set the number ranges"):
        export_tflite(detector, out, precision="int8")
    with pytest.raises(ConfigError, match="ending in .tflite"):
        export_tflite(detector, tmp_path / "model.bin")
    with pytest.raises(ConfigError, match="thresholds: expected classes of the detector .* got 'zebra'"):
        export_tflite(detector, out, thresholds={"zebra": 0.5})
    with pytest.raises(ConfigError, match="expected a number from 0 to 1, got 1.5"):
        export_tflite(detector, out, thresholds={CLASSES.names[0]: 1.5})
    out.write_bytes(b"")
    with pytest.raises(RunError, match="there is one already"):
        export_tflite(detector, out)
