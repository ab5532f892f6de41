"""`python -m tests.detector.ssd.other_backend OUT`: seeded networks' outputs under whatever KERAS_BACKEND
says.
"""

from __future__ import annotations

import sys

import numpy as np

from detector.ssd.config import mobilenet_v2, mobilenet_v2_fpnlite, resnet50_fpn
from detector.ssd.preprocess import preprocess, preprocess_tensor
from tests.detector.ssd.networks import seeded_network

CONFIGS = (
    mobilenet_v2(height=90, width=120),
    mobilenet_v2_fpnlite(height=96, width=128),
    resnet50_fpn(height=64, width=96),
)


def outputs() -> dict[str, np.ndarray]:
    """Full-width networks on a small wide picture: codes, logits, and the graph's own preprocessing."""
    import keras

    picture = np.random.default_rng(4).integers(0, 256, (75, 111, 3), dtype=np.uint8)
    found = {"backend": np.array(keras.backend.backend())}
    for config in CONFIGS:
        image = preprocess(picture, config)[None]
        for key, value in seeded_network(config)(image, training=False).items():
            found[f"{config.architecture}/{key}"] = keras.ops.convert_to_numpy(value)
        found[f"{config.architecture}/preprocessed"] = keras.ops.convert_to_numpy(
            preprocess_tensor(picture[None], config)
        )
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], **outputs())
