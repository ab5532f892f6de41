"""Tiny .tflite detectors written as flatbuffers, without TensorFlow: milliseconds instead of a conversion.

The network: input [1, 24, 32, 3] -> mean of each 8x8 cell (3 rows, 4 columns) -> one score a colour channel
(red, green, blue are its three classes) -> TFLite_Detection_PostProcess with one anchor a cell.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as fb
from flatbuffers import flexbuffers

HEIGHT, WIDTH, ROWS, COLUMNS = 24, 32, 3, 4
GAIN = 4.0  # score = sigmoid(GAIN * mean of the cell in that channel - 1), the mean in the input's units


def cell_anchors() -> np.ndarray:
    """float32 [12, 4]: centre y, centre x, height, width, normalised; rows first."""
    y, x = np.meshgrid((np.arange(ROWS) + 0.5) / ROWS, (np.arange(COLUMNS) + 0.5) / COLUMNS, indexing="ij")
    return np.stack([y.ravel(), x.ravel(), np.full(12, 1 / ROWS), np.full(12, 1 / COLUMNS)], axis=1).astype(
        np.float32
    )


class _Graph:
    def __init__(self):
        self.tensors, self.buffers, self.codes, self.operators = [], [fb.BufferT()], [], []

    def tensor(self, name, shape, data=None, kind=fb.TensorType.FLOAT32, scale=None, zero=0):
        t = fb.TensorT()
        t.name, t.shape, t.type, t.buffer = name, list(shape), kind, 0
        if data is not None:
            buffer = fb.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.buffers.append(buffer)
            t.buffer = len(self.buffers) - 1
        if scale is not None:
            t.quantization = fb.QuantizationParametersT()
            t.quantization.scale, t.quantization.zeroPoint = [scale], [zero]
        self.tensors.append(t)
        return len(self.tensors) - 1

    def op(self, code, inputs, outputs, options_type=0, options=None, custom=None):
        c = fb.OperatorCodeT()
        c.builtinCode, c.deprecatedBuiltinCode, c.version = (
            code,
            min(code, 127),
            2 if code == fb.BuiltinOperator.DEQUANTIZE else 1,
        )
        o = fb.OperatorT()
        if custom:
            c.customCode, c.version = custom[0], 1
            o.customOptions = np.frombuffer(bytes(custom[1]), np.uint8)
        self.codes.append(c)
        o.opcodeIndex, o.inputs, o.outputs = len(self.codes) - 1, list(inputs), list(outputs)
        o.builtinOptionsType, o.builtinOptions = options_type, options
        self.operators.append(o)


def build(
    path: Path,
    *,
    kind: str = "uint8",
    order: tuple[str, ...] = ("boxes", "classes", "scores", "count"),
    background: bool = False,
    postprocess: bool = True,
    encodings: np.ndarray | None = None,
    max_detections: int = 10,
    raw_decoded: bool = True,
    mean_std: tuple[float, float] | None = None,
    packed: dict[str, str] | None = None,
    custom_op: str = "TFLite_Detection_PostProcess",
    per_class: bool = False,
) -> Path:
    """Write one. `kind` is the input's type; `order` the outputs' order in the file; `packed` files in its
    zip.
    """
    g = _Graph()
    types = {"uint8": fb.TensorType.UINT8, "int8": fb.TensorType.INT8, "float32": fb.TensorType.FLOAT32}
    quantised = {"uint8": (2 / 255, 127), "int8": (2 / 255, -1), "float32": (None, 0)}[kind]
    x = image = g.tensor(
        "image", (1, HEIGHT, WIDTH, 3), kind=types[kind], scale=quantised[0], zero=quantised[1]
    )
    if kind != "float32":
        x = g.tensor("real", (1, HEIGHT, WIDTH, 3))
        g.op(
            fb.BuiltinOperator.DEQUANTIZE,
            [image],
            [x],
            fb.BuiltinOptions.DequantizeOptions,
            fb.DequantizeOptionsT(),
        )
    pool = fb.Pool2DOptionsT()
    pool.padding, pool.strideW, pool.strideH, pool.filterWidth, pool.filterHeight = (
        fb.Padding.VALID,
        8,
        8,
        8,
        8,
    )
    cells = g.tensor("cells", (1, ROWS, COLUMNS, 3))
    g.op(fb.BuiltinOperator.AVERAGE_POOL_2D, [x], [cells], fb.BuiltinOptions.Pool2DOptions, pool)
    k = 3 + background
    weights = np.zeros((k, 1, 1, 3), np.float32)
    for c in range(3):
        weights[c + background, 0, 0, c] = GAIN
    bias = np.full(k, -1.0, np.float32)
    if background:
        bias[0] = 9.0
    conv = fb.Conv2DOptionsT()
    conv.padding, conv.strideW, conv.strideH = fb.Padding.VALID, 1, 1
    mixed = g.tensor("mixed", (1, ROWS, COLUMNS, k))
    inputs = [cells, g.tensor("weights", weights.shape, weights), g.tensor("bias", (k,), bias)]
    g.op(fb.BuiltinOperator.CONV_2D, inputs, [mixed], fb.BuiltinOptions.Conv2DOptions, conv)
    reshape = fb.ReshapeOptionsT()
    reshape.newShape = [1, 12, k]
    flat = g.tensor("logits", (1, 12, k))
    shape = g.tensor("shape", (3,), np.array([1, 12, k], np.int32), fb.TensorType.INT32)
    g.op(fb.BuiltinOperator.RESHAPE, [mixed, shape], [flat], fb.BuiltinOptions.ReshapeOptions, reshape)
    scores = g.tensor("class_scores", (1, 12, k))
    g.op(fb.BuiltinOperator.LOGISTIC, [flat], [scores])
    encodings = (
        np.zeros((1, 12, 4), np.float32)
        if encodings is None
        else encodings.reshape(1, 12, 4).astype(np.float32)
    )
    anchors = cell_anchors()
    if postprocess:
        made = {
            "boxes": g.tensor("out:a", (1, max_detections, 4)),
            "classes": g.tensor("out:b", (1, max_detections)),
            "scores": g.tensor("out:c", (1, max_detections)),
            "count": g.tensor("out:d", (1,)),
        }
        options = flexbuffers.Dumps(
            {
                "max_detections": max_detections,
                "max_classes_per_detection": 1,
                "num_classes": 3,
                "nms_score_threshold": 1e-8,
                "nms_iou_threshold": 0.6,
                "y_scale": 10.0,
                "x_scale": 10.0,
                "h_scale": 5.0,
                "w_scale": 5.0,
                "use_regular_nms": per_class,
                "detections_per_class": 12,
            }
        )
        inputs = [g.tensor("encodings", (1, 12, 4), encodings), scores, g.tensor("anchors", (12, 4), anchors)]
        g.op(
            fb.BuiltinOperator.CUSTOM,
            inputs,
            [made[r] for r in ("boxes", "classes", "scores", "count")],
            custom=(custom_op, options),
        )
        outputs = [made[role] for role in order]
    else:
        corners = np.stack(
            [
                anchors[:, 0] - anchors[:, 2] / 2,
                anchors[:, 1] - anchors[:, 3] / 2,
                anchors[:, 0] + anchors[:, 2] / 2,
                anchors[:, 1] + anchors[:, 3] / 2,
            ],
            axis=1,
        )
        rows = corners if raw_decoded else np.random.default_rng(0).normal(0, 2, (12, 4)).astype(np.float32)
        add = fb.AddOptionsT()
        boxes = g.tensor("boxes", (1, 12, 4))
        zero = g.tensor("zero", (1,), np.zeros(1, np.float32))
        first = g.tensor("first", (1,))
        mean = fb.ReducerOptionsT()
        axes = g.tensor("axes", (2,), np.array([1, 2], np.int32), fb.TensorType.INT32)
        g.op(fb.BuiltinOperator.MEAN, [scores, axes], [first], fb.BuiltinOptions.ReducerOptions, mean)
        none = g.tensor("none", (1,))
        g.op(fb.BuiltinOperator.MUL, [first, zero], [none], fb.BuiltinOptions.MulOptions, fb.MulOptionsT())
        g.op(
            fb.BuiltinOperator.ADD,
            [g.tensor("grid", (1, 12, 4), rows), none],
            [boxes],
            fb.BuiltinOptions.AddOptions,
            add,
        )
        outputs = [boxes, scores]
    graph = fb.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = g.tensors, [image], outputs, g.operators
    model = fb.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, g.codes, [graph], g.buffers
    if mean_std:
        buffer = fb.BufferT()
        buffer.data = np.frombuffer(_metadata(*mean_std), np.uint8)
        entry = fb.MetadataT()
        entry.name, entry.buffer = "TFLITE_METADATA", len(g.buffers)
        g.buffers.append(buffer)
        model.metadata = [entry]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    content = bytes(builder.Output())
    if packed:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, text in packed.items():
                archive.writestr(name, text)
        content += stream.getvalue()
    path.write_bytes(content)
    return path


def _metadata(mean: float, std: float) -> bytes:
    """ModelMetadata > SubGraphMetadata > TensorMetadata > ProcessUnit > NormalizationOptions, by field
    number.
    """
    b = flatbuffers.Builder(256)

    def floats(value):
        b.StartVector(4, 1, 4)
        b.PrependFloat32(value)
        return b.EndVector()

    def tables(item):
        b.StartVector(4, 1, 4)
        b.PrependUOffsetTRelative(item)
        return b.EndVector()

    def table(fields):
        b.StartObject(8)
        for number, offset in fields.items():
            b.PrependUOffsetTRelativeSlot(number, offset, 0)
        return b.EndObject()

    options = table({0: floats(mean), 1: floats(std)})
    b.StartObject(2)
    b.PrependUint8Slot(0, 1, 0)
    b.PrependUOffsetTRelativeSlot(1, options, 0)
    unit = b.EndObject()
    tensor = table({0: b.CreateString("image"), 4: tables(unit)})
    graph = table({2: tables(tensor)})
    b.Finish(table({3: tables(graph)}), b"M001")
    return bytes(b.Output())


def cell_picture(row: int, column: int, channel: int, width: int = 64, height: int = 48) -> np.ndarray:
    """Black but for one cell of the grid, full in one channel; twice the input size unless said otherwise."""
    image = np.zeros((height, width, 3), np.uint8)
    y, x = height // ROWS, width // COLUMNS
    image[row * y : (row + 1) * y, column * x : (column + 1) * x, channel] = 255
    return image
