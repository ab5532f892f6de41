"""A sliding-window detector opened for heat maps: each scale of its pyramid is a frame of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from detector import boxes as box_rules
from detector.core import DetectorInfo
from detector.data.formats.uiuc import to_grey
from detector.differentiable import Frame, Gradients
from detector.errors import CapabilityError, InputError
from detector.keras_gradients import KerasGradients
from detector.sliding.convert import WindowGeometry
from detector.sliding.scan import Network, scaled_input, windows_of
from detector.sliding.settings import SlidingWindowSettings

if TYPE_CHECKING:
    import keras

    from detector.keras_gradients import KerasGradients


class SlidingGradients:
    """Base of a detector that slides a window: what `detector.differentiable.DifferentiableDetector` asks
    for, from the parts that the detector has.

    The logit of a window is its margin: the object's less the background's.
    """

    geometry: WindowGeometry
    settings: SlidingWindowSettings
    info: DetectorInfo
    model: keras.Model | None
    """The network as a Keras model; without it there are no gradients."""
    _network: Network
    _lock: threading.Lock
    _keras_gradients: KerasGradients | None = None

    def frame(self, image: np.ndarray, anchor_ids: Sequence[int] = ()) -> Frame:
        """The picture at the scale of the first anchor's window, grey, 0..1, with the repeated border as
        padding.

        Raises:
            InputError: no window of this number, or none fits the picture.
        """
        grey, size, first = to_grey(image), (image.shape[1], image.shape[0]), 0
        wanted = int(anchor_ids[0]) if len(anchor_ids) else 0
        for width in self.settings.window_widths:
            scaled = scaled_input(self.geometry, grey, width, self.settings.pad)
            count = scaled.columns * scaled.rows
            if first <= wanted < first + count:
                (pad_x, pad_y), (height, across) = scaled.pad, scaled.inputs.shape[:2]
                return Frame(
                    scaled.inputs, size, (pad_x, pad_y, across - pad_x, height - pad_y), first, count
                )
            first += count
        raise InputError(f"anchor_ids: expected one of the {first} windows of this picture, got {wanted}.")

    def answer(
        self, frame: Frame, batch: np.ndarray, *, boxes: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        with self._lock:
            logits = np.concatenate(
                [np.asarray(self._network(x[None])) for x in np.asarray(batch, np.float32)]
            )
        margins = (logits[..., 1] - logits[..., 0]).reshape(len(batch), frame.count, 1)
        if not boxes:
            return margins, None
        return margins, np.broadcast_to(self._windows(frame), (len(batch), frame.count, 4))

    def _windows(self, frame: Frame) -> np.ndarray:
        grey, first = np.zeros(frame.image_size[::-1], np.uint8), 0
        for width in self.settings.window_widths:
            scaled = scaled_input(self.geometry, grey, width, self.settings.pad)
            if first == frame.first and scaled.columns:
                return windows_of(self.geometry, scaled)
            first += scaled.columns * scaled.rows
        raise InputError("the frame is none of this detector's.")

    def gradients(
        self,
        frame: Frame,
        batch: np.ndarray,
        anchor_ids: Sequence[int],
        class_ids: Sequence[int],
        weights: Sequence[float],
        layers: Sequence[str] = (),
    ) -> Gradients:
        if self.model is None:
            raise CapabilityError(
                f"{self.info.name} was given without its Keras model, so there are no gradients; use D-RISE."
            )
        rows = np.asarray(anchor_ids, np.int64) - frame.first
        if len(rows) and not 0 <= rows.min() <= rows.max() < frame.count:
            raise InputError(
                f"anchor_ids: expected {frame.first}..{frame.first + frame.count - 1}, the windows of this"
                f" scale, got {list(anchor_ids)}."
            )
        weights = np.asarray(weights, np.float32)
        # A margin is two logits: columns 1 (object) and 0 (background).
        columns = np.tile([1, 0], len(rows))
        return self._gradient_function()(
            batch, np.repeat(rows, 2), columns, np.repeat(weights, 2) * np.tile([1, -1], len(rows)), layers
        )

    def evidence_layers(self, anchor_ids: Sequence[int]) -> tuple[str, ...]:
        """The last map before the classifier's dense part: the only features a window is read from."""
        return tuple(self._taps())[-1:]

    def assigned_anchors(self, xyxy: np.ndarray, image_size: tuple[int, int]) -> list[np.ndarray]:
        """Windows with IoU of at least 0.5, all of one scale (that of the best); the best one where none
        reaches it.
        """
        grey, windows, scales = np.zeros(image_size[::-1], np.uint8), [], []
        for k, width in enumerate(self.settings.window_widths):
            scaled = scaled_input(self.geometry, grey, width, self.settings.pad)
            windows.append(windows_of(self.geometry, scaled))
            scales.append(np.full(len(windows[-1]), k))
        every, scale = np.concatenate(windows), np.concatenate(scales)
        out = []
        for overlap in box_rules.iou(np.asarray(xyxy).reshape(-1, 4), every):
            best = int(np.argmax(overlap)) if len(overlap) else 0
            near = (
                np.flatnonzero((overlap >= 0.5) & (scale == scale[best]))
                if len(overlap)
                else np.zeros(0, np.int64)
            )
            out.append(near if len(near) else np.arange(len(overlap))[best : best + 1])
        return out

    def _taps(self) -> dict:
        if self.model is None:
            raise CapabilityError(
                f"{self.info.name} was given without its Keras model, so there are no gradients; use D-RISE."
            )
        taps = {}
        for layer in self.model.layers[1:]:
            # `to_fully_convolutional` names the layer that stands for the flatten or the pooling so.
            if layer.name.endswith(("_conv", "_window")):
                break
            taps[layer.name] = layer.output
        return taps

    def _gradient_function(self) -> KerasGradients:
        if self._keras_gradients is None:

            def as_rows(values):
                import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

                shape = tf.shape(values)
                return tf.reshape(values, [shape[0], shape[1] * shape[2], 2])

            self._keras_gradients = KerasGradients(self.model, self.model.output, self._taps(), as_rows)
        return self._keras_gradients
