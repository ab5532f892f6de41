"""An SSD opened for heat maps: its frame, answers to changed pixels, and gradients of single anchors'
logits.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from detector.boxes import denormalise, normalise, yxyx_to_xyxy
from detector.differentiable import Frame, Gradients
from detector.errors import InputError
from detector.keras_gradients import KerasGradients
from detector.ssd.anchors import Anchors
from detector.ssd.coder import BoxCoder
from detector.ssd.config import SSDConfig
from detector.ssd.targets import match_anchors

if TYPE_CHECKING:
    import keras

    from detector.keras_gradients import KerasGradients
    from detector.ssd.litert import LiteRTRunner

STRIDE_8 = "stride_8"
BATCH = 8


class SSDGradients(ABC):
    """Base of a detector that is an SSD: what `detector.differentiable.DifferentiableDetector` asks for, from
    the parts that the detector has or makes.
    """

    config: SSDConfig
    anchors: Anchors
    coder: BoxCoder
    outputs: np.ndarray
    """int [K], the network output (0-based, background not counted) of each class."""
    _run_lock: threading.Lock
    _keras_gradients: KerasGradients | None = None

    @property
    @abstractmethod
    def network(self) -> keras.Model:
        """The Keras model with its weights."""

    @abstractmethod
    def preprocess(self, image: np.ndarray) -> np.ndarray:
        """One image as the network takes it: float32 [height, width, 3]."""

    @abstractmethod
    def _litert(self) -> LiteRTRunner | None:
        """The LiteRT build that detects, or None where Keras does."""

    def frame(self, image: np.ndarray, anchor_ids: Sequence[int] = ()) -> Frame:
        """The image stretched to the input size, as the network takes it."""
        size = (image.shape[1], image.shape[0])
        return Frame(
            self.preprocess(image), size, (0, 0, self.config.width, self.config.height), 0, len(self.anchors)
        )

    def answer(
        self, frame: Frame, batch: np.ndarray, *, boxes: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        codes, logits = self._raw(np.ascontiguousarray(batch, np.float32))
        logits = logits[..., 1 + self.outputs]
        if not boxes:
            return logits, None
        decoded = [
            denormalise(yxyx_to_xyxy(self.coder.decode(c, self.anchors.boxes)), frame.image_size)
            for c in codes
        ]
        return logits, np.stack(decoded).astype(np.float32)

    def _raw(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Network inputs [B, height, width, 3] to (codes [B, A, 4], logits [B, A, outputs + 1]), by the
        runtime that detects.
        """
        runner = self._litert()
        if runner is not None:
            pairs = runner.map(lambda x, forward: forward(x), list(batch))
            return np.stack([codes for codes, _ in pairs]), np.stack([logits for _, logits in pairs])
        codes, logits = [], []
        for start in range(0, len(batch), BATCH):
            part = batch[start : start + BATCH]
            # One graph serves all: a smaller rest is filled up.
            full = (
                part
                if len(part) == BATCH
                else np.concatenate([part, np.zeros((BATCH - len(part), *part.shape[1:]), np.float32)])
            )
            with self._run_lock:
                out = self.network.predict_on_batch(full)
            codes.append(out["box_encodings"][: len(part)])
            logits.append(out["class_logits"][: len(part)])
        return np.concatenate(codes), np.concatenate(logits)

    def gradients(
        self,
        frame: Frame,
        batch: np.ndarray,
        anchor_ids: Sequence[int],
        class_ids: Sequence[int],
        weights: Sequence[float],
        layers: Sequence[str] = (),
    ) -> Gradients:
        rows = np.asarray(anchor_ids, np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self.anchors):
            raise InputError(f"anchor_ids: expected 0..{len(self.anchors) - 1}, got {rows.tolist()}.")
        return self._gradient_function()(
            batch, rows, 1 + self.outputs[np.asarray(class_ids, np.int64)], weights, layers
        )

    def evidence_layers(self, anchor_ids: Sequence[int]) -> tuple[str, ...]:
        """The backbone's stride-8 map, then the feature maps these anchors are read from."""
        from detector.ssd.model import FEATURE_PREFIX  # noqa: PLC0415  Keras costs seconds

        levels = np.unique(self.anchors.levels[np.asarray(anchor_ids, np.int64)])
        return (STRIDE_8, *(f"{FEATURE_PREFIX}{level}" for level in levels))

    def assigned_anchors(self, xyxy: np.ndarray, image_size: tuple[int, int]) -> list[np.ndarray]:
        """By the matcher that training uses, at its default IoU of 0.5."""
        boxes = normalise(np.asarray(xyxy, np.float32).reshape(-1, 4), image_size)[:, [1, 0, 3, 2]]
        matched = match_anchors(self.anchors.boxes, boxes, np.ones(len(boxes), np.float32))
        return [np.flatnonzero(matched == row) for row in range(len(boxes))]

    def _gradient_function(self) -> KerasGradients:
        if self._keras_gradients is None:
            from detector.ssd.model import feature_maps, stride_8  # noqa: PLC0415  Keras costs seconds

            network = self.network
            taps = {STRIDE_8: stride_8(network), **feature_maps(network)}
            self._keras_gradients = KerasGradients(network, network.output["class_logits"], taps)
        return self._keras_gradients
