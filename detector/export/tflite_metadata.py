"""Writes what a .tflite file says about itself: input range, output names and order, label file.

Field numbers are those of TFLite's metadata_schema.fbs (identifier M001), which ships no Python code here;
`detector.models.tflite_file` reads the same fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from detector.models.tflite_file import OWN

OUTPUT_NAMES = (
    "location",
    "category",
    "score",
    "number of detections",
)  # as MediaPipe and Task Library expect
NORMALIZATION, VALUE_LABELS = 1, 3  # ProcessUnitOptions, AssociatedFileType.TENSOR_VALUE_LABELS


def with_metadata(
    content: bytes,
    *,
    name: str,
    mean: Sequence[float],
    std: Sequence[float],
    postprocess: str,
    own: Mapping[str, Any],
) -> bytes:
    """A model's bytes with metadata, and, where it ends in the post-processing operation, its outputs in
    order.

    Args:
        mean, std: one number or one a channel: input = (pixel - mean) / std.
        postprocess: the custom operation's name; its outputs are boxes, classes, scores, count.
        own: what only Boxscope reads, see `detector.models.tflite_file.OWN`.
    """
    import flatbuffers  # noqa: PLC0415  only .tflite files need it
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415  LiteRT costs a second

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    graph = model.subgraphs[0]
    custom = {
        i
        for i, code in enumerate(model.operatorCodes)
        if code.customCode in (postprocess, postprocess.encode())
    }
    names: Sequence[str] = ()
    for operator in graph.operators:
        if operator.opcodeIndex in custom:
            graph.outputs, names = list(operator.outputs), OUTPUT_NAMES
            for place, tensor in enumerate(operator.outputs):
                graph.tensors[tensor].name = postprocess + (f":{place}" if place else "")
    if not names:
        names = tuple(_signature_names(model, graph.outputs))
    entries = {
        "TFLITE_METADATA": _metadata(name, mean, std, names, _told(own)),
        OWN.decode(): json.dumps(dict(own)).encode(),
    }
    for title, content_of in entries.items():
        buffer = schema.BufferT()
        buffer.data = list(content_of)
        model.buffers.append(buffer)
        entry = schema.MetadataT()
        entry.name, entry.buffer = title, len(model.buffers) - 1
        model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(content) + 4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _told(own: Mapping[str, Any]) -> str:
    """What other programs' authors should know about the input."""
    words = "RGB, the whole picture stretched to this size"
    if own.get("resize") == "legacy":
        words += (
            "; trained with bilinear resizing that samples at multiples of the step"
            " (tf.compat.v1.image.resize_bilinear), not at pixel centres"
        )
    if own.get("threads"):
        words += f"; threads: {own['threads']}"
    if own.get("thresholds"):
        pairs = ", ".join(f"{name} {value:g}" for name, value in own["thresholds"].items())
        words += f"; confidence thresholds: {pairs}"
    return words + "."


def _signature_names(model: Any, outputs: Sequence[int]) -> list[str]:
    """The names the exported function gave its outputs, in the file's order."""
    by_tensor = {}
    for signature in model.signatureDefs or []:
        for output in signature.outputs:
            by_tensor[output.tensorIndex] = (
                output.name.decode() if isinstance(output.name, bytes) else output.name
            )
    return [by_tensor.get(tensor, "") for tensor in outputs]


def _metadata(
    name: str, mean: Sequence[float], std: Sequence[float], outputs: Sequence[str], told: str
) -> bytes:
    import flatbuffers  # noqa: PLC0415  only .tflite files need it

    b = flatbuffers.Builder(1024)

    def floats(values: Sequence[float]) -> int:
        b.StartVector(4, len(values), 4)
        for value in reversed(values):
            b.PrependFloat32(value)
        return b.EndVector()

    def offsets(items: Sequence[int]) -> int:
        b.StartVector(4, len(items), 4)
        for item in reversed(items):
            b.PrependUOffsetTRelative(item)
        return b.EndVector()

    def table(size: int, **fields: int) -> int:
        """Fields by number: `f3` an offset, `u1` an unsigned byte."""
        b.StartObject(size)
        for key, value in fields.items():
            slot = int(key[1:])
            if key[0] == "u":
                b.PrependUint8Slot(slot, value, 0)
            else:
                b.PrependUOffsetTRelativeSlot(slot, value, 0)
        return b.EndObject()

    normalization = table(2, f0=floats(mean), f1=floats(std))
    unit = table(2, u0=NORMALIZATION, f1=normalization)
    image = table(7, f0=b.CreateString("image"), f1=b.CreateString(told), f4=offsets([unit]))
    labels = table(4, f0=b.CreateString("labelmap.txt"), u2=VALUE_LABELS)
    tensors = []
    for output in outputs:
        files = {"f6": offsets([labels])} if output == "category" else {}
        tensors.append(table(7, f0=b.CreateString(output), **files))
    graph = table(4, f2=offsets([image]), f3=offsets(tensors))
    root = table(8, f0=b.CreateString(name), f3=offsets([graph]))
    b.Finish(root, file_identifier=b"M001")
    return bytes(b.Output())
