"""A detector to one .tflite file, as phone apps and ai-edge-litert run it: four precisions, two forms, label
metadata.
"""

from __future__ import annotations

import dataclasses
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.errors import ConfigError, ModelError, RunError, UnavailableError
from detector.export.tflite_decode import with_decoded_boxes
from detector.export.tflite_metadata import with_metadata
from detector.paths import write_atomically
from detector.ssd.anchors import anchors
from detector.ssd.config import SSDConfig
from detector.ssd.preprocess import CHANNEL_MEANS, stretch, subtracts_means
from detector.ssd.weights import assign_arrays

if TYPE_CHECKING:
    from detector.models.keras_ssd import KerasSSD

PRECISIONS = ("float32", "float16", "dynamic", "int8")
FORMS = ("detections", "raw")
POSTPROCESS = "TFLite_Detection_PostProcess"
CODES = "codes"
NMS = ("fast", "per_class")
BYTES_A_WEIGHT = {"float32": 4, "float16": 2, "dynamic": 1, "int8": 1}


def export_tflite(
    detector: KerasSSD,
    out: str | os.PathLike,
    *,
    precision: str = "float32",
    form: str = "detections",
    nms: str | None = None,
    thresholds: Mapping[str, float] | None = None,
    images: Sequence[np.ndarray] | None = None,
    max_detections: int = 100,
    score_threshold: float | None = None,
) -> Path:
    """Write a detector as one .tflite file.

    The input is [1, height, width, 3] RGB: float32 pixels normalised as the metadata says (MobileNets:
    -1..1), or for int8 uint8 pixels as they are. Resizing is the caller's.

    Args:
        out: a new file ending in .tflite.
        precision: "float32"; "float16" (weights halved); "dynamic" (weights in 8 bits, arithmetic in float,
            on x86 slower than float32); "int8" (weights and arithmetic in 8 bits).
        form: "detections": the TFLite_Detection_PostProcess operation gives boxes [1, N, 4] normalised yxyx,
            classes [1, N] from 0, scores [1, N] and count [1], in this order. "raw": decoded boxes [1, A, 4]
            and scores [1, A, K] of every anchor.
        nms: of the operation. None is "per_class", as the network itself does it, or "fast" for a network of
            one class, where both give the same. "fast": each anchor has its best class, and anchors suppress
            each other whatever their class, the Object Detection API's default; on a network of six classes
            it cost a third of the average precision (.347 to .228, measured). LiteRT 2.3 on exactly two
            threads loses detections of some classes with "per_class" (measured; 1, 3 and more are right): the
            file's own description says so.
        thresholds: confidence by class name, kept in the file's metadata for the program that shows the
            boxes.
        images: for int8: RGB uint8 pictures like those it will see, about a hundred; they set the number
            ranges.
        max_detections: N; TFLite's operation keeps up to 100 of one class.
        score_threshold: of the operation; the detector's own without it.

    Raises:
        ConfigError: an unknown precision, form or nms, int8 without images, or a threshold of no class.
        RunError: the file is there already. UnavailableError: Keras does not run on TensorFlow.
        ModelError: the conversion failed or left the weights behind.
    """
    import keras  # noqa: PLC0415  Keras costs seconds

    out = Path(out)
    nms = nms or ("fast" if detector.config.num_classes == 1 else "per_class")
    _check(out, precision, form, nms, images)
    _check_thresholds(thresholds, detector.info.class_map.names)
    if keras.backend.backend() != "tensorflow":
        raise UnavailableError(
            f"Exporting needs Keras on TensorFlow, it runs on {keras.backend.backend()}; set"
            " KERAS_BACKEND=tensorflow."
        )
    from detector.ssd.model import build_ssd  # noqa: PLC0415  Keras costs seconds

    # A fixed batch of one: dynamic shapes cost a fifth of the speed, and the operation takes one picture.
    network = build_ssd(detector.config, batch_size=1)
    assign_arrays(network, detector.weights)
    settings = {
        "max_detections": max_detections,
        "per_class": nms == "per_class",
        "iou_threshold": detector.config.postprocess.iou_threshold,
        "score_threshold": (
            detector.config.postprocess.score_threshold if score_threshold is None else score_threshold
        ),
    }
    content = _convert(network, detector.config, precision, form, images, settings)
    weights = BYTES_A_WEIGHT[precision] * network.count_params()
    if len(content) < 0.8 * weights:  # a conversion can succeed and leave the weights behind
        raise ModelError(
            f"the converted file has {len(content)} bytes for {weights} bytes of weights.", path=out
        )
    mean, std = (CHANNEL_MEANS, (1.0, 1.0, 1.0)) if subtracts_means(detector.config) else ((127.5,), (127.5,))
    if precision == "int8":
        mean, std = (0.0,), (1.0,)
    own: dict[str, Any] = {"resize": "legacy"}
    if thresholds:
        own["thresholds"] = {name: float(value) for name, value in thresholds.items()}
    if form == "detections" and nms == "per_class":
        own["threads"] = "1, or 3 and more: LiteRT on exactly two loses detections of per-class NMS"
    if form == "raw":
        own["postprocess"] = dataclasses.asdict(detector.config.postprocess)
    content = with_metadata(
        content, name=detector.info.name, mean=mean, std=std, postprocess=POSTPROCESS, own=own
    )
    write_atomically(out, with_labels(content, _label_lines(detector)))
    return out


