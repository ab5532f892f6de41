"""One image as the methods change it, and what the detector says then: the same three questions of any
detector.

- `OpenView`: a detector with gradients; pixels are changed in the network's own input, logits of frozen
  anchors.
- `CandidatesView`: one that shows candidates (TFLite, a SavedModel with raw outputs); the same from their
  scores.
- `DetectionsView`: one that shows only detections; the best IoU times score among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from analysis.saliency.targets import Target, logits_of
from detector.boxes import iou as box_iou
from detector.core import Candidates, Detections
from detector.differentiable import DifferentiableDetector, Frame
from detector.errors import CapabilityError

BATCH = 8
LONGEST = 1024
"""Pictures of black boxes are shrunk to this many pixels on the longer side: masks are far coarser."""


class View:
    """One image as a detector takes it.

    Attributes:
        pixels: float32 [h, w, C], the clean input.
        image_size: (W, H) of the original; window: the part of `pixels` it covers.
        fill: float32 [C], the mean colour of that part: what hides a pixel.
        unit: of `evidence`: "logit", or "score" where the detector shows no candidates.
        forwards: pictures sent through the network so far.
    """

    unit = "logit"

    def __init__(
        self, pixels: np.ndarray, image_size: tuple[int, int], window: tuple[float, float, float, float]
    ):
        self.pixels, self.image_size, self.window = np.asarray(pixels, np.float32), image_size, window
        x1, y1, x2, y2 = (int(round(v)) for v in window)
        self.inside = (slice(y1, y2), slice(x1, x2))
        self.fill = self.pixels[self.inside].reshape(-1, self.pixels.shape[2]).mean(axis=0)
        self.forwards = 0

    @property
    def size(self) -> tuple[int, int]:
        """(w, h) of `pixels`."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def to_frame(self, xyxy: np.ndarray) -> np.ndarray:
        """Boxes [N, 4] of the original in pixels of the frame."""
        x1, y1, x2, y2 = self.window
        scale = np.array([(x2 - x1) / self.image_size[0], (y2 - y1) / self.image_size[1]] * 2)
        return np.asarray(xyxy, np.float64).reshape(-1, 4) * scale + np.array([x1, y1, x1, y1])

    def threshold(self, frame_map: np.ndarray) -> np.ndarray:
        """The part of a map [h, w] that the image covers: it spans the whole image, at the frame's
        resolution.
        """
        return np.ascontiguousarray(frame_map[self.inside], np.float32)

    def hidden(self, masks: np.ndarray) -> np.ndarray:
        """float32 [B, h, w, C]: the pixels where a mask [B, h, w] is 1, the mean colour where it is 0."""
        return self.fill + (self.pixels - self.fill) * masks[..., None]

    def evidence(self, batch: np.ndarray, targets: Sequence[Target]) -> np.ndarray:
        """float64 [B, T], each target's weighted sum of logits (or its score, see `unit`; of the sides of a
        box, in shares of the frame)."""
        return self._ask(batch, targets, False)

    def belief(self, batch: np.ndarray, targets: Sequence[Target]) -> np.ndarray:
        """float64 [B, T] in 0..1: the best IoU with the target's box times its class score among all boxes,
        not only the target's own; the best score for a target without box; for evidence of a box the IoU of
        its candidate's.
        """
        return self._ask(batch, targets, True)

    def _sides(self, xyxy: np.ndarray, target: Target, first: int = 0) -> np.ndarray:
        """float64 [B]: the weighted sum of a box's sides, of boxes [B, A, 4] in pixels of the original."""
        rows = np.arange(len(target.anchor_ids))
        picked = np.stack([self.to_frame(b[target.anchor_ids - first])[rows, target.sides] for b in xyxy])
        return (picked / np.array([*self.size, *self.size])[target.sides] * target.weights).sum(axis=1)

    def _ask(self, batch: np.ndarray, targets: Sequence[Target], belief: bool) -> np.ndarray:
        parts = [self._answers(batch[at : at + BATCH], targets, belief) for at in range(0, len(batch), BATCH)]
        self.forwards += len(batch)
        return np.concatenate(parts) if parts else np.zeros((0, len(targets)))

    def _answers(self, batch: np.ndarray, targets: Sequence[Target], belief: bool) -> np.ndarray:
        raise AssertionError("each kind of view has its own")


