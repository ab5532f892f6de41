"""The inputs of the reference's golden numbers, drawn again from their rule: weights, pictures, predictions.

The rule is part of the provenance (`tests/golden/collect_ssd.py`): a tensor's key seeds its values.
"""

from __future__ import annotations

import functools
import zlib
from pathlib import Path

import numpy as np

from tests.golden import ssd_strides

GOLDEN = Path(ssd_strides.__file__).parent
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


@functools.cache
def golden(architecture: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{architecture}.npz") as stored:
        return {name: stored[name] for name in stored.files}


def weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """One tensor: float64 normals by the key's CRC, scaled by what the tensor is, cast to float32."""
    n = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(size=tuple(shape))
    leaf = key.removesuffix(SUFFIX).rsplit("/", 1)[-1]
    head = "/_prediction_heads/" in key or "/_box_prediction_head/" in key
    if leaf in ("kernel", "pointwise_kernel"):
        n = n * np.sqrt(2.0 / np.prod(shape[:3]))
        n = n / 64.0 if tuple(shape) == (7, 7, 3, 64) else n
        n = n * 0.25 if head else n
    elif leaf == "depthwise_kernel":
        n = n * np.sqrt(2.0 / (shape[0] * shape[1]))
    elif leaf == "gamma":
        n = 1.0 + 0.1 * n
    elif leaf in ("beta", "moving_mean"):
        n = 0.1 * n
    elif leaf == "moving_variance":
        n = 0.75 + 0.5 / (1.0 + n * n)
    elif leaf == "bias":
        n = 0.1 * n - (4.0 if head and "class_predictions_with_background" in key else 0.0)
    else:
        raise ValueError(f"no rule for {key}")
    return n.astype(np.float32)


def pictures(side: int) -> dict[str, np.ndarray]:
    """noise of the input's size, noise of 333x417, and drawn shapes of 480x640; RGB uint8."""
    h, w = 480, 640
    y, x = np.mgrid[0:h, 0:w]
    ramp = (x + 2 * y) % 512
    drawn = np.stack([(y * 255) // (h - 1), (x * 255) // (w - 1), np.where(ramp < 256, ramp, 511 - ramp)], -1)
    for cy, cx, r, colour in (
        (120, 160, 60, (250, 30, 40)),
        (300, 420, 110, (20, 200, 60)),
        (380, 120, 50, (30, 60, 240)),
        (90, 520, 30, (240, 240, 20)),
    ):
        drawn[(y - cy) ** 2 + (x - cx) ** 2 <= r * r] = colour
    drawn[200:260, 40:300] = 10
    drawn[40:200, 330:370] = 245
    return {
        "noise_native": np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8),
        "noise_odd": np.random.default_rng(1).integers(0, 256, (333, 417, 3), dtype=np.uint8),
        "smooth": drawn.astype(np.uint8),
    }


def predictions(count: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(box encodings [count, 4], class logits [count, 91]) that test post-processing without a network."""
    rng = np.random.default_rng(11 if kind == "dense" else 13)
    codes = rng.standard_normal((count, 4)).astype(np.float32)
    if kind == "dense":
        return codes, (rng.standard_normal((count, 91)) * 1.5 - 5.0).astype(np.float32)
    logits = np.full((count, 91), -40.0, np.float32)
    rows = np.linspace(5, count - 7, 12).astype(int)
    logits[rows, (np.arange(12) * 7) % 90 + 1] = np.linspace(3.0, -3.0, 12).astype(np.float32)
    logits[rows[3], 1] = -18.5  # just under the threshold 1e-8
    logits[rows[4], 2] = -18.3  # just above it
    codes[rows[0]] = [-40.0, -40.0, -20.0, -20.0]  # a box outside the image
    logits[:, 0] = 8.0  # background says nothing
    return codes, logits
