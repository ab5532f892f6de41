"""A two-head detector opened for heat maps: one frame a picture, one anchor (its only box) in each."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from detector.core import DetectorInfo
from detector.differentiable import Frame, Gradients
from detector.errors import CapabilityError, InputError
from detector.keras_gradients import KerasGradients
from detector.two_head.config import TwoHeadConfig
from detector.two_head.frames import whole

if TYPE_CHECKING:
    import keras

    from detector.keras_gradients import KerasGradients


class TwoHeadGradients(ABC):
    """Base of a detector with two heads: what `detector.differentiable.DifferentiableDetector` asks for, from
    the parts that the detector has or makes.

    The logits are those before the softmax. Class ids K to K + 3 are the box head's: the box's left, top,
    right and bottom side as a share of the input, so that a method can ask for the evidence of either head.
    """

    config: TwoHeadConfig
    info: DetectorInfo
    _lock: threading.Lock
    _keras_gradients: KerasGradients | None = None

    @property
    @abstractmethod
    def network(self) -> keras.Model:
        """The Keras model with its weights."""

    @abstractmethod
    def resized(self, image: np.ndarray) -> np.ndarray:
        """One image at the network's size, float32 pixels 0..255."""

    def frame(self, image: np.ndarray, anchor_ids: Sequence[int] = ()) -> Frame:
        """The picture resized, float32 0..255."""
        _one_anchor(anchor_ids)
        size = (image.shape[1], image.shape[0])
        width, height = self.config.input_size
        x1, y1, x2, y2 = whole(size, self.config.input_size, self.config.resize).to_input(
            np.array([0, 0, *size])
        )
        return Frame(self.resized(image), size, (x1 * width, y1 * height, x2 * width, y2 * height), 0, 1)

    def answer(
        self, frame: Frame, batch: np.ndarray, *, boxes: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        self._need_classes()
        network = self.network
        with self._lock:
            out = network.predict_on_batch(np.asarray(batch, np.float32))
        logits = np.asarray(out["class_logits"])[:, None]
        if not boxes:
            return logits, None
        shares = (
            np.asarray(out["boxes"]) if "boxes" in out else np.tile(np.float32([0, 0, 1, 1]), (len(batch), 1))
        )
        return logits, whole(frame.image_size, self.config.input_size, self.config.resize).to_picture(shares)[
            :, None
        ].astype(np.float32)

    def gradients(
        self,
        frame: Frame,
        batch: np.ndarray,
        anchor_ids: Sequence[int],
        class_ids: Sequence[int],
        weights: Sequence[float],
        layers: Sequence[str] = (),
    ) -> Gradients:
        self._need_classes()
        _one_anchor(anchor_ids)
        known = len(self.info.class_map) + (4 if self.config.has_boxes else 0)
        if len(class_ids) and not 0 <= min(class_ids) <= max(class_ids) < known:
            raise InputError(f"class_ids: expected 0 to {known - 1}, got {list(class_ids)}.")
        return self._gradient_function()(batch, anchor_ids, class_ids, weights, layers)

    def evidence_layers(self, anchor_ids: Sequence[int]) -> tuple[str, ...]:
        """The last map of stride 8, where there is one, and the last map, from which both heads read."""
        maps = self._maps()
        fine = [name for name, rows in maps.items() if rows == -(-self.config.input_size[1] // 8)]
        return tuple(dict.fromkeys([*fine[-1:], list(maps)[-1]]))

    def assigned_anchors(self, xyxy: np.ndarray, image_size: tuple[int, int]) -> list[np.ndarray]:
        """The one there is, for every object."""
        return [np.zeros(1, np.int64) for _ in np.asarray(xyxy).reshape(-1, 4)]

    def _need_classes(self) -> None:
        if not self.config.has_classes:
            raise CapabilityError(
                f"{self.info.name} has a box head alone, so there is no class to be evidence for; use D-RISE."
            )

    def _maps(self) -> dict[str, int]:
        """Layers of the backbone whose output is a map, with its rows."""
        from detector.two_head.network import backbone_layers  # noqa: PLC0415  Keras costs seconds

        layers = backbone_layers(self.network)
        shapes = {layer.name: tuple(layer.output.shape) for layer in layers if hasattr(layer.output, "shape")}
        return {
            name: shape[1]
            for name, shape in shapes.items()
            if len(shape) == 4 and shape[1] < self.config.input_size[1]
        }

    def _gradient_function(self) -> KerasGradients:
        network = self.network
        if self._keras_gradients is None:
            from keras import ops  # noqa: PLC0415  Keras costs seconds

            columns = [network.output["class_logits"]]
            if self.config.has_boxes:
                columns.append(network.output["boxes"])
            taps = {name: network.get_layer(name).output for name in self._maps()}
            logits = ops.concatenate(columns, axis=-1) if len(columns) > 1 else columns[0]
            self._keras_gradients = KerasGradients(network, logits, taps, lambda values: values[:, None])
        return self._keras_gradients


def _one_anchor(anchor_ids: Sequence[int]) -> None:
    if any(int(i) != 0 for i in anchor_ids):
        raise InputError(
            f"anchor_ids: a two-head detector has one candidate a picture, number 0, got {list(anchor_ids)}."
        )
