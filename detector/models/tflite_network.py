"""A .tflite file run by ai-edge-litert: loading, its input, quantisation both ways."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detector.errors import ModelError
from detector.models.decoders.input_rule import InputRule
from detector.models.decoders.interface import Described, Tensor
from detector.models.tflite_file import TFLiteFacts


class TFLiteNetwork:
    """`detector.models.network.Network` of a .tflite file.

    Args:
        path, facts: the file and what it says.
        threads: of the interpreter.
        input_size: (W, H), only for a file whose input size is free.

    Raises:
        ModelError: not one image input, or an operation that this runtime lacks.
    """

    def __init__(
        self,
        path: Path,
        facts: TFLiteFacts,
        *,
        threads: int | None = None,
        input_size: tuple[int, int] | None = None,
    ):
        self._interpreter = load_interpreter(path, facts, threads or min(4, usable_cores()))
        self._input, size, self._channels_first = read_input(self._interpreter, input_size, path)
        self._outputs = self._interpreter.get_output_details()
        self._lock = threading.Lock()
        self._tables: dict[InputRule, np.ndarray] = {}
        self.pieces, self.notes = [path], ()
        layout = "NCHW" if self._channels_first else "NHWC"
        self.input_words = f"{np.dtype(self._input['dtype']).name}, {layout}"
        self.file = Described(
            path,
            "tflite",
            tuple(Tensor(str(d["name"]), _shape(d)) for d in self._outputs),
            size,
            said=facts.said,
            labels=facts.labels,
            mean=facts.mean,
            std=facts.std,
            detector_options=facts.detector_options,
            calibrated=facts.calibrated,
        )

    def run(self, pixels: np.ndarray, rule: InputRule) -> list[np.ndarray]:
        fed = self._fed(pixels, rule)[None]
        with self._lock:
            self._interpreter.set_tensor(self._input["index"], fed)
            self._interpreter.invoke()
            found = [self._interpreter.get_tensor(d["index"]) for d in self._outputs]
        return [dequantised(value, d) for value, d in zip(found, self._outputs)]

    def _fed(self, pixels: np.ndarray, rule: InputRule) -> np.ndarray:
        if self._input["dtype"] == np.float32:
            values = rule.real(pixels)
        elif pixels.dtype == np.uint8:
            if rule not in self._tables:
                every = np.arange(256, dtype=np.float32)[:, None]
                self._tables[rule] = self._quantised(rule.table, every)[None]
            values = cv2.LUT(pixels, self._tables[rule])
            values = values[..., ::-1] if rule.bgr else values
        else:
            values = self._quantised(rule.real(pixels), pixels[..., ::-1] if rule.bgr else pixels)
        return np.ascontiguousarray(values.transpose(2, 0, 1) if self._channels_first else values)

    def _quantised(self, real: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Real input values in the input's own numbers, rounded and kept in range.

        Where the two rules amount to the pixels themselves within a step, as a quantised network was meant
        to be fed, the pixels go in: a zero point rounded by its exporter would shift half of them.
        """
        scale, zero = self._input["quantization"]
        kind = np.iinfo(self._input["dtype"])
        whole = real / (scale or 1.0) + zero
        plain = pixels + np.float32(kind.min)
        if np.abs(whole - plain).max() <= 1:
            whole = plain
        return np.rint(whole).clip(kind.min, kind.max).astype(self._input["dtype"])


def dequantised(value: np.ndarray, details: dict) -> np.ndarray:
    """A tensor as real float32 values."""
    scale, zero = details["quantization"]
    if value.dtype == np.float32 and not scale:
        return value
    return (value.astype(np.float32) - np.float32(zero)) * np.float32(scale or 1.0)


def usable_cores() -> int:
    """The processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def load_interpreter(path: Path, facts: TFLiteFacts, threads: int) -> Any:
    """The interpreter of a file, its tensors allocated.

    Raises:
        ModelError: ai-edge-litert is missing, the file is for an Edge TPU, or an operation is unknown.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter  # for cost, and to say so where it is missing
    except ImportError as error:
        raise ModelError(
            f"A .tflite file needs ai-edge-litert, which cannot be imported here ({error}); pip install"
            " ai-edge-litert."
        ) from error
    if "edgetpu-custom-op" in facts.custom_ops:
        raise ModelError(
            "this file is compiled for an Edge TPU and runs only there; use the .tflite it was compiled from"
            " (the same name without _edgetpu).",
            path=path,
        )
    try:
        interpreter = Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        first = (str(error).strip().splitlines() or ["no reason given"])[0][:200]
        raise ModelError(f"ai-edge-litert cannot run this file: {first}", path=path) from error
    return interpreter


def read_input(
    interpreter: Any, wanted: tuple[int, int] | None, path: Path
) -> tuple[dict, tuple[int, int], bool]:
    """(details, (W, H), whether channels come first) of the one image input.

    Raises:
        ModelError: another input, or a free size and none wanted.
    """
    details = interpreter.get_input_details()
    listed = ", ".join(f"{d['name']} {np.dtype(d['dtype']).name} {list(_shape(d))}" for d in details)
    shape = [int(v) for v in details[0]["shape_signature"]] if len(details) == 1 else []
    first = len(shape) == 4 and shape[3] != 3 and shape[1] == 3
    if (
        len(shape) != 4
        or 3 not in (shape[1], shape[3])
        or details[0]["dtype"] not in (np.uint8, np.int8, np.float32)
    ):
        raise ModelError(
            "expected one input, an RGB image [1, height, width, 3] or [1, 3, height, width] of uint8, int8"
            f" or float32, found {listed}.",
            path=path,
        )
    size = (shape[3], shape[2]) if first else (shape[2], shape[1])
    if min(size) < 1:
        if wanted is None:
            raise ModelError(
                "the input size of this file is free; say which to use (input_size=(width, height)).",
                path=path,
            )
        size = wanted
    fixed = [1, 3, size[1], size[0]] if first else [1, size[1], size[0], 3]
    if [int(v) for v in details[0]["shape"]] != fixed:
        interpreter.resize_tensor_input(details[0]["index"], fixed)
        interpreter.allocate_tensors()
    return interpreter.get_input_details()[0], size, first


def _shape(details: dict) -> tuple[int, ...]:
    return tuple(int(v) for v in details["shape"])