class OpenView(View):
    """Of a detector with gradients; see `detector.differentiable`."""

    def __init__(self, detector: DifferentiableDetector, image: np.ndarray, targets: Sequence[Target] = ()):
        first = next((t.anchor_ids[:1] for t in targets if len(t.anchor_ids)), ())
        self.detector = detector
        self.frame: Frame = detector.frame(image, first)
        super().__init__(self.frame.inputs, self.frame.image_size, self.frame.window)

    def _answers(self, batch: np.ndarray, targets: Sequence[Target], belief: bool) -> np.ndarray:
        logits, xyxy = self.detector.answer(
            self.frame, batch, boxes=belief or any(t.sides is not None for t in targets)
        )
        first = self.frame.first
        if not belief:
            inside = [t.within(first, self.frame.count) for t in targets]
            return np.stack(
                [
                    _weighted(logits, t, first) if t.sides is None else self._sides(xyxy, t, first)
                    for t in inside
                ],
                axis=1,
            )
        return np.stack(
            [[_best(t, b, _sigmoid(z[:, t.class_id]), first) for t in targets] for z, b in zip(logits, xyxy)]
        )


class _PictureView(View):
    """Pixels are the picture itself, shrunk where it is large."""

    def __init__(self, detector: Any, image: np.ndarray, targets: Sequence[Target] = ()):
        self.detector = detector
        height, width = image.shape[:2]
        shrink = min(1.0, LONGEST / max(height, width))
        if shrink < 1:
            image = cv2.resize(
                image,
                (max(1, round(width * shrink)), max(1, round(height * shrink))),
                interpolation=cv2.INTER_AREA,
            )
        self.seen_size = (image.shape[1], image.shape[0])
        super().__init__(image, (width, height), (0, 0, *self.seen_size))
        self.scale = np.array([width / self.seen_size[0], height / self.seen_size[1]] * 2)

    def _pictures(self, batch: np.ndarray) -> list[np.ndarray]:
        return list(np.clip(np.rint(batch), 0, 255).astype(np.uint8))


class CandidatesView(_PictureView):
    """Of a detector that shows its candidates."""

    def _answers(self, batch: np.ndarray, targets: Sequence[Target], belief: bool) -> np.ndarray:
        shown: list[Candidates] = self.detector.candidates(self._pictures(batch))
        if belief:
            return np.stack(
                [[_best(t, c.xyxy * self.scale, c.scores[:, t.class_id]) for t in targets] for c in shown]
            )
        return np.stack(
            [
                [
                    float(
                        (
                            _weighted(logits_of(c)[None], t, 0)
                            if t.sides is None
                            else self._sides(c.xyxy[None] * self.scale, t)
                        )[0]
                    )
                    for t in targets
                ]
                for c in shown
            ]
        )


class DetectionsView(_PictureView):
    """Of a black box that shows detections only."""

    unit = "score"

    def _answers(self, batch: np.ndarray, targets: Sequence[Target], belief: bool) -> np.ndarray:
        found: list[Detections] = self.detector.detect(self._pictures(batch))
        return np.stack(
            [
                [
                    _best(t, d.xyxy * self.scale, np.where(d.class_ids == t.class_id, d.scores, 0))
                    for t in targets
                ]
                for d in found
            ]
        )


def open_view(
    detector: Any, image: np.ndarray, targets: Sequence[Target] = (), *, black_box: bool = False
) -> View:
    """The view that sees most: gradients, else candidates, else detections.

    Args:
        targets: decide the scale, where a detector works at several.
        black_box: use the detector's public answers only, whatever else it offers.

    Raises:
        CapabilityError: the detector is simulated: it knows its answers by the whole picture, and no pixel
            made them.
    """
    if detector.info.simulated:
        raise CapabilityError(
            f"{detector.info.name}: no network ran, so nothing in the picture made these boxes; only the"
            " confidence map can be drawn."
        )
    open_inside = "gradients" in detector.info.capabilities and isinstance(detector, DifferentiableDetector)
    if open_inside and not black_box:
        return OpenView(detector, image, targets)
    if "candidates" in detector.info.capabilities and all(len(t.anchor_ids) for t in targets):
        return CandidatesView(detector, image, targets)
    return DetectionsView(detector, image, targets)


def _weighted(logits: np.ndarray, target: Target, first: int) -> np.ndarray:
    return (logits[:, target.anchor_ids - first, target.class_ids].astype(np.float64) * target.weights).sum(
        axis=1
    )


def _best(target: Target, xyxy: np.ndarray, scores: np.ndarray, first: int = 0) -> float:
    if not len(scores):
        return 0.0
    if target.sides is not None:
        return float(box_iou(target.box[None], xyxy[target.anchor_ids[:1] - first])[0, 0])
    if target.box is None:
        return float(scores.max())
    return float((box_iou(target.box[None], xyxy)[0] * scores).max())


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(z, np.float64)))
