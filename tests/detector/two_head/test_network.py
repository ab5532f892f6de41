"""The network's normalisation, its weights by key, and which layers are trained."""

from __future__ import annotations

import numpy as np
import pytest

from detector.two_head.config import TwoHeadConfig
from detector.two_head.network import (
    backbone_weights,
    build_two_head,
    corners,
    make_backbone,
    unfreeze,
    weights_by_key,
)

SMALL = TwoHeadConfig(
    backbone="MobileNet", alpha=0.25, input_size=(64, 32), num_classes=3, box_widths=(8,), box_channels=4
)


def test_corners_come_in_order():
    numbers = np.float32([[0.7, 0.2, 0.3, 0.6], [0.5, 0.5, 0.4, 1.2]])
    assert np.asarray(corners(numbers[:1], "corners")).tolist()[0] == pytest.approx([0.3, 0.2, 0.7, 0.6])
    assert np.asarray(corners(numbers[1:], "centre")).tolist()[0] == pytest.approx([0.3, 0.0, 0.7, 1.0])


@pytest.mark.parametrize("box_format", ["corners", "centre"])
def test_an_untrained_box_is_about_the_middle_half(box_format):
    import dataclasses

    network = build_two_head(dataclasses.replace(SMALL, box_format=box_format))
    network.get_layer("box_numbers").kernel.assign(network.get_layer("box_numbers").kernel * 0)
    out = network.predict_on_batch(np.zeros((1, 32, 64, 3), np.float32))
    assert out["boxes"][0] == pytest.approx([0.25, 0.25, 0.75, 0.75], abs=1e-4)


def test_stages_train_what_they_say():
    network = build_two_head(SMALL)
    # kernel and bias of class logits, box channels, box hidden and box numbers; gamma and beta of the box
    # norm
    heads = 10
    assert unfreeze(network, 0.0, freeze_batchnorm=True) == [] and len(network.trainable_variables) == heads
    some, most = unfreeze(network, 0.2, freeze_batchnorm=True), unfreeze(network, 1.0, freeze_batchnorm=True)
    assert (
        some == most[-len(some) :]
        and 0 < len(some) < len(most)
        and not any(name.endswith("_bn") for name in most)
    )
    assert any(name.endswith("_bn") for name in unfreeze(network, 1.0, freeze_batchnorm=False))


def test_keys_are_the_same_for_every_network_of_a_config():
    one, other = weights_by_key(build_two_head(SMALL)), weights_by_key(build_two_head(SMALL))
    assert {k: tuple(v.shape) for k, v in one.items()} == {
        k: tuple(v.shape) for k, v in other.items()
    } and "box_numbers/kernel" in one


def test_efficientnet_sees_pixels_less_means_over_deviations():
    import keras

    config = TwoHeadConfig(backbone="EfficientNetB0", input_size=(32, 32))
    network = build_two_head(config)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    layer = next(layer for layer in network.layers if isinstance(layer, keras.layers.Normalization))
    seen = keras.Model(network.input, layer.output).predict_on_batch(pixels)
    assert seen == pytest.approx((pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], abs=1e-4)
    learned = [
        v
        for layer in make_backbone(config).layers
        if not isinstance(layer, keras.layers.Normalization)
        for v in layer.weights
    ]
    assert [tuple(v.shape) for v in backbone_weights(network)] == [tuple(v.shape) for v in learned]
