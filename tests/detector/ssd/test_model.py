from __future__ import annotations

import numpy as np
import pytest

from detector.ssd.anchors import anchors
from detector.ssd.config import PRESETS, BatchNorm, mobilenet_v2, mobilenet_v2_fpnlite, resnet50_fpn
from detector.ssd.layers import checkpoint_prefix, checkpoint_variables
from detector.ssd.model import build_ssd, feature_maps, split_at_features, with_features
from detector.ssd.zoo.restore import zoo_records

SMALL = [
    mobilenet_v2(height=70, width=100, alpha=0.25, num_classes=2),
    mobilenet_v2_fpnlite(height=64, width=96, alpha=0.25, num_classes=2, predictor_depth=16),
    resnet50_fpn(height=64, width=96, alpha=0.125, num_classes=2, depth=64, predictor_depth=16),
]


def numpy(tensor) -> np.ndarray:
    import keras

    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize(
    ("name", "entries", "parameters", "l2_terms"),
    zip(PRESETS, (324, 384, 463), (6_103_999, 2_667_002, 32_916_218), (72, 63, 70)),
)
def test_it_holds_exactly_the_variables_of_the_published_checkpoint(name, entries, parameters, l2_terms):
    network = build_ssd(PRESETS[name]())
    keys = checkpoint_variables(network)
    assert set(keys) == set(zoo_records()[name].masked_crcs) and len(keys) == entries
    assert len({id(v) for v in keys.values()}) == len(network.weights) == entries, (
        "every weight has a key of its own"
    )
    assert network.count_params() == parameters
    assert len(network.losses) == l2_terms


@pytest.mark.parametrize("name", PRESETS)
def test_shapes_are_the_reference_s(shared, name):
    import json

    manifest = json.loads((shared / "golden" / name / "manifest.json").read_text())
    want = {e["key"]: e["shape"] for e in manifest["variables"] if e["key"].startswith("model/")}
    assert {key: list(v.shape) for key, v in checkpoint_variables(build_ssd(PRESETS[name]())).items()} == want


@pytest.mark.parametrize("config", SMALL, ids=lambda c: c.architecture)
def test_outputs_have_a_row_an_anchor_and_maps_have_their_grids(config):
    network = with_features(build_ssd(config))
    image = np.random.default_rng(0).standard_normal((2, config.height, config.width, 3)).astype(np.float32)
    out = {key: numpy(value) for key, value in network(image, training=False).items()}
    assert out["box_encodings"].shape == (2, len(anchors(config)), 4)
    assert out["class_logits"].shape == (2, len(anchors(config)), 3)
    maps = [out[f"feature_map_{i}"].shape[1:3] for i in range(len(config.grids()))]
    assert maps == config.grids()


def test_fresh_class_outputs_start_at_the_bias():
    """Kernels of 0.01 on 0..6 inputs leave the logits near -4.6, every class at 1 percent."""
    config = SMALL[1]
    out = build_ssd(config)(np.zeros((1, 64, 96, 3), np.float32), training=False)
    assert numpy(out["class_logits"]) == pytest.approx(np.full((1, len(anchors(config)), 3), -4.6), abs=0.3)


def test_the_halves_are_the_whole():
    config = SMALL[1]
    network = build_ssd(config)
    first, second = split_at_features(network)
    image = np.random.default_rng(1).standard_normal((1, 64, 96, 3)).astype(np.float32)
    whole, parts = network(image, training=False), second(first(image, training=False), training=False)
    for key in whole:
        assert np.array_equal(numpy(whole[key]), numpy(parts[key]))
    assert list(feature_maps(network)) == [f"feature_map_{i}" for i in range(5)]


def test_a_layer_name_says_where_its_weights_lie():
    root = "model/_feature_extractor"
    assert checkpoint_prefix("backbone_17") == f"{root}/classification_backbone/layer_with_weights-17"
    assert checkpoint_prefix("fpn_smooth_1_0") == f"{root}/_fpn_features_generator/conv_layers/1/0"
    shared = checkpoint_prefix("shared_tower_norm_4_10")
    assert (
        shared
        == checkpoint_prefix("box_tower_norm_4_10")
        == "model/_box_predictor/_base_tower_layers_for_heads/box_encodings/4/10"
    )
    assert checkpoint_prefix("feature_map_0") is None and checkpoint_prefix("backbone_") is None


def test_doubling_repeats_each_pixel_two_by_two():
    from detector.ssd.layers import NearestDouble

    maps = np.arange(2 * 2 * 3 * 2, dtype=np.float32).reshape(2, 2, 3, 2)
    assert np.array_equal(numpy(NearestDouble()(maps)), maps.repeat(2, axis=1).repeat(2, axis=2))


def test_frozen_batch_norms_keep_their_statistics_but_learn():
    config = mobilenet_v2(height=40, width=60, alpha=0.25, num_classes=1, batch_norm=BatchNorm(decay=0.5))
    image = np.random.default_rng(2).standard_normal((2, 40, 60, 3)).astype(np.float32)
    moved = {}
    for frozen in (False, True):
        network = build_ssd(config.with_(freeze_batchnorm=frozen))
        norm = network.get_layer("backbone_1")
        before = numpy(norm.moving_mean).copy()
        trained, inferred = network(image, training=True), network(image, training=False)
        moved[frozen] = not np.array_equal(before, numpy(norm.moving_mean))
        same = np.allclose(numpy(trained["box_encodings"]), numpy(inferred["box_encodings"]), atol=1e-6)
        assert same == frozen
        assert {v.name for v in norm.trainable_weights} == {"gamma", "beta"}
    assert moved == {False: True, True: False}


def test_outputs_stay_float32_under_mixed_precision():
    import keras

    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = build_ssd(SMALL[1])
    finally:
        keras.config.set_dtype_policy("float32")
    out = network(np.zeros((1, 64, 96, 3), np.float32), training=False)
    assert network.get_layer("fpn_top_0").compute_dtype == "float16"
    assert all(numpy(value).dtype == np.float32 for value in out.values())


def test_a_saved_network_comes_back(tmp_path):
    import keras

    network = build_ssd(SMALL[1].with_(freeze_batchnorm=True))
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    image = np.random.default_rng(3).standard_normal((1, 64, 96, 3)).astype(np.float32)
    for key, value in network(image, training=False).items():
        assert np.array_equal(numpy(value), numpy(again(image, training=False)[key]))
    assert set(checkpoint_variables(again)) == set(checkpoint_variables(network))


def test_a_narrow_network_is_smaller():
    assert (
        build_ssd(mobilenet_v2_fpnlite(alpha=0.25, num_classes=3, predictor_depth=32)).count_params()
        < 250_000
    )
