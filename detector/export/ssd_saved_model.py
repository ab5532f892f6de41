"""A detector to files that other tools run: SavedModel with the Object Detection API's signature, and
TFLite.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.data.label_map import write_label_map
from detector.errors import ModelError, RunError, UnavailableError
from detector.export.od_graph import detect

if TYPE_CHECKING:
    from detector.models.keras_ssd import KerasSSD

PROBE_TOLERANCE = 1e-4
"""Largest difference of any raw score between network and exported file on the probe picture."""


def export_saved_model(detector: KerasSSD, out: str | os.PathLike) -> Path:
    """Write a detector as a zoo archive's `saved_model/` and its label map.

    Signature serving_default: `input_tensor` uint8 [B, H, W, 3] RGB of any batch and size to the eight
    float32 outputs of `detector.export.od_graph.detect`.

    Args:
        out: a new folder; gets `saved_model/` and `label_map.pbtxt` (also in the SavedModel's assets).

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

    network, config = detector.network, detector.config
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".exporting-", dir=out.parent))
    try:
        archive = keras.export.ExportArchive()
        archive.track(network)
        archive.add_endpoint(
            "serving_default",
            lambda input_tensor: detect(network, input_tensor, config),
            input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="input_tensor")],
        )
        archive.write_out(str(temporary / "saved_model"), verbose=False)
        (temporary / "saved_model" / "assets").mkdir(exist_ok=True)
        for folder in (temporary, temporary / "saved_model" / "assets"):
            write_label_map(detector.info.class_map, folder / "label_map.pbtxt")
        _prove(detector, temporary / "saved_model")
        temporary.chmod(0o755)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def _need_tensorflow(backend: str) -> None:
    if backend != "tensorflow":
        raise UnavailableError(
            f"Exporting needs Keras on TensorFlow, it runs on {backend}; set KERAS_BACKEND=tensorflow."
        )


def probe_picture(detector: KerasSSD) -> np.ndarray:
    """A picture that is not of the network's size: smooth shapes on noise, uint8 RGB."""
    height, width = detector.config.height + 37, detector.config.width + 11
    y, x = np.mgrid[0:height, 0:width]
    waves = 127 + 90 * np.sin(x / 17 + np.arange(3)[:, None, None]) * np.cos(y / 23)
    noise = np.random.default_rng(0).integers(-30, 30, (3, height, width))
    return np.clip(waves + noise, 0, 255).astype(np.uint8).transpose(1, 2, 0).copy()


def _prove(detector: KerasSSD, folder: Path) -> None:
    """Load the written model and compare its raw scores with the network's.

    Raises:
        ModelError: they differ by more than `PROBE_TOLERANCE`.
    """
    import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

    picture = probe_picture(detector)
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    got = serve(input_tensor=tf.constant(np.stack([picture, picture])))["raw_detection_scores"].numpy()
    logits = np.asarray(detector.network(detector.preprocess(picture)[None], training=False)["class_logits"])
    difference = float(np.abs(got - 1 / (1 + np.exp(-logits))).max())
    if not difference <= PROBE_TOLERANCE:
        raise ModelError(
            f"the exported model's scores differ from the network's by {difference:.2g}.", path=folder
        )


def describe(path: Path) -> dict[str, Any]:
    """Size in bytes of an exported file or folder, for a report."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return {"path": str(path), "bytes": sum(p.stat().st_size for p in files)}
