"""One file to a detector: which adapter reads a .tflite, an .onnx or a SavedModel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detector.core import ClassMap
from detector.errors import InputError, ModelError
from detector.models.decoded import DecodedDetector
from detector.models.onnx_network import ONNXNetwork
from detector.models.saved_model import NEEDED, SavedModelDetector
from detector.models.saved_model_file import open_model
from detector.models.saved_model_network import SavedModelNetwork
from detector.models.tflite import TFLiteDetector
from detector.models.tflite_file import TFLiteFacts, read_facts
from detector.models.tflite_network import TFLiteNetwork


def open_tflite(
    path: str | Path,
    *,
    name: str | None = None,
    source: str | None = None,
    classes: ClassMap | None = None,
    labels: str | Path | Sequence[str] | None = None,
    num_threads: int | None = None,
    input_range: tuple[float, float] | None = None,
    input_size: tuple[int, int] | None = None,
    resize: str | None = None,
    family: str | None = None,
    fit: str | None = None,
    channels: str | None = None,
    postprocess: dict[str, Any] | None = None,
) -> TFLiteDetector | DecodedDetector:
    """The detector in a .tflite file: by the Object Detection API's outputs, else by a decoder.

    Args:
        path: the file; the other arguments are those of `TFLiteDetector` and `DecodedDetector`, and what the
            file's adapter does not know is not used.

    Raises:
        ModelError: not a TFLite file, or no detector; says what it is, and the way that works.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError("expected a .tflite file, there is none.", path=path)
    facts = read_facts(path)
    shared = {
        "name": name,
        "source": source,
        "classes": classes,
        "labels": labels,
        "input_range": input_range,
    }
    if family is None and _object_detection_api(facts):
        return TFLiteDetector(path, **shared, num_threads=num_threads, input_size=input_size, resize=resize)
    network = TFLiteNetwork(path, facts, threads=num_threads, input_size=input_size)
    count = len(network.file.outputs)
    if family is None and (count > 2 or (count == 2 and facts.detector_options is None)):
        return TFLiteDetector(path, **shared, num_threads=num_threads, input_size=input_size, resize=resize)
    return DecodedDetector(
        network, **shared, family=family, fit=fit, channels=channels, postprocess=postprocess
    )


def _object_detection_api(facts: TFLiteFacts) -> bool:
    """Whether the file has the post-processing operation, or was exported by Boxscope."""
    return facts.postprocess is not None or bool(facts.own)


def open_onnx(
    path: str | Path,
    *,
    name: str | None = None,
    source: str | None = None,
    classes: ClassMap | None = None,
    labels: str | Path | Sequence[str] | None = None,
    num_threads: int | None = None,
    input_range: tuple[float, float] | None = None,
    input_size: tuple[int, int] | None = None,
    family: str | None = None,
    fit: str | None = None,
    channels: str | None = None,
    postprocess: dict[str, Any] | None = None,
) -> DecodedDetector:
    """The detector in an .onnx file.

    Args:
        path: the file; the other arguments are those of `DecodedDetector` and `ONNXNetwork`.

    Raises:
        UnavailableError: onnxruntime is not installed. ModelError: no detector that a decoder reads.
    """
    network = ONNXNetwork(Path(path), threads=num_threads, input_size=input_size)
    return DecodedDetector(
        network,
        name=name,
        source=source,
        classes=classes,
        labels=labels,
        family=family,
        fit=fit,
        channels=channels,
        input_range=input_range,
        postprocess=postprocess,
    )


def open_saved_model(
    folder: str | Path,
    *,
    name: str | None = None,
    source: str | None = None,
    classes: ClassMap | None = None,
    labels: str | Path | Sequence[str] | None = None,
    signature: str | None = None,
    threads: int | None = None,
    input_range: tuple[float, float] | None = None,
    input_size: tuple[int, int] | None = None,
    family: str | None = None,
    fit: str | None = None,
    channels: str | None = None,
    postprocess: dict[str, Any] | None = None,
) -> SavedModelDetector | DecodedDetector:
    """The detector in a SavedModel: by the Object Detection API's outputs, else by a decoder.

    Args:
        folder: holds saved_model.pb; the other arguments are those of `SavedModelDetector`, `DecodedDetector`
            and `SavedModelNetwork`.

    Raises:
        InputError: an option of decoders for a model that has the Object Detection API's outputs.
        ModelError: not a SavedModel, TensorFlow is absent, or no detector that is known.
    """
    opened = open_model(folder, signature, threads)
    shared = {"name": name, "source": source, "classes": classes, "labels": labels}
    decoding = {
        "family": family,
        "fit": fit,
        "channels": channels,
        "input_range": input_range,
        "postprocess": postprocess,
    }
    if family is None and any(output in opened.outputs for output in NEEDED):
        given = [key for key, value in {**decoding, "input_size": input_size}.items() if value is not None]
        if given:
            raise InputError(
                f"{folder}: {given[0]} is for networks that a decoder reads; this one has the Object"
                " Detection API's outputs, which come decoded and suppressed."
            )
        return SavedModelDetector(folder, **shared, opened=opened)
    return DecodedDetector(SavedModelNetwork(opened, input_size=input_size), **shared, **decoding)
