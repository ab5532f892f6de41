"""A two-head detector to files that other tools run: a SavedModel with the Object Detection API's signature,
and TFLite.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.core import ClassMap
from detector.data.label_map import write_label_map
from detector.errors import ConfigError, ModelError, RunError, UnavailableError
from detector.export.ssd_tflite import BYTES_A_WEIGHT, POSTPROCESS, PRECISIONS, with_labels
from detector.export.tflite_metadata import with_metadata
from detector.paths import write_atomically
from detector.two_head.frames import GREY

if TYPE_CHECKING:
    from detector.models.two_head import TwoHeadDetector

RESIZE = {"stretch": "half-pixel", "letterbox": "letterbox"}  # the words of detector.models.tflite.RESIZES
PROBE_TOLERANCE = 0.02
"""Largest difference of any class' share on the probe picture: resizing rounds its pixels in another way."""


def export_saved_model(detector: TwoHeadDetector, out: str | os.PathLike) -> Path:
    """Write the detector as `saved_model/` with its label map.

    Signature serving_default: `input_tensor` uint8 [B, H, W, 3] RGB of any batch and size to the Object
    Detection API's outputs: detection_boxes [B, k, 4] normalised yxyx, detection_classes (from 1),
    detection_scores, num_detections, detection_anchor_indices (zeros), raw_detection_boxes [B, 1, 4],
    raw_detection_scores and detection_multiclass_scores (a background column of zeros first).

    Returns:
        `out`. The file was loaded again and run before it got its name.

    Raises:
        RunError: `out` is there already. UnavailableError: Keras does not run on TensorFlow.
        ModelError: the written model answers differently.
    """
    import keras  # noqa: PLC0415  Keras costs seconds

    out = Path(out)
    if out.exists():
        raise RunError(
            "expected a new folder to export to, there is one already; remove it or name another.", path=out
        )
    _need_tensorflow(keras.backend.backend())
    import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

    model = detector.answering()
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".exporting-", dir=out.parent))
    classes = _numbered(detector)
    try:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint(
            "serving_default",
            lambda input_tensor: _serve(model, input_tensor, detector),
            input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="input_tensor")],
        )
        archive.write_out(str(temporary / "saved_model"), verbose=False)
        (temporary / "saved_model" / "assets").mkdir(exist_ok=True)
        for folder in (temporary, temporary / "saved_model" / "assets"):
            write_label_map(classes, folder / "label_map.pbtxt")
        _prove(detector, temporary / "saved_model")
        temporary.chmod(0o755)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def export_tflite(
    detector: TwoHeadDetector,
    out: str | os.PathLike,
    *,
    precision: str = "float32",
    images: Sequence[np.ndarray] | None = None,
) -> Path:
    """Write the detector as one .tflite file.

    The input is [1, height, width, 3] RGB pixels 0..255, float32 or for int8 uint8; resizing is the caller's.
    The outputs are `boxes` [1, 1, 4] normalised yxyx in the frame of the input, and `scores` [1, 1, K].
    Labels, resizing rule and `top_k` are in the file's metadata.

    Args:
        precision: "float32", "float16", "dynamic" or "int8", see `detector.export.ssd_tflite.export_tflite`.
        images: for int8: RGB uint8 pictures like those it will see, about a hundred; they set the number
            ranges.

    Raises:
        ConfigError: an unknown precision, int8 without pictures, or another suffix. RunError: the file is
            there already.
        UnavailableError: Keras does not run on TensorFlow. ModelError: the conversion failed or left the
            weights behind.
    """
    import keras  # noqa: PLC0415  Keras costs seconds

    out = Path(out)
    if precision not in PRECISIONS:
        raise ConfigError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}.")
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
    _need_tensorflow(keras.backend.backend())
    content = _convert(detector, precision, images)
    least = sum(a.size for a in detector.weights.values()) * BYTES_A_WEIGHT[precision] // 2
    if len(content) < least:
        raise ModelError(
            f"expected a file of at least {least} bytes for these weights, TensorFlow wrote {len(content)}:"
            " the weights are missing."
        )
    own = {
        "resize": RESIZE[detector.config.resize],
        "postprocess": dataclasses.asdict(detector.postprocess_settings),
    }
    content = with_metadata(
        content, name=detector.info.name, mean=(0.0,), std=(1.0,), postprocess=POSTPROCESS, own=own
    )
    write_atomically(out, with_labels(content, list(detector.info.class_map.names)))
    return out


def _need_tensorflow(backend: str) -> None:
    if backend != "tensorflow":
        raise UnavailableError(
            f"Exporting needs Keras on TensorFlow, it runs on {backend}; set KERAS_BACKEND=tensorflow."
        )


def _numbered(detector: TwoHeadDetector) -> Any:

    names = detector.info.class_map.names
    return ClassMap(names, tuple(range(1, len(names) + 1)))


