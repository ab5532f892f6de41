"""Image to network input: normalise the pixels, then resize by TF1's legacy bilinear rule.

The reference stretches the whole image to the input size (no aspect ratio kept, no padding) with
`align_corners=False, half_pixel_centers=False`: output pixel i samples input position i * in / out. Today's
`tf.image.resize`, `keras.ops.image.resize`, Pillow and OpenCV sample at pixel centres, which moves the logits
of an SSD by whole units.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detector.ssd.config import SSDConfig

# RGB means subtracted in the ResNet (VGG's; no scaling, no change to BGR).
CHANNEL_MEANS = (123.68, 116.779, 103.939)


def subtracts_means(config: SSDConfig) -> bool:
    """True where pixels lose their channel means (ResNet), False where 0..255 becomes -1..1 (MobileNets)."""
    return config.architecture == "ssd_resnet50_v1_fpn"


def normalise(pixels: np.ndarray, config: SSDConfig) -> np.ndarray:
    """Pixels 0..255 [..., width, 3] RGB to float32 of the same shape, in the network's range."""
    return _normalise_rows(pixels.reshape(*pixels.shape[:-2], -1), config).reshape(pixels.shape)


def _normalise_rows(rows: np.ndarray, config: SSDConfig) -> np.ndarray:
    """The same for pixels laid out as rows [..., width * 3]: long inner loops are several times faster in
    numpy.
    """
    x = rows.astype(np.float32)
    if subtracts_means(config):
        x -= np.tile(np.float32(CHANNEL_MEANS), x.shape[-1] // 3)
    else:
        x *= np.float32(2 / 255)
        x -= np.float32(1)
    return x


def sample_points(size_in: int, size_out: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each output pixel samples one axis: (lower index, upper index, float32 weight of the upper)."""
    scale = np.float32(size_in) / np.float32(size_out)
    position = np.arange(size_out, dtype=np.float32) * scale
    low = np.minimum(np.floor(position).astype(np.int64), size_in - 1)
    return low, np.minimum(low + 1, size_in - 1), position - low.astype(np.float32)


def preprocess(image: np.ndarray, config: SSDConfig) -> np.ndarray:
    """One image to one network input, bit-equal to the reference.

    Args:
        image: RGB [H, W, 3], uint8 or float 0..255, any size of at least one pixel.

    Returns:
        float32 [config.height, config.width, 3].
    """
    return _stretched(image, config.width, config.height, lambda rows: _normalise_rows(rows, config))


def stretch(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The same resize alone: RGB [H, W, 3] to float32 [height, width, 3] of pixels 0..255, not rounded; size
    is (W, H).
    """
    return _stretched(image, *size, lambda rows: rows.astype(np.float32))


def _stretched(
    image: np.ndarray, width: int, height: int, finish: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """`finish` takes rows [n, width * 3] of sampled pixels to a fresh float32 array; it is per pixel, so it
    commutes with the choice.
    """
    if image.shape[:2] == (height, width):
        return finish(image.reshape(height, -1)).reshape(height, width, 3)
    top, bottom, fy = sample_points(image.shape[0], height)
    left, right, fx = sample_points(image.shape[1], width)
    # Along x only on the rows that are sampled.
    rows, place = np.unique(np.concatenate([top, bottom]), return_inverse=True)
    source = (image if len(rows) == image.shape[0] else image[rows]).reshape(len(rows), -1)
    left, right = ((3 * at[:, None] + np.arange(3)).reshape(-1) for at in (left, right))
    x = finish(np.take(source, left, axis=1))
    step = finish(np.take(source, right, axis=1))
    step -= x
    step *= np.repeat(fx, 3)
    x += step
    out, step = x[place[:height]], x[place[height:]]
    step -= out
    step *= fy[:, None]
    out += step
    return out.reshape(height, width, 3)


def preprocess_tensor(images, config: SSDConfig):
    """The same for a batch of equally large images, in `keras.ops`, for use inside a graph.

    Args:
        images: tensor [B, H, W, 3], any number type, 0..255; H and W known.

    Returns:
        float32 tensor [B, config.height, config.width, 3].
    """
    from keras import ops  # noqa: PLC0415  Keras costs seconds

    x = ops.cast(images, "float32")
    if subtracts_means(config):
        x = x - ops.convert_to_tensor(np.float32(CHANNEL_MEANS))
    else:
        x = x * np.float32(2 / 255) - np.float32(1)
    for axis, size in ((2, config.width), (1, config.height)):
        low, high, weight = sample_points(x.shape[axis], size)
        first, second = ops.take(x, low, axis=axis), ops.take(x, high, axis=axis)
        shape = [1, 1, 1, 1]
        shape[axis] = size
        x = first + (second - first) * ops.reshape(ops.convert_to_tensor(weight), shape)
    return x
