"""A window classifier over a whole picture: the picture resized so that the wanted windows have the patch's
size.

Where each window lies follows from three things: the network's stride (`WindowGeometry`), the border that was
added, and how much the picture was resized, each way on its own since sizes are whole pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import keras
import numpy as np

from detector.sliding.convert import WindowGeometry

Network = Callable[[np.ndarray], np.ndarray]
"""float32 grey [B, H, W, 1] in 0..1 to logits [B, rows, columns, 2] (background, object)."""


@dataclass(frozen=True)
class ConfidenceMap:
    """One scale's answer: how sure the classifier is of the object in each window.

    Args:
        margins: float32 [rows, columns], logit of the object less that of the background; [0, 0] where no
            window of this size fits the picture.
        xyxy: float32 [rows * columns, 4], each window in pixels of the original picture, not clipped.
        window_width: pixels of the original picture.
    """

    margins: np.ndarray
    xyxy: np.ndarray
    window_width: float

    @property
    def scores(self) -> np.ndarray:
        """float32 [rows, columns] in 0..1: the softmax of the two logits."""
        return probability(self.margins)


def probability(margins: np.ndarray) -> np.ndarray:
    """The softmax of two logits from their difference, float32."""
    return (1 / (1 + np.exp(-np.clip(margins.astype(np.float64), -80, 80)))).astype(np.float32)


def compiled(model) -> Network:
    """A Keras model as a function of arrays of any batch, height and width, traced once (TensorFlow's
    backend).
    """

    if keras.backend.backend() != "tensorflow":
        return lambda batch: keras.ops.convert_to_numpy(model(batch, training=False))
    import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

    # A patch classifier keeps its own height and width; only what is free in the model may vary.
    signature = [tf.TensorSpec(model.input_shape, tf.float32)]
    traced = tf.function(lambda batch: model(batch, training=False), input_signature=signature)
    return lambda batch: traced(tf.convert_to_tensor(batch)).numpy()


@dataclass(frozen=True)
class Scaled:
    """A picture as the network takes it at one window width.

    Args:
        inputs: float32 [h, w, 1] in 0..1, padded.
        pad: (x, y) pixels added on each side; scale: (x, y), scaled over original size.
        columns, rows: cells of the map over it, 0 where no window of this size fits.
    """

    inputs: np.ndarray
    pad: tuple[int, int]
    scale: tuple[float, float]
    columns: int
    rows: int


def scaled_input(geometry: WindowGeometry, grey: np.ndarray, window_width: float, pad: float) -> Scaled:
    """One picture at the scale at which windows of this width are patches; arguments as `scan`."""
    patch_width, patch_height = geometry.window
    height, width = grey.shape
    size = tuple(max(1, round(side * patch_width / window_width)) for side in (width, height))
    scale = (size[0] / width, size[1] / height)
    scaled = (
        grey
        if size == (width, height)
        else cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale[0] < 1 else cv2.INTER_LINEAR)
    )
    pad_x, pad_y = round(pad * patch_width), round(pad * patch_height)
    padded = cv2.copyMakeBorder(scaled, pad_y, pad_y, pad_x, pad_x, cv2.BORDER_REPLICATE)
    columns, rows = geometry.map_size((padded.shape[1], padded.shape[0]))
    return Scaled(padded[:, :, None].astype(np.float32) / 255, (pad_x, pad_y), scale, columns, rows)


def windows_of(geometry: WindowGeometry, scaled: Scaled) -> np.ndarray:
    """float32 [rows * columns, 4], each cell's window in pixels of the original picture, not clipped."""
    xyxy = (geometry.boxes(scaled.columns, scaled.rows) - np.array(scaled.pad * 2)) / np.tile(scaled.scale, 2)
    return xyxy.astype(np.float32)


def scan(
    network: Network, geometry: WindowGeometry, grey: np.ndarray, window_width: float, pad: float
) -> ConfidenceMap:
    """The confidence map of one picture at one window width.

    Args:
        grey: uint8 [H, W]; window_width: in its pixels; pad: share of the patch by which the border is
            repeated.
    """
    scaled = scaled_input(geometry, grey, window_width, pad)
    if not scaled.columns:
        return ConfidenceMap(np.zeros((0, 0), np.float32), np.zeros((0, 4), np.float32), window_width)
    logits = np.asarray(network(scaled.inputs[None]))[0]
    return ConfidenceMap(logits[..., 1] - logits[..., 0], windows_of(geometry, scaled), window_width)


def cut_out(grey: np.ndarray, windows: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The windows [N, 4] of a picture as patches uint8 [N, H, W] of this (W, H); outside, its edge is
    repeated.
    """
    width, height = size
    out = np.zeros((len(windows), height, width), np.uint8)
    for i, (x1, y1, x2, y2) in enumerate(np.asarray(windows, np.float64).reshape(-1, 4)):
        zoom = np.array([width / (x2 - x1), height / (y2 - y1)])
        source = cv2.GaussianBlur(grey, (0, 0), 0.4 / zoom.min()) if zoom.min() < 0.8 else grey
        # Pixel centres lie at half: the window's corner is the patch's corner.
        offset = 0.5 * zoom - 0.5 - zoom * (x1, y1)
        matrix = np.array([[zoom[0], 0, offset[0]], [0, zoom[1], offset[1]]])
        out[i] = cv2.warpAffine(source, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return out
