"""What a detector that can be differentiated offers to heat maps (capability "gradients"). No network in
here.

A method asks for a frame of an image, changes its pixels, and asks what the network answers or in which
direction each pixel or feature moves an answer. Implemented by `detector.ssd.gradients.SSDGradients` and
`detector.sliding.gradients`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from detector.core import DetectorInfo


@dataclass(frozen=True, eq=False)
class Frame:
    """One image as the network takes it.

    Args:
        inputs: float32 [h, w, C] in the network's own units.
        image_size: (W, H) of the upright original.
        window: (x1, y1, x2, y2), the part of `inputs` the image covers; the rest is padding.
        first, count: the rows of the detector's candidates that this frame answers for.
    """

    inputs: np.ndarray
    image_size: tuple[int, int]
    window: tuple[float, float, float, float]
    first: int
    count: int

    def to_frame(self, xyxy: np.ndarray) -> np.ndarray:
        """Boxes float64 [N, 4] in pixels of `inputs` from boxes [N, 4] in pixels of the original."""
        x1, y1, x2, y2 = self.window
        scale = np.array([(x2 - x1) / self.image_size[0], (y2 - y1) / self.image_size[1]] * 2)
        return np.asarray(xyxy, np.float64).reshape(-1, 4) * scale + np.array([x1, y1, x1, y1])


@dataclass(frozen=True, eq=False)
class Gradients:
    """A weighted sum of logits and its gradients, for a batch of B inputs.

    Args:
        values: float32 [B], the sum.
        inputs: float32 [B, h, w, C], its gradient by the inputs; None where layers were asked for.
        features, gradients: by layer name, float32 [B, h_l, w_l, C_l], a layer's output and the gradient by
            it.
    """

    values: np.ndarray
    inputs: np.ndarray | None
    features: Mapping[str, np.ndarray]
    gradients: Mapping[str, np.ndarray]


@runtime_checkable
class DifferentiableDetector(Protocol):
    """A detector with the capability "gradients". Class ids are its own, 0..K-1; anchor ids are rows of its
    candidates.
    """

    info: DetectorInfo

    def frame(self, image: np.ndarray, anchor_ids: Sequence[int] = ()) -> Frame:
        """The image as the network takes it; where it takes it at several scales, at that of the first
        anchor.
        """
        ...

    def answer(
        self, frame: Frame, batch: np.ndarray, *, boxes: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """For inputs float32 [B, h, w, C] like the frame's: (logits float32 [B, count, K], and, where asked,
        decoded boxes float32 [B, count, 4], xyxy pixels of the original, not clipped)."""
        ...

    def gradients(
        self,
        frame: Frame,
        batch: np.ndarray,
        anchor_ids: Sequence[int],
        class_ids: Sequence[int],
        weights: Sequence[float],
        layers: Sequence[str] = (),
    ) -> Gradients:
        """Of the sum over k of `weights[k]` times the logit of `class_ids[k]` at `anchor_ids[k]`, for each
        input of the batch.

        With the capability "box_gradients" the ids behind the classes, K to K + 3, are the left, top, right
        and bottom side of the box, as shares of `inputs`.

        Without layers by the inputs, else by the outputs of the named layers only, which is cheaper.

        Raises:
            InputError: no such layer, or an anchor the frame does not answer for.
        """
        ...

    def evidence_layers(self, anchor_ids: Sequence[int]) -> tuple[str, ...]:
        """Layers whose maps show where these anchors' evidence lies, fine to coarse: the stride-8 features,
        if it has them, and the feature maps the anchors themselves are read from."""
        ...

    def assigned_anchors(self, xyxy: np.ndarray, image_size: tuple[int, int]) -> list[np.ndarray]:
        """For each object [N, 4] of an image: the anchors training would have answer for it, int64, at least
        one each where the objects do not crowd each other out."""
        ...
