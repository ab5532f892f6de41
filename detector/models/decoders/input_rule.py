"""From an image to the network's input and back: stretch or letterbox, colour order, range.

Resizing is OpenCV's bilinear filter (half-pixel centres, on uint8). The letterbox keeps the image's shape:
scaled to fit, its sides rounded to whole pixels, the rest filled with one grey.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from detector.errors import InputError

FITS = {
    "stretch": "stretched to the input's size (bilinear, half-pixel centres)",
    "letterbox": "in its shape, centred, with grey bars (bilinear, half-pixel centres)",
    "letterbox-top-left": "in its shape at the top left, with grey bars (bilinear, half-pixel centres)",
}


@dataclass(frozen=True)
class InputRule:
    """How pixels become the input.

    Args:
        fit: one of `FITS`.
        mean, std: a real input value is (pixel - mean) / std, pixels 0..255; one number, or one per channel
            in RGB order.
        bgr: whether the channels go in as blue, green, red.
        pad: grey of the bars, 0..255.

    Raises:
        InputError: an unknown fit, or a deviation of 0.
    """

    fit: str = "stretch"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (255.0,)
    bgr: bool = False
    pad: int = 114

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise InputError(f"fit: expected one of {', '.join(FITS)}, got {self.fit!r}.")
        if any(s == 0 for s in self.std):
            raise InputError("expected a deviation other than 0 for the input.")

    @cached_property
    def table(self) -> np.ndarray:
        """float32 [256, 3]: the real input value of each pixel value, channels in RGB order."""
        pixels = np.arange(256, dtype=np.float32)[:, None]
        mean, std = np.float32(self.mean), np.float32(self.std)
        return np.broadcast_to((pixels - mean) / std, (256, 3)).astype(np.float32)

    def real(self, pixels: np.ndarray) -> np.ndarray:
        """float32 [H, W, 3] real input values of uint8 or float pixels, channels in the network's order."""
        if pixels.dtype == np.uint8:
            values = cv2.LUT(pixels, self.table[None])
        else:
            values = (pixels - np.float32(self.mean)) / np.float32(self.std)
        return values[..., ::-1] if self.bgr else values

    def words(self) -> str:
        order = "BGR" if self.bgr else "RGB"
        mean, std = _short(self.mean), _short(self.std)
        scaled = f"pixel / {std}" if mean == "0" else f"(pixel - {mean}) / {std}"
        return f"{order}, {'pixels 0..255' if scaled == 'pixel / 1' else scaled}"


@dataclass(frozen=True)
class Placement:
    """Where an image lies in the input: its top left corner and its size there, whole pixels.

    Args: size: (W, H) of the image; left, top, width, height: in pixels of the input.
    """

    size: tuple[int, int]
    left: int
    top: int
    width: int
    height: int

    def to_image(self, xyxy: np.ndarray) -> np.ndarray:
        """float32 [N, 4] from pixels of the input to pixels of the image, not clipped."""
        scale = np.float32([self.size[0] / self.width, self.size[1] / self.height] * 2)
        offset = np.float32([self.left, self.top] * 2)
        return (np.asarray(xyxy, np.float32) - offset) * scale

    def to_input(self, xyxy: np.ndarray) -> np.ndarray:
        """float32 [N, 4] from pixels of the image to pixels of the input."""
        scale = np.float32([self.width / self.size[0], self.height / self.size[1]] * 2)
        offset = np.float32([self.left, self.top] * 2)
        return np.asarray(xyxy, np.float32) * scale + offset


def place(size: tuple[int, int], into: tuple[int, int], fit: str) -> Placement:
    """Where an image of `size` (W, H) lies in an input of `into` (W, H)."""
    if fit == "stretch":
        return Placement(size, 0, 0, *into)
    ratio = min(into[0] / size[0], into[1] / size[1])
    width, height = (max(1, min(n, round(v * ratio))) for n, v in zip(into, size))
    if fit == "letterbox-top-left":
        return Placement(size, 0, 0, width, height)
    return Placement(size, (into[0] - width) // 2, (into[1] - height) // 2, width, height)


def fitted(image: np.ndarray, into: tuple[int, int], rule: InputRule) -> np.ndarray:
    """uint8 [H, W, 3], RGB, of the input's size."""
    at = place((image.shape[1], image.shape[0]), into, rule.fit)
    inner = (at.width, at.height)
    if (image.shape[1], image.shape[0]) != inner:
        image = cv2.resize(np.ascontiguousarray(image), inner, interpolation=cv2.INTER_LINEAR)
    if inner == into:
        return image
    whole = np.full((into[1], into[0], 3), rule.pad, np.uint8)
    whole[at.top : at.top + at.height, at.left : at.left + at.width] = image
    return whole


def _short(values: tuple[float, ...]) -> str:
    if len(set(values)) == 1:
        return f"{values[0]:g}"
    return "[" + ", ".join(f"{v:g}" for v in values) + "]"
