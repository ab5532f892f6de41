"""A small network whose true cause is known: two classes of equal squares that differ by a dot outside the
box only.

Drawn pictures, one anchor a cell of stride 8, trained in a minute or two. The dot is green for class 0, red
for class 1, and lies above the square's left corner; nothing inside the box tells the classes apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.core import Candidates, ClassMap, Detections, DetectorInfo
from detector.differentiable import Frame

SIZE = (96, 64)
SIDE, DOT, GAP = 16, 4, 4
COLOURS = ((40, 220, 40), (220, 40, 40))


@dataclass(frozen=True)
class Planted:
    """One picture: boxes [N, 4], classes [N], the dot of each [N, 4]."""

    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    dots: np.ndarray


def draw(rng: np.random.Generator) -> Planted:
    """Two or three squares on noise, and as many dots that belong to none."""
    width, height = SIZE
    image = rng.integers(60, 130, (height, width, 1), dtype=np.uint8).repeat(3, axis=2)
    boxes, classes, dots = [], [], []
    for _ in range(40):
        x, y = int(rng.integers(9, width - SIDE - 1)), int(rng.integers(9, height - SIDE - 1))
        if len(boxes) < 3 and all(abs(x - b[0]) > 26 or abs(y - b[1]) > 26 for b in boxes):
            boxes.append((x, y, x + SIDE, y + SIDE))
    for x, y, *_ in boxes:
        k = int(rng.integers(2))
        image[y : y + SIDE, x : x + SIDE] = 200
        dx, dy = x - GAP - DOT, y - GAP - DOT
        image[dy : dy + DOT, dx : dx + DOT] = COLOURS[k]
        classes.append(k)
        dots.append((dx, dy, dx + DOT, dy + DOT))
    return Planted(image, np.array(boxes, np.float32), np.array(classes), np.array(dots))


def grid() -> np.ndarray:
    """float32 [A, 4], the anchors: a square around each cell's centre."""
    y, x = np.mgrid[0 : SIZE[1] // 8, 0 : SIZE[0] // 8]
    cx, cy = (x.ravel() + 0.5) * 8, (y.ravel() + 0.5) * 8
    return np.stack([cx - SIDE / 2, cy - SIDE / 2, cx + SIDE / 2, cy + SIDE / 2], axis=1).astype(np.float32)


def targets(planted: Planted) -> np.ndarray:
    """float32 [A, 2]: 1 for the class of the square whose centre lies in the anchor's cell."""
    out = np.zeros((len(grid()), 2), np.float32)
    for (x1, y1, x2, y2), k in zip(planted.boxes, planted.classes):
        out[int((y1 + y2) / 2 // 8) * (SIZE[0] // 8) + int((x1 + x2) / 2 // 8), k] = 1
    return out


def build(seed: int = 0):
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    x = image = keras.Input((SIZE[1], SIZE[0], 3))
    for i, (filters, stride) in enumerate(((16, 2), (32, 2), (48, 2))):
        x = layers.Conv2D(filters, 3, stride, "same", use_bias=False, name=f"conv{i}")(x)
        x = layers.ReLU(name=f"relu{i}")(layers.BatchNormalization(name=f"norm{i}")(x))
    x = layers.Conv2D(48, 3, padding="same", use_bias=False, name="conv3")(x)
    x = layers.ReLU(name="level")(layers.BatchNormalization(name="norm3")(x))
    x = layers.Conv2D(48, 3, padding="same", activation="relu", name="tower")(x)
    x = layers.Conv2D(2, 1, bias_initializer=keras.initializers.Constant(-3.0), name="head")(x)
    return keras.Model(image, layers.Reshape((-1, 2), name="logits")(x))


def trained(steps: int = 500, seed: int = 0):
    """The network after training on fresh pictures."""
    import keras
    import tensorflow as tf

    model, rng = build(seed), np.random.default_rng(seed)
    pool = [draw(rng) for _ in range(1200)]
    inputs, wanted = (
        np.stack([p.image for p in pool]).astype(np.float32) / 127.5 - 1,
        np.stack([targets(p) for p in pool]),
    )

    def loss(truth, logits):
        weight = tf.where(truth > 0, 4.0, 1.0)
        return tf.reduce_mean(
            tf.reduce_sum(weight * tf.nn.sigmoid_cross_entropy_with_logits(truth, logits), axis=[1, 2])
        )

    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(inputs, wanted, batch_size=24, epochs=max(1, steps * 24 // len(pool)), verbose=0)
    return model


class PlantedDetector:
    """The network as an open detector; see `detector.differentiable.DifferentiableDetector`."""

    def __init__(self, model):
        from detector.keras_gradients import KerasGradients

        self.model, self.anchors = model, grid()
        taps = {"stride_8": model.get_layer("relu2").output, "level": model.get_layer("level").output}
        self._gradients = KerasGradients(model, model.output, taps)
        self.info = DetectorInfo(
            "planted",
            "probe",
            ClassMap(("green", "red")),
            "0" * 8,
            capabilities=frozenset({"gradients", "candidates", "anchors", "low_scores"}),
        )

    def frame(self, image, anchor_ids=()):
        return Frame(image.astype(np.float32) / 127.5 - 1, SIZE, (0, 0, *SIZE), 0, len(self.anchors))

    def answer(self, frame, batch, *, boxes=False):
        logits = self.model.predict_on_batch(np.asarray(batch, np.float32))
        return logits, np.broadcast_to(self.anchors, (len(batch), *self.anchors.shape)) if boxes else None

    def gradients(self, frame, batch, anchor_ids, class_ids, weights, layers=()):
        return self._gradients(batch, anchor_ids, class_ids, weights, layers)

    def evidence_layers(self, anchor_ids):
        return ("stride_8", "level")

    def assigned_anchors(self, xyxy, image_size):
        centres = (np.asarray(xyxy)[:, :2] + np.asarray(xyxy)[:, 2:]) / 2
        return [np.array([int(y // 8) * (SIZE[0] // 8) + int(x // 8)]) for x, y in centres]

    def candidates(self, images):
        out = []
        for image in images:
            frame = self.frame(image)
            logits = self.answer(frame, frame.inputs[None])[0][0]
            out.append(
                Candidates(
                    self.anchors,
                    1 / (1 + np.exp(-logits)),
                    SIZE,
                    anchors=self.anchors,
                    levels=np.zeros(len(logits)),
                    logits=logits,
                )
            )
        return out

    def detect(self, images):
        limit = np.array([*SIZE, *SIZE], np.float32)
        out = []
        for c in self.candidates(images):
            rows, ks = np.nonzero(c.scores > 0.01)
            order = np.argsort(-c.scores[rows, ks])
            rows, ks = rows[order], ks[order]
            out.append(Detections(np.clip(c.xyxy[rows], 0, limit), c.scores[rows, ks], ks, SIZE, rows))
        return out


def cue_rank(values: np.ndarray, box: np.ndarray, dot: np.ndarray) -> float:
    """Share of the pixels outside the box that the map ranks below the dot (its mean)."""
    outside = np.ones(values.shape, bool)
    x1, y1, x2, y2 = (int(v) for v in box)
    outside[y1:y2, x1:x2] = False
    x1, y1, x2, y2 = (int(v) for v in dot)
    cue = values[y1:y2, x1:x2].mean()
    outside[y1:y2, x1:x2] = False
    others = values[outside]
    return float((others < cue).mean() + 0.5 * (others == cue).mean())
