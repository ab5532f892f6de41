"""Between a picture and the network's input: a window of the picture, resized; and boxes through the same
mapping.

A `Frame` is the part of a picture (or more than it) that fills the input. One resampling takes the pixels,
one linear map the boxes, so they cannot drift apart. Without augmentation the pixels are those of OpenCV's
bilinear resize, which is what the TFLite adapter and phone apps do.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

GREY = 114  # what lies outside a picture: letterbox bars, and the margin of a zoom


@dataclass(frozen=True)
class Frame:
    """A window [x1, y1, x2, y2] in pixels of a picture that fills an input of (width, height)."""

    window: tuple[float, float, float, float]
    size: tuple[int, int]

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """The input's pixels, uint8 [height, width, 3], of an RGB uint8 picture."""
        x1, y1, x2, y2 = self.window
        height, width = image.shape[:2]
        image = np.ascontiguousarray(image)
        if (x1, y1, x2, y2) == (0, 0, width, height):
            return (
                image
                if (width, height) == self.size
                else cv2.resize(image, self.size, interpolation=cv2.INTER_LINEAR)
            )
        # Pixel centres: input column i lies at x1 + (i + 0.5) / scale - 0.5 in the picture.
        sx, sy = (x2 - x1) / self.size[0], (y2 - y1) / self.size[1]
        back = np.array([[sx, 0, x1 + 0.5 * sx - 0.5], [0, sy, y1 + 0.5 * sy - 0.5]], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(
            image, back, self.size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=(GREY,) * 3
        )

    def to_input(self, xyxy: np.ndarray) -> np.ndarray:
        """Boxes float [..., 4] in pixels of the picture as shares of the input, not clipped."""
        x1, y1, x2, y2 = self.window
        return (np.asarray(xyxy, np.float64) - (x1, y1, x1, y1)) / (x2 - x1, y2 - y1, x2 - x1, y2 - y1)

    def to_picture(self, shares: np.ndarray) -> np.ndarray:
        """The inverse of `to_input`."""
        x1, y1, x2, y2 = self.window
        return np.asarray(shares, np.float64) * (x2 - x1, y2 - y1, x2 - x1, y2 - y1) + (x1, y1, x1, y1)


def whole(image_size: tuple[int, int], size: tuple[int, int], resize: str) -> Frame:
    """The frame of a whole picture of (W, H): stretched, or in its shape with grey bars on both sides
    ("letterbox").
    """
    width, height = image_size
    return Frame(
        fitted((0, 0, width, height), size) if resize == "letterbox" else (0, 0, width, height), size
    )


def fitted(
    window: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """A window grown about its centre to the shape of an input of (width, height)."""
    x1, y1, x2, y2 = window
    wide, tall = x2 - x1, y2 - y1
    grown_w, grown_h = max(wide, tall * size[0] / size[1]), max(tall, wide * size[1] / size[0])
    x, y = (grown_w - wide) / 2, (grown_h - tall) / 2
    return (x1 - x, y1 - y, x2 + x, y2 + y) if x > 1e-6 or y > 1e-6 else window