def _check(out: Path, precision: str, form: str, nms: str, images: Sequence[np.ndarray] | None) -> None:
    if precision not in PRECISIONS:
        raise ConfigError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}.")
    if form not in FORMS:
        raise ConfigError(f"form: expected one of {', '.join(FORMS)}, got {form!r}.")
    if nms not in NMS:
        raise ConfigError(f"nms: expected one of {', '.join(NMS)}, got {nms!r}.")
    if precision == "int8" and not images:
        raise ConfigError(
            "int8: expected pictures like those it will see (images=...), they set the number ranges."
        )
    if out.suffix != ".tflite":
        raise ConfigError(f"expected a file name ending in .tflite, got {out.name!r}.")
    if out.exists():
        raise RunError(
            "expected a new file to export to, there is one already; remove it or name another.", path=out
        )


def _check_thresholds(thresholds: Mapping[str, float] | None, names: Sequence[str]) -> None:
    for name, value in (thresholds or {}).items():
        if name not in names:
            raise ConfigError(
                f"thresholds: expected classes of the detector ({', '.join(names)}), got {name!r}."
            )
        if not 0 <= value <= 1:
            raise ConfigError(f"thresholds: {name}: expected a number from 0 to 1, got {value!r}.")


def _convert(
    network: Any,
    config: SSDConfig,
    precision: str,
    form: str,
    images: Sequence[np.ndarray] | None,
    settings: dict[str, Any],
) -> bytes:
    import keras  # noqa: PLC0415  Keras costs seconds
    import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

    grid = anchors(config).boxes
    postprocess = _operation(config, settings)

    def serve(image):
        x = image
        if precision == "int8":  # pixels as they are come in, so that one scale fits every channel
            x = (
                x - np.float32(CHANNEL_MEANS)
                if subtracts_means(config)
                else x * np.float32(2 / 255) - np.float32(1)
            )
        outputs = network(x, training=False)
        scores = tf.sigmoid(outputs["class_logits"])
        if form == "raw":
            return {CODES: outputs["box_encodings"], "scores": scores[..., 1:]}
        centre = np.concatenate([(grid[:, :2] + grid[:, 2:]) / 2, grid[:, 2:] - grid[:, :2]], axis=1).astype(
            np.float32
        )
        boxes, classes, kept, count = postprocess(outputs["box_encodings"], scores, tf.constant(centre))
        return {"boxes": boxes, "classes": classes, "scores": kept, "count": count}

    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(network)
        spec = tf.TensorSpec([1, config.height, config.width, 3], tf.float32, name="image")
        archive.add_endpoint("serving_default", serve, input_signature=[spec])
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.allow_custom_ops = form == "detections"
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = lambda: _representative(images, config)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
        try:
            content = converter.convert()
        except Exception as error:  # the converter raises its own types, and ValueError, and RuntimeError
            raise ModelError(
                f"TensorFlow could not convert the network: {str(error).splitlines()[0]}"
            ) from error
    return with_decoded_boxes(content, CODES, grid, config.box_scales) if form == "raw" else content


def _operation(config: SSDConfig, settings: dict[str, Any]) -> Any:
    """The post-processing as an empty function that the converter replaces by TFLite's own operation."""
    import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

    y, x, h, w = config.box_scales
    attributes: dict[str, Any] = {
        "max_detections": settings["max_detections"],
        "max_classes_per_detection": 1,
        "use_regular_nms": settings["per_class"],
        "detections_per_class": settings["max_detections"],
        "nms_score_threshold": float(settings["score_threshold"]),
        "nms_iou_threshold": float(settings["iou_threshold"]),
        "y_scale": float(y),
        "x_scale": float(x),
        "h_scale": float(h),
        "w_scale": float(w),
        "num_classes": config.num_classes,
    }

    def written(value: Any) -> str:
        if isinstance(value, bool):
            return f"b: {str(value).lower()}"
        return f"f: {value:.10g}" if isinstance(value, float) else f"i: {value}"

    text = " ".join(
        f'attr {{ key: "{key}" value {{ {written(value)} }} }}' for key, value in attributes.items()
    )

    @tf.function(experimental_implements=f'name: "{POSTPROCESS}" {text}')
    def postprocess(box_encodings, class_predictions, anchor_boxes):
        return tuple(tf.constant(0.0) for _ in range(4))

    return postprocess


def _representative(images: Sequence[np.ndarray], config: SSDConfig) -> Iterator[list[np.ndarray]]:
    for image in images:
        pixels = stretch(image, (config.width, config.height))
        # Both ends in every picture: the input's scale is then exactly 1, and its bytes are the pixels.
        pixels[0, 0], pixels[0, 1] = 0, 255
        yield [pixels[None]]


def _label_lines(detector: KerasSSD) -> list[str]:
    """One name a network output; outputs without a class are "???"."""
    lines = ["???"] * detector.config.num_classes
    for output, name in zip(detector.outputs, detector.info.class_map.names):
        lines[int(output)] = name
    return lines


def with_labels(content: bytes, lines: list[str]) -> bytes:
    """The label file as a zip archive at the model's end, where TFLite's metadata tools keep it."""
    stream = io.BytesIO()
    stream.write(content)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("labelmap.txt", (1980, 1, 1, 0, 0, 0)), "\n".join(lines) + "\n")
    return stream.getvalue()
