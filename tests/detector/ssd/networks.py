"""Networks with seeded weights, and how far their numbers lie from the reference's."""

from __future__ import annotations

import functools
from contextlib import contextmanager

import numpy as np

from detector.ssd.config import SSDConfig
from detector.ssd.preprocess import preprocess
from tests.detector.ssd import seeded
from tests.golden.ssd_strides import feature_values

TOLERANCE = 1e-3


@functools.cache
def _weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    return seeded.weight(key, shape)


def seeded_network(config: SSDConfig):
    """A fresh network whose every weight follows the rule."""
    from detector.ssd.layers import checkpoint_variables
    from detector.ssd.model import build_ssd

    network = build_ssd(config)
    for key, variable in checkpoint_variables(network).items():
        variable.assign(_weight(key, tuple(variable.shape)))
    return network


@contextmanager
def no_cache():
    """Forget the weights afterwards: a ResNet's are 130 MB."""
    yield
    _weight.cache_clear()


def answers(network, config: SSDConfig, picture: str) -> dict[str, np.ndarray]:
    """Preprocessed image, feature maps, codes and logits of one of the three pictures, without batch axis."""
    import keras

    from detector.ssd.model import with_features

    image = preprocess(seeded.pictures(config.height)[picture], config)
    out = with_features(network)(image[None], training=False)
    return {"image": image, **{key: keras.ops.convert_to_numpy(value)[0] for key, value in out.items()}}


def differences(config: SSDConfig, picture: str, got: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest difference from the carried numbers, by what it is about."""
    golden = {
        key.split("/", 1)[1]: value
        for key, value in seeded.golden(config.architecture).items()
        if key.startswith(f"{picture}/")
    }
    stride = max(1, config.height // 32)
    out = {"preprocessed": _gap(got["image"][::stride, ::stride][::5, ::5], golden["preprocessed"])}
    for key in (key for key in golden if key.startswith("feat")):
        out[key] = _gap(feature_values(got[f"feature_map_{key.removeprefix('feat')}"]), golden[key])
    out["box_encodings"] = _gap(got["box_encodings"][golden["box_encodings_rows"]], golden["box_encodings"])
    out["class_logits"] = _gap(
        got["class_logits"][golden["class_logits_rows"]][:, ::9], golden["class_logits"]
    )
    return out


def _gap(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max()) if a.shape == b.shape else float("inf")
