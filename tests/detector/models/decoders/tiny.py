"""Tiny networks of every layout, written as flatbuffers or ONNX: an output is a table plus a gain times the
mean of the red channel, so that its values follow from the picture by hand."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as fb

from tests.detector.models.tflite_builder import _Graph

SIDE = 32
CELLS = 21  # 4 x 4 + 2 x 2 + 1 cells of strides 8, 16, 32


def yolo_table(scale: float = 1.0) -> np.ndarray:
    """float32 [7, 21]: a box of 16 x 8 pixels round (12, 20) in row 5, class 1 at .9; a second one of the
    same place in row 6 at .6; in row 20 class 2 at .5, a box of the whole input."""
    table = np.zeros((7, CELLS), np.float32)
    table[:4] = np.float32([[4], [4], [2], [2]]) * scale
    table[:, 5] = [12 * scale, 20 * scale, 16 * scale, 8 * scale, 0, 0.9, 0]
    table[:, 6] = [13 * scale, 20 * scale, 16 * scale, 8 * scale, 0, 0.6, 0]
    table[:, 20] = [16 * scale, 16 * scale, 32 * scale, 32 * scale, 0, 0, 0.5]
    return table


def write_tflite(
    path: Path, tables: list[np.ndarray], *, gain: float = 0.0, members: dict[str, str] | None = None
) -> Path:
    """One float output per table, [1, *table.shape]: the table plus gain times the mean red of the input."""
    g = _Graph()
    image = g.tensor("image", (1, SIDE, SIDE, 3))
    pool = fb.Pool2DOptionsT()
    pool.padding, pool.strideW, pool.strideH = fb.Padding.VALID, SIDE, SIDE
    pool.filterWidth = pool.filterHeight = SIDE
    mean = g.tensor("mean", (1, 1, 1, 3))
    g.op(fb.BuiltinOperator.AVERAGE_POOL_2D, [image], [mean], fb.BuiltinOptions.Pool2DOptions, pool)
    outputs = []
    for number, table in enumerate(tables):
        weights = np.zeros((table.size, 1, 1, 3), np.float32)
        weights[:, 0, 0, 0] = gain
        conv = fb.Conv2DOptionsT()
        conv.padding, conv.strideW, conv.strideH = fb.Padding.VALID, 1, 1
        mixed = g.tensor(f"mixed{number}", (1, 1, 1, table.size))
        bias = g.tensor(f"bias{number}", (table.size,), table.ravel().astype(np.float32))
        kernel = g.tensor(f"weights{number}", weights.shape, weights)
        g.op(
            fb.BuiltinOperator.CONV_2D,
            [mean, kernel, bias],
            [mixed],
            fb.BuiltinOptions.Conv2DOptions,
            conv,
        )
        reshape = fb.ReshapeOptionsT()
        reshape.newShape = [1, *table.shape]
        shape = g.tensor(
            f"shape{number}", (1 + table.ndim,), np.array([1, *table.shape], np.int32), fb.TensorType.INT32
        )
        out = g.tensor(f"Identity_{number}", (1, *table.shape))
        g.op(
            fb.BuiltinOperator.RESHAPE,
            [mixed, shape],
            [out],
            fb.BuiltinOptions.ReshapeOptions,
            reshape,
        )
        outputs.append(out)
    path.write_bytes(_packed(g, [image], outputs))
    if members:
        with zipfile.ZipFile(path, "a") as archive:
            for name, text in members.items():
                archive.writestr(name, text)
    return path


def _packed(g: _Graph, inputs: list[int], outputs: list[int]) -> bytes:
    import flatbuffers

    graph = fb.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = g.tensors, g.operators, inputs, outputs
    model = fb.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, g.codes, [graph], g.buffers
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def write_onnx(path: Path, tables: dict[str, np.ndarray], said: dict[str, str] | None = None) -> Path:
    """One output per table: the table plus nothing of the input but a zero, NCHW input "images"."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
    ]
    constants = [numpy_helper.from_array(np.float32(0), "nothing")]
    outputs = []
    for name, table in tables.items():
        constants.append(numpy_helper.from_array(table[None].astype(np.float32), f"{name}_table"))
        nodes.append(helper.make_node("Add", [f"{name}_table", "zero"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *table.shape]))
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", [image], outputs, constants),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    helper.set_model_props(model, said or {})
    onnx.save(model, str(path))
    return path
