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

POSTPROCESS = "TFLite_Detection_PostProcess"
OWN = b"BOXSCOPE"
"""Name of the metadata entry, JSON: "resize" (see `detector.models.tflite.RESIZES`) and "postprocess", the
settings of `detector.nms.PostprocessSettings` that belong to a file without an operation for it."""
_MAX_LABEL_FILE = 4 << 20


@dataclass(frozen=True)
class TFLiteFacts:
    """Args: postprocess: the operation's options by name, or None where there is none; custom_ops: all custom
    operations; mean, std: of the input as metadata states them, for pixels 0..255, or empty; labels: packed
    label map with label map ids, or None."""

    postprocess: dict[str, Any] | None = None
    custom_ops: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    labels: ClassMap | None = None
    output_names: tuple[str, ...] = field(default=())
    own: dict[str, Any] = field(default_factory=dict)


def read_facts(path: str | Path) -> TFLiteFacts:
    """The facts of a file.

    Raises:
        ModelError: it is not a .tflite file.
    """
    from ai_edge_litert import schema_py_generated as schema

    content = Path(path).read_bytes()
    if content[4:8] != b"TFL3":
        raise ModelError(
            "expected a TensorFlow Lite file (TFL3 at byte 4), this is something else.", path=path
        )
    try:
        model = schema.Model.GetRootAs(content, 0)
        codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
        custom = {i: code.CustomCode().decode() for i, code in enumerate(codes) if code.CustomCode()}
        options = _postprocess_options(model.Subgraphs(0), custom)
        described = _metadata_buffer(model, b"TFLITE_METADATA")
        own = json.loads(_metadata_buffer(model, OWN) or "{}")
        mean, std, names = _read_metadata(described) if described else ((), (), ())
    except ModelError:
        raise
    except Exception as error:  # a flatbuffer cut short fails in many ways
        raise ModelError(
            f"expected a whole TensorFlow Lite file, this one is broken ({type(error).__name__}).", path=path
        ) from error
    return TFLiteFacts(options, tuple(custom.values()), mean, std, _packed_labels(content, path), names, own)


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


class _Table:
    """A flatbuffer table read by field number, for metadata_schema.fbs, which ships no Python code here."""

    def __init__(self, buffer: bytes, position: int):
        import flatbuffers.table

        self._table = flatbuffers.table.Table(bytearray(buffer), position)

    def _at(self, number: int) -> int:
        return self._table.Offset(4 + 2 * number)

    def byte(self, number: int) -> int:
        from flatbuffers import number_types

        offset = self._at(number)
        return self._table.Get(number_types.Uint8Flags, offset + self._table.Pos) if offset else 0

    def text(self, number: int) -> str:
        offset = self._at(number)
        return self._table.String(offset + self._table.Pos).decode("utf-8", "replace") if offset else ""

    def union(self, number: int) -> _Table | None:
        offset = self._at(number)
        return self._sub(self._table.Indirect(offset + self._table.Pos)) if offset else None

    def tables(self, number: int) -> list[_Table]:
        offset = self._at(number)
        if not offset:
            return []
        start = self._table.Vector(offset)
        return [self._sub(self._table.Indirect(start + 4 * i)) for i in range(self._table.VectorLen(offset))]

    def floats(self, number: int) -> tuple[float, ...]:
        from flatbuffers import number_types

        offset = self._at(number)
        if not offset:
            return ()
        start = self._table.Vector(offset)
        return tuple(
            float(self._table.Get(number_types.Float32Flags, start + 4 * i))
            for i in range(self._table.VectorLen(offset))
        )

    def _sub(self, position: int) -> _Table:
        other = _Table.__new__(_Table)
        other._table = type(self._table)(self._table.Bytes, position)
        return other


def _read_metadata(buffer: bytes) -> tuple[tuple[float, ...], tuple[float, ...], tuple[str, ...]]:
    """mean and std of the first input, and the outputs' names. Field numbers: metadata_schema.fbs, tables
    ModelMetadata (3 subgraph_metadata), SubGraphMetadata (2 input, 3 output tensors), TensorMetadata (0 name,
    4 process_units), ProcessUnit (0 options type, 1 options), NormalizationOptions (0 mean, 1 std)."""
    import flatbuffers

    root = _Table(buffer, flatbuffers.encode.Get(flatbuffers.packer.uoffset, buffer, 0))
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    for graph in root.tables(3)[:1]:
        names = tuple(tensor.text(0) for tensor in graph.tables(3))
        for tensor in graph.tables(2)[:1]:
            for unit in tensor.tables(4):
                options = unit.union(1)
                if unit.byte(0) == 1 and options is not None:
                    mean, std = options.floats(0), options.floats(1)
    return mean, std, names


def _packed_labels(content: bytes, path: str | Path) -> ClassMap | None:
    """The first label file in the zip archive that metadata tools append to the model."""
    stream = io.BytesIO(content)
    if not zipfile.is_zipfile(stream):
        return None
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            if not member.filename.lower().endswith((".txt", ".pbtxt")) or member.file_size > _MAX_LABEL_FILE:
                continue
            text = archive.read(member).decode("utf-8-sig", "replace")
            where = f"{path}!{member.filename}"
            return (
                parse_pbtxt(text, where)
                if member.filename.lower().endswith(".pbtxt")
                else parse_lines(text, where)
            )
    return None
