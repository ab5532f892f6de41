"""Box decoding grafted onto a .tflite: by hand on a file that returns its input as codes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")

import flatbuffers
from ai_edge_litert import schema_py_generated as fb

from detector.errors import ModelError
from detector.export.tflite_decode import with_decoded_boxes
from detector.models.tflite import decode_boxes

ANCHORS = np.array([[0.1, 0.2, 0.5, 0.6], [0.0, 0.5, 0.25, 0.75], [0.4, 0.4, 0.9, 0.5]], np.float32)
SCALES = (10.0, 8.0, 5.0, 4.0)  # uneven, so that no two can be mistaken for each other


def passes_on(shape=(1, 3, 4)) -> bytes:
    """A model that returns its float32 input, times 1, as "codes"."""

    def tensor(name, buffer=0, dims=shape):
        t = fb.TensorT()
        t.name, t.shape, t.type, t.buffer = name, list(dims), fb.TensorType.FLOAT32, buffer
        return t

    one, code, op, graph, model, signature = (
        fb.BufferT(),
        fb.OperatorCodeT(),
        fb.OperatorT(),
        fb.SubGraphT(),
        fb.ModelT(),
        fb.SignatureDefT(),
    )
    one.data = np.frombuffer(np.ones(1, np.float32).tobytes(), np.uint8)
    code.builtinCode = code.deprecatedBuiltinCode = fb.BuiltinOperator.MUL
    code.version = 1
    op.opcodeIndex, op.inputs, op.outputs = 0, [0, 1], [2]
    op.builtinOptionsType, op.builtinOptions = fb.BuiltinOptions.MulOptions, fb.MulOptionsT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = (
        [tensor("in"), tensor("one", 1, (1,)), tensor("out")],
        [0],
        [2],
        [op],
    )
    given, got = fb.TensorMapT(), fb.TensorMapT()
    given.name, given.tensorIndex, got.name, got.tensorIndex = "in", 0, "codes", 2
    signature.signatureKey, signature.inputs, signature.outputs = "serving_default", [given], [got]
    model.version, model.operatorCodes, model.subgraphs, model.buffers, model.signatureDefs = (
        3,
        [code],
        [graph],
        [fb.BufferT(), one],
        [signature],
    )
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run(content: bytes, codes: np.ndarray) -> dict[str, np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    return interpreter.get_signature_runner("serving_default")(**{"in": codes[None]})


def test_no_codes_gives_the_anchors():
    out = run(with_decoded_boxes(passes_on(), "codes", ANCHORS, SCALES), np.zeros((3, 4), np.float32))
    assert set(out) == {"boxes"}
    np.testing.assert_allclose(out["boxes"][0], ANCHORS, atol=1e-6)


def test_codes_by_hand_and_by_the_rule_of_the_operation():
    codes = np.array([[5.0, 0, 0, 0], [0, -8.0, 5 * np.log(2), 0], [1.5, 2.5, -1.0, 0.7]], np.float32)
    boxes = run(with_decoded_boxes(passes_on(), "codes", ANCHORS, SCALES), codes)["boxes"][0]
    np.testing.assert_allclose(boxes[0], [0.3, 0.2, 0.7, 0.6], atol=1e-6)  # half its height of 0.4 down
    np.testing.assert_allclose(
        boxes[1], [-0.125, 0.25, 0.375, 0.5], atol=1e-6
    )  # its width of 0.25 to the left, twice as high
    centre = np.concatenate([(ANCHORS[:, :2] + ANCHORS[:, 2:]) / 2, ANCHORS[:, 2:] - ANCHORS[:, :2]], axis=1)
    want = decode_boxes(codes, centre, dict(zip(("y_scale", "x_scale", "h_scale", "w_scale"), SCALES)))
    np.testing.assert_allclose(boxes, want, atol=1e-6)


def test_a_model_without_such_codes_is_refused():
    for name, anchors in (("boxes", ANCHORS), ("codes", ANCHORS[:2])):
        with pytest.raises(ModelError, match="expected a model that returns"):
            with_decoded_boxes(passes_on(), name, anchors, SCALES)