def _serve(model: Any, images: Any, detector: TwoHeadDetector) -> dict[str, Any]:
    import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

    config = detector.config
    width, height = config.input_size
    shape = tf.cast(tf.shape(images)[1:3], tf.float32)
    pixels = tf.cast(images, tf.float32)
    x0 = y0 = tf.constant(0.0)
    tall, wide = shape[0], shape[1]
    if config.resize == "letterbox":
        pixels, (x0, y0, wide, tall) = _letterboxed(pixels, shape, width, height)
    else:
        pixels = tf.image.resize(pixels, (height, width))
    out = model(tf.round(pixels), training=False)  # resized pictures are whole numbers everywhere else too
    x1, y1, x2, y2 = tf.unstack(out["boxes"], axis=-1)
    boxes = tf.stack(
        [
            (y1 * tall + y0) / shape[0],
            (x1 * wide + x0) / shape[1],
            (y2 * tall + y0) / shape[0],
            (x2 * wide + x0) / shape[1],
        ],
        axis=-1,
    )[:, None]
    scores = out["scores"]
    k = min(detector.postprocess_settings.max_total_detections, len(detector.info.class_map))
    best, classes = tf.math.top_k(scores, k=k)
    padded = tf.pad(scores, [[0, 0], [1, 0]])[:, None]
    count = tf.fill([tf.shape(scores)[0]], float(k))
    return {
        "detection_boxes": tf.repeat(tf.clip_by_value(boxes, 0.0, 1.0), k, axis=1),
        "detection_scores": best,
        "detection_classes": tf.cast(classes, tf.float32) + 1.0,
        "num_detections": count,
        "detection_multiclass_scores": tf.repeat(padded, k, axis=1),
        "detection_anchor_indices": tf.zeros_like(best),
        "raw_detection_boxes": boxes,
        "raw_detection_scores": padded,
    }


def _letterboxed(pixels: Any, shape: Any, width: int, height: int) -> tuple[Any, tuple[Any, Any, Any, Any]]:
    """As `detector.two_head.frames.whole`: (the input, (x1, y1, width, height) of its window in the
    picture).
    """
    import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

    wide = tf.maximum(shape[1], shape[0] * width / height)
    tall = tf.maximum(shape[0], shape[1] * height / width)
    x0, y0 = (shape[1] - wide) / 2, (shape[0] - tall) / 2
    sx, sy = wide / width, tall / height
    # cv2.warpAffine's mapping: input (i, j) samples the picture at (i + 0.5) * scale + start - 0.5.
    zero, one = tf.constant(0.0), tf.constant(1.0)
    back = tf.stack([sx, zero, x0 + 0.5 * sx - 0.5, zero, sy, y0 + 0.5 * sy - 0.5, zero, zero])[None]
    boxed = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=back,
        output_shape=tf.constant([height, width]),
        fill_value=float(GREY) * one,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return boxed, (x0, y0, wide, tall)


def _prove(detector: TwoHeadDetector, folder: Path) -> None:
    """Load the written model and compare its shares with the network's.

    Raises:
        ModelError: they differ by more than `PROBE_TOLERANCE`.
    """
    import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

    width, height = detector.config.input_size
    y, x = np.mgrid[0 : height + 37, 0 : width + 11]
    picture = np.stack([127 + 90 * np.sin(x / 17 + c) * np.cos(y / 23) for c in range(3)], axis=-1).astype(
        np.uint8
    )
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    got = serve(input_tensor=tf.constant(np.stack([picture, picture])))["raw_detection_scores"].numpy()[
        :, 0, 1:
    ]
    difference = float(np.abs(got - detector.candidates([picture])[0].scores).max())
    if not difference <= PROBE_TOLERANCE:
        raise ModelError(
            f"the exported model's scores differ from the network's by {difference:.2g}.", path=folder
        )


def _convert(detector: TwoHeadDetector, precision: str, images: Sequence[np.ndarray] | None) -> bytes:
    import keras  # noqa: PLC0415  Keras costs seconds
    import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

    model, (width, height) = detector.answering(), detector.config.input_size

    def serve(image):
        out = model(image, training=False)
        return {
            "boxes": tf.gather(out["boxes"], [1, 0, 3, 2], axis=-1)[:, None],
            "scores": out["scores"][:, None],
        }

    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint(
            "serving_default",
            serve,
            input_signature=[tf.TensorSpec([1, height, width, 3], tf.float32, name="image")],
        )
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = lambda: _representative(detector, images)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
        try:
            return converter.convert()
        except Exception as error:  # the converter raises its own types, and ValueError, and RuntimeError
            raise ModelError(
                f"TensorFlow could not convert the network: {str(error).splitlines()[0]}"
            ) from error


def _representative(detector: TwoHeadDetector, images: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    for image in images:
        pixels = detector.resized(image)
        # Both ends in every picture: the input's scale is then exactly 1, and its bytes are the pixels.
        pixels[0, 0], pixels[0, 1] = 0, 255
        yield [pixels[None]]
