"""Detectors whose evidence is known: a logit is a weighted sum of the pixels of a padded frame. No network
needed.
"""

from __future__ import annotations

import numpy as np

from detector.core import Candidates, ClassMap, Detections, DetectorInfo
from detector.differentiable import Frame, Gradients

SIZE = (46, 30)
PAD = (5, 3)


class LinearDetector:
    """Anchor a, class k: logit = bias + sum(weights[a, k] * pixels / 255), over the frame with its padding
    (grey 0).

    The frame is the picture, of `SIZE`, with a margin of `PAD` pixels; padding is never part of the picture.
    Its one layer, "pixels", is the input itself; "elsewhere" is a layer no anchor is read from.
    """

    def __init__(
        self,
        weights: np.ndarray,
        xyxy: np.ndarray,
        *,
        bias: float = 0.0,
        capabilities=("gradients", "candidates", "low_scores"),
        simulated: bool = False,
    ):
        self.weights, self.xyxy, self.bias = (
            np.asarray(weights, np.float64),
            np.asarray(xyxy, np.float32),
            bias,
        )
        names = tuple(f"class {k}" for k in range(self.weights.shape[1]))
        self.info = DetectorInfo(
            "linear",
            "probe",
            ClassMap(names),
            "0" * 8,
            capabilities=frozenset(capabilities),
            simulated=simulated,
        )
        self.calls = 0

    def frame(self, image, anchor_ids=()):
        height, width = image.shape[:2]
        padded = np.zeros((height + 2 * PAD[1], width + 2 * PAD[0], 3), np.float32)
        padded[PAD[1] : PAD[1] + height, PAD[0] : PAD[0] + width] = image
        return Frame(
            padded, (width, height), (PAD[0], PAD[1], PAD[0] + width, PAD[1] + height), 0, len(self.weights)
        )

    def _logits(self, batch):
        return np.einsum("bhwc,akhwc->bak", np.asarray(batch, np.float64) / 255, self.weights) + self.bias

    def answer(self, frame, batch, *, boxes=False):
        self.calls += len(batch)
        return self._logits(batch), (
            np.broadcast_to(self.xyxy, (len(batch), *self.xyxy.shape)) if boxes else None
        )

    def gradients(self, frame, batch, anchor_ids, class_ids, weights, layers=()):
        rows = self.weights[np.asarray(anchor_ids), np.asarray(class_ids)]
        gradient = np.tensordot(np.asarray(weights), rows, 1).astype(np.float32) / 255
        values = (
            (self._logits(batch)[:, anchor_ids, class_ids] * np.asarray(weights))
            .sum(axis=1)
            .astype(np.float32)
        )
        every = np.broadcast_to(gradient, batch.shape)
        if not layers:
            return Gradients(values, every, {}, {})
        return Gradients(
            values,
            None,
            {n: np.asarray(batch) for n in layers},
            {n: every if n == "pixels" else np.zeros_like(every) for n in layers},
        )

    def evidence_layers(self, anchor_ids):
        return ("pixels",)

    def assigned_anchors(self, xyxy, image_size):
        return [np.array([0])] * len(xyxy)

    def candidates(self, images):
        out = []
        for image in images:
            self.calls += 1
            frame = self.frame(image)
            logits = self._logits(frame.inputs[None])[0]
            out.append(Candidates(self.xyxy, 1 / (1 + np.exp(-logits)), frame.image_size, logits=logits))
        return out

    def detect(self, images):
        out = []
        for image, c in zip(images, self.candidates(images)):
            best = c.scores.argmax(axis=1)
            scores = c.scores[np.arange(len(c)), best]
            order = np.argsort(-scores)
            size = (image.shape[1], image.shape[0])
            limit = np.array([*size, *size], np.float32)
            out.append(Detections(np.clip(c.xyxy[order], 0, limit), scores[order], best[order], size))
        return out


def no_weights(anchors: int = 1, classes: int = 1) -> np.ndarray:
    """float64 [A, K, h, w, 3] of zeros over the padded frame."""
    return np.zeros((anchors, classes, SIZE[1] + 2 * PAD[1], SIZE[0] + 2 * PAD[0], 3))


def pixel_weights(x: int, y: int, value: float = 4.0) -> np.ndarray:
    """One anchor and class that look at pixel (x, y) of the picture only."""
    weights = no_weights()
    weights[0, 0, y + PAD[1], x + PAD[0]] = value
    return weights


def smooth_weights(seed: int, anchors: int = 1, classes: int = 1) -> np.ndarray:
    """Signed weights that change slowly over the picture, none on the padding."""
    import cv2

    weights = no_weights(anchors, classes)
    rng = np.random.default_rng(seed)
    for a in range(anchors):
        for k in range(classes):
            field = cv2.GaussianBlur(rng.normal(size=(SIZE[1], SIZE[0])), (0, 0), 4)
            weights[a, k, PAD[1] : -PAD[1], PAD[0] : -PAD[0]] = (field / field.std())[..., None] * 0.02
    return weights


def noise(seed: int = 0) -> np.ndarray:
    """RGB uint8 [H, W, 3] of `SIZE`."""
    return np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)


def spot(x: int, y: int) -> np.ndarray:
    """A black picture with one white pixel."""
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    image[y, x] = 255
    return image
