"""An .onnx file run by onnxruntime (extra `onnx`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from detector.errors import ModelError, UnavailableError
from detector.models import exporter_metadata
from detector.models.decoders.input_rule import InputRule
from detector.models.decoders.interface import Described, Tensor


class ONNXNetwork:
    """`detector.models.network.Network` of an .onnx file.

    Args:
        path: the file.
        threads: of the runtime; None leaves it to onnxruntime.
        input_size: (W, H), only for a file whose input size is free.

    Raises:
        UnavailableError: onnxruntime is not installed.
        ModelError: the file cannot be run, or takes anything but one image.
    """

    def __init__(self, path: Path, *, threads: int | None = None, input_size: tuple[int, int] | None = None):
        try:
            import onnxruntime as ort  # for cost: an extra that most installations lack
        except ImportError as error:
            raise UnavailableError(
                f"{path}: an .onnx file needs onnxruntime, which cannot be imported here ({error});"
                " pip install 'boxscope[onnx]'."
            ) from error
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a dozen types of its own here
            first = (str(error).strip().splitlines() or ["no reason given"])[0][:200]
            raise ModelError(f"onnxruntime cannot run this file: {first}", path=path) from error
        said = exporter_metadata.of_mapping(self._session.get_modelmeta().custom_metadata_map)
        self._name, self._dtype, self._channels_first, size = _read_input(
            self._session.get_inputs(), input_size or exporter_metadata.input_size(said), path
        )
        self._outputs = [o.name for o in self._session.get_outputs()]
        self.pieces, self.notes = [path], ()
        self.input_words = f"{self._dtype.__name__}, {'NCHW' if self._channels_first else 'NHWC'}"
        self.file = Described(
            path,
            "onnx",
            tuple(
                Tensor(o.name, tuple(v if isinstance(v, int) else -1 for v in o.shape))
                for o in self._session.get_outputs()
            ),
            size,
            said=said,
            labels=exporter_metadata.class_map(said),
        )

    def run(self, pixels: np.ndarray, rule: InputRule) -> list[np.ndarray]:
        if self._dtype == np.uint8:
            values = np.rint(pixels).clip(0, 255)[..., :: -1 if rule.bgr else 1]
        else:
            values = rule.real(pixels)
        values = values.transpose(2, 0, 1) if self._channels_first else values
        fed = np.ascontiguousarray(values[None], self._dtype)
        found = self._session.run(self._outputs, {self._name: fed})
        return [np.asarray(value, np.float32) for value in found]


KINDS: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}


def _read_input(
    inputs: list[Any], wanted: tuple[int, int] | None, path: Path
) -> tuple[str, Any, bool, tuple[int, int]]:
    """(name, dtype, whether channels come first, (W, H)) of the one image input.

    Raises:
        ModelError: another input, or a free size and none wanted.
    """
    listed = ", ".join(f"{i.name} {i.type} {list(i.shape)}" for i in inputs)
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    if len(shape) != 4 or 3 not in (shape[1], shape[3]) or inputs[0].type not in KINDS:
        raise ModelError(
            "expected one input, an RGB image [1, 3, height, width] or [1, height, width, 3] of float32,"
            f" float16 or uint8, found {listed}.",
            path=path,
        )
    first = shape[1] == 3
    height, width = shape[2:] if first else shape[1:3]
    if not isinstance(height, int) or not isinstance(width, int):
        if wanted is None:
            raise ModelError(
                "the input size of this file is free; say which to use (input_size=(width, height)).",
                path=path,
            )
        width, height = wanted
    return inputs[0].name, KINDS[inputs[0].type], first, (width, height)
