"""What a .tflite file says about itself, read from its flatbuffer without running it.

The options of a TFLite_Detection_PostProcess operation, the input's normalisation from TFLite Metadata
(`TFLITE_METADATA` buffer, metadata_schema.fbs), and label files packed into the zip at the file's end.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detector.core import ClassMap
from detector.errors import ModelError
from detector.labels import parse_lines, parse_pbtxt
from detector.models import exporter_metadata
from detector.models.flatbuffer_table import root_table

POSTPROCESS = "TFLite_Detection_PostProcess"
OWN = b"BOXSCOPE"
"""Name of the metadata entry, JSON: "resize" (see `detector.models.tflite.RESIZES`) and "postprocess", the
settings of `detector.nms.PostprocessSettings` that belong to a file without an operation for it."""
DETECTOR_OPTIONS = "DETECTOR_METADATA"
"""Name of MediaPipe's custom metadata: anchors and options of decoding."""
NORMALISATION, CALIBRATION = 1, 2
"""Types of a ProcessUnit's options (metadata_schema.fbs, union ProcessUnitOptions)."""
_MAX_LABEL_FILE = 4 << 20


@dataclass(frozen=True)
class TFLiteFacts:
    """Args: postprocess: the operation's options by name, or None where there is none; custom_ops: all custom
    operations; mean, std: of the input as metadata states them, for pixels 0..255, or empty; labels: packed
    label map with label map ids, or None; said: the metadata of a YOLO's exporter; detector_options:
    MediaPipe's, as bytes; calibrated: whether scores have a calibration in the metadata."""

    postprocess: dict[str, Any] | None = None
    custom_ops: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    labels: ClassMap | None = None
    output_names: tuple[str, ...] = field(default=())
    own: dict[str, Any] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)
    detector_options: bytes | None = None
    calibrated: bool = False


def read_facts(path: str | Path) -> TFLiteFacts:
    """The facts of a file.

    Raises:
        ModelError: it is not a .tflite file.
    """
    from ai_edge_litert import schema_py_generated as schema

    content = Path(path).read_bytes()
    if content[4:8] != b"TFL3":
        what = "something else" if content else "an empty file, as a failed download leaves it"
        raise ModelError(f"expected a TensorFlow Lite file (TFL3 at byte 4), this is {what}.", path=path)
    try:
        model = schema.Model.GetRootAs(content, 0)
        codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
        custom = {i: code.CustomCode().decode() for i, code in enumerate(codes) if code.CustomCode()}
        options = _postprocess_options(model.Subgraphs(0), custom)
        described = _metadata_buffer(model, b"TFLITE_METADATA")
        own = json.loads(_metadata_buffer(model, OWN) or "{}")
        metadata = _read_metadata(described) if described else {}
    except ModelError:
        raise
    except Exception as error:  # a flatbuffer cut short fails in many ways
        raise ModelError(
            f"expected a whole TensorFlow Lite file, this one is broken ({type(error).__name__}).", path=path
        ) from error
    said, labels = _packed(content, path)
    return TFLiteFacts(options, tuple(custom.values()), labels=labels, own=own, said=said, **metadata)


def _postprocess_options(graph, custom: dict[int, str]) -> dict[str, Any] | None:
    from flatbuffers import flexbuffers

    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        if custom.get(operator.OpcodeIndex()) == POSTPROCESS:
            raw = operator.CustomOptionsAsNumpy()
            return dict(flexbuffers.Loads(raw.tobytes())) if operator.CustomOptionsLength() else {}
    return None


def _metadata_buffer(model, name: bytes) -> bytes | None:
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == name:
            buffer = model.Buffers(entry.Buffer())
            return buffer.DataAsNumpy().tobytes() if buffer.DataLength() else None
    return None


def _read_metadata(buffer: bytes) -> dict[str, Any]:
    """Normalisation of the first input, the outputs' names, MediaPipe's options, score calibration. Field
    numbers: metadata_schema.fbs, tables ModelMetadata (3 subgraph_metadata), SubGraphMetadata (2 input,
    3 output tensors, 9 custom_metadata), TensorMetadata (0 name, 4 process_units), ProcessUnit (0 options
    type, 1 options), NormalizationOptions (0 mean, 1 std), CustomMetadata (0 name, 1 data)."""
    found: dict[str, Any] = {}
    for graph in root_table(buffer).tables(3)[:1]:
        outputs = graph.tables(3)
        found["output_names"] = tuple(tensor.text(0) for tensor in outputs)
        found["calibrated"] = any(unit.byte(0) == CALIBRATION for t in outputs for unit in t.tables(4))
        for tensor in graph.tables(2)[:1]:
            for unit in tensor.tables(4):
                options = unit.union(1)
                if unit.byte(0) == NORMALISATION and options is not None:
                    found |= {"mean": options.floats(0), "std": options.floats(1)}
        for entry in graph.tables(9):
            if entry.text(0) == DETECTOR_OPTIONS:
                found["detector_options"] = entry.bytes(1)
    return found


def _packed(content: bytes, path: str | Path) -> tuple[dict[str, Any], ClassMap | None]:
    """(an exporter's metadata, label map) from the zip archive that metadata tools append to the model."""
    stream = io.BytesIO(content)
    if not zipfile.is_zipfile(stream):
        return {}, None
    said: dict[str, Any] = {}
    labels = None
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            name = member.filename.lower()
            if member.file_size > _MAX_LABEL_FILE:
                continue
            if Path(name).name in exporter_metadata.MEMBERS:
                text = archive.read(member).decode("utf-8-sig", "replace")
                said = said or exporter_metadata.parse(text)
            elif labels is None and name.endswith((".txt", ".pbtxt")):
                text = archive.read(member).decode("utf-8-sig", "replace")
                read = parse_pbtxt if name.endswith(".pbtxt") else parse_lines
                labels = read(text, f"{path}!{member.filename}")
    return said, exporter_metadata.class_map(said) or labels
