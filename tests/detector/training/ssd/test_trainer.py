"""Keras' own `compile` and `fit` on the SSD losses, in float32 and in mixed precision."""

from __future__ import annotations

import numpy as np
import pytest

from detector.ssd.anchors import anchors
from detector.ssd.config import BatchNorm, mobilenet_v2
from detector.ssd.preprocess import preprocess
from detector.training.common.batches import TrainingBatches, as_py_dataset
from tests.detector.ssd.drawn import drawn_dataset

NORM = BatchNorm(decay=0.9)
CONFIG = mobilenet_v2(
    num_classes=3,
    height=64,
    width=96,
    alpha=0.25,
    l2=0.0,
    predictor_l2=0.0,
    batch_norm=NORM,
    predictor_batch_norm=NORM,
)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_fit_learns(policy):
    import keras

    from detector.ssd.model import build_ssd
    from detector.training.common.schedules import CosineSchedule
    from detector.training.ssd.optimizer import make_optimizer
    from detector.training.ssd.trainer import LOSS_PARTS, SSDTrainer, precision

    batches = TrainingBatches(
        drawn_dataset(),
        anchors=anchors(CONFIG).boxes,
        preprocess=lambda image: preprocess(image, CONFIG),
        num_classes=3,
        batch_size=2,
    )
    keras.utils.set_random_seed(4)
    with precision(policy):
        model = SSDTrainer(build_ssd(CONFIG), alpha=0.75)
        model.compile(make_optimizer(CosineSchedule(0.03, 12, 0.01, 2)))
    said = model.fit(as_py_dataset(batches), epochs=6, verbose=0).history

    loss = np.array(said["loss"])
    assert len(loss) == 6 and np.isfinite(loss).all() and loss[-1] < 0.7 * loss[0], loss
    # The total is a mean over the epoch, as its parts are.
    np.testing.assert_allclose(sum(np.array(said[part]) for part in LOSS_PARTS), loss, rtol=1e-4)
    assert int(model.optimizer.iterations) == 6 * 2
    assert {keras.backend.standardize_dtype(v.dtype) for v in model.trainable_variables} == {"float32"}
    computed = {
        layer.compute_dtype for layer in model.network.layers if isinstance(layer, keras.layers.Conv2D)
    }
    assert computed == {"float32" if policy == "float32" else "bfloat16"}
    assert keras.config.dtype_policy().name == "float32"  # what was set for the building is undone
