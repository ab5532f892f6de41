"""Box decoding in float at the end of a .tflite file, whatever the precision of the network before it.

Decoded inside an 8-bit network, a corner has 256 steps over the whole picture and beyond: blood cells' edges
were 4.6 pixels off (median, 640x480); decoded from dequantised codes, as the post-processing operation does
it, 1.7.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.errors import ModelError


def with_decoded_boxes(
    content: bytes, output: str, boxes: np.ndarray, scales: tuple[float, float, float, float]
) -> bytes:
    """A model's bytes with the box codes it returns replaced by boxes.

    Args:
        content: a .tflite whose signature returns codes under the name `output`: float32 [1, A, 4] (ty, tx,
            th, tw).
        boxes: float32 [A, 4] anchors, normalised yxyx.
        scales: (y, x, h, w), as in `detector.ssd.coder.BoxCoder`.

    Returns:
        The same with output "boxes" float32 [1, A, 4], normalised yxyx, in the codes' place.

    Raises:
        ModelError: the model returns no such codes.
    """
    import flatbuffers  # noqa: PLC0415  only .tflite files need it
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415  LiteRT costs a second

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    graph = model.subgraphs[0]
    named = next((o for s in model.signatureDefs or [] for o in s.outputs if _text(o.name) == output), None)
    anchors = len(boxes)
    if (
        named is None
        or list(graph.tensors[named.tensorIndex].shape) != [1, anchors, 4]
        or graph.tensors[named.tensorIndex].type != schema.TensorType.FLOAT32
    ):
        raise ModelError(
            f"expected a model that returns {output} as float32 [1, {anchors}, 4], this one does not."
        )
    codes = named.tensorIndex
    b = _Builder(schema, model, graph)
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    y, x, h, w = scales

    def part(first: int) -> int:
        """Two of the four numbers of every code."""
        return b.op(
            "SLICE",
            [codes, b.constant([0, 0, first], np.int32), b.constant([1, anchors, 2], np.int32)],
            (1, anchors, 2),
        )

    def join(kind: str, left: int, right: int) -> int:
        return b.op(kind, [left, right], (1, anchors, 2))

    middle = join(
        "ADD", join("MUL", part(0), b.constant((size / np.float32([y, x]))[None])), b.constant(centre[None])
    )
    half = join(
        "MUL",
        b.op("EXP", [join("MUL", part(2), b.constant(np.float32([[[1 / h, 1 / w]]])))], (1, anchors, 2)),
        b.constant((size / 2)[None]),
    )
    corners = b.op(
        "CONCATENATION", [join("SUB", middle, half), join("ADD", middle, half)], (1, anchors, 4), axis=2
    )
    graph.tensors[corners].name = "boxes"
    graph.outputs = [corners if t == codes else t for t in graph.outputs]
    named.name, named.tensorIndex = "boxes", corners
    builder = flatbuffers.Builder(len(content) + 4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class _Builder:
    """Appends constants and float operations to a graph."""

    def __init__(self, schema: Any, model: Any, graph: Any):
        self.schema, self.model, self.graph = schema, model, graph

    def constant(self, values: Any, dtype: Any = np.float32) -> int:
        array = np.ascontiguousarray(values, dtype)
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        kind = self.schema.TensorType.INT32 if array.dtype == np.int32 else self.schema.TensorType.FLOAT32
        return self._tensor(array.shape, kind, len(self.model.buffers) - 1)

    def op(self, kind: str, inputs: list[int], shape: tuple[int, ...], axis: int | None = None) -> int:
        """The tensor an operation gives."""
        code, made = getattr(self.schema.BuiltinOperator, kind), self.schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = (
            self._code(code),
            inputs,
            [self._tensor(shape, self.schema.TensorType.FLOAT32, 0)],
        )
        title = {
            "SLICE": "Slice",
            "MUL": "Mul",
            "ADD": "Add",
            "SUB": "Sub",
            "EXP": "Exp",
            "CONCATENATION": "Concatenation",
        }[kind]
        made.builtinOptionsType = getattr(self.schema.BuiltinOptions, f"{title}Options")
        made.builtinOptions = getattr(self.schema, f"{title}OptionsT")()
        if axis is not None:
            made.builtinOptions.axis = axis
        self.graph.operators.append(made)
        return made.outputs[0]

    def _code(self, code: int) -> int:
        """The place of an operator of version 1 among the model's."""
        for i, known in enumerate(self.model.operatorCodes):
            if known.builtinCode == code and known.version == 1 and not known.customCode:
                return i
        made = self.schema.OperatorCodeT()
        made.builtinCode, made.deprecatedBuiltinCode, made.version = code, min(code, 127), 1
        self.model.operatorCodes.append(made)
        return len(self.model.operatorCodes) - 1

    def _tensor(self, shape: tuple[int, ...], kind: int, buffer: int) -> int:
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = (
            f"decode_{len(self.graph.tensors)}",
            list(shape),
            kind,
            buffer,
        )
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
