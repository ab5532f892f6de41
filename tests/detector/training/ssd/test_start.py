"""What each fine-tune type takes from another detector, and ImageNet backbones into ours."""

import tarfile

import numpy as np
import pytest

from detector.errors import ConfigError, ModelError
from detector.ssd.config import BatchNorm, mobilenet_v2, mobilenet_v2_fpnlite, resnet50_fpn

SMALL = {"num_classes": 3, "height": 64, "width": 64, "alpha": 0.35}


def network(config, seed):
    import keras

    from detector.ssd.model import build_ssd

    keras.utils.set_random_seed(seed)
    return build_ssd(config)


def groups(config) -> dict[str, int]:
    """How many weights lie in each part."""
    from detector.ssd.weights import network_arrays

    parts = {
        "backbone": "/classification_backbone/",
        "class head": "/_prediction_heads/class_",
        "box predictor": "/_box_predictor/",
    }
    counts = dict.fromkeys((*parts, "neck"), 0)
    for key in network_arrays(network(config, 0)):
        counts[next((part for part, text in parts.items() if text in key), "neck")] += 1
    return counts


def test_each_fine_tune_type_takes_its_part(tmp_path):
    from detector.ssd.weights import network_arrays, save_arrays
    from detector.training.ssd.start import RESTORED, start_from

    config, count = mobilenet_v2_fpnlite(**SMALL), groups(mobilenet_v2_fpnlite(**SMALL))
    donor = {key: value + 1 for key, value in network_arrays(network(config, 1)).items()}
    save_arrays(tmp_path / "weights.npz", donor)
    taken = {}
    for kind in RESTORED:
        fresh = network(config, 2)
        before = network_arrays(fresh)
        start = start_from(fresh, config, str(tmp_path), kind)
        after = network_arrays(fresh)
        taken[kind] = {key for key in after if np.array_equal(after[key], donor[key])}
        kept = {key for key in after if np.array_equal(after[key], before[key])}
        assert (
            not taken[kind] & kept
            and len(taken[kind]) + len(kept) == len(after) == start.restored + start.fresh
        )
        assert start.restored == len(taken[kind])
    assert len(taken["classification"]) == count["backbone"] == 52 * 5
    assert len(taken["detection"]) == count["backbone"] + count["neck"]
    assert len(taken["few_shot"]) == sum(count.values()) - count["class head"]
    assert len(taken["full"]) == sum(count.values()) == 384
    assert count["class head"] == 3  # depthwise and pointwise kernel, bias


def test_a_detector_of_other_classes_gives_everything_but_its_class_head(tmp_path):
    from detector.ssd.weights import network_arrays, save_arrays
    from detector.training.ssd.start import start_from

    config, wider = mobilenet_v2(**SMALL), mobilenet_v2(**(SMALL | {"num_classes": 5}))
    save_arrays(tmp_path / "weights.npz", network_arrays(network(wider, 1)))
    assert (
        start_from(network(config, 0), config, str(tmp_path), "few_shot").fresh == 12
    )  # six maps, kernel and bias
    kept = network(config, 0)
    before = network_arrays(kept)
    with pytest.raises(
        ModelError, match=r"class_predictions_with_background.* of shape \[.*12\], the weights have \[.*18\]"
    ):
        start_from(kept, config, str(tmp_path), "full")
    assert all(np.array_equal(before[k], v) for k, v in network_arrays(kept).items())


def test_a_detector_of_another_architecture_is_refused(tmp_path):
    from detector.ssd.weights import network_arrays, save_arrays
    from detector.training.ssd.start import start_from

    save_arrays(tmp_path / "weights.npz", network_arrays(network(mobilenet_v2(**SMALL), 1)))
    config = mobilenet_v2_fpnlite(**SMALL)
    with pytest.raises(ModelError, match="expected the weights to hold .*_fpn_features_generator"):
        start_from(network(config, 0), config, str(tmp_path), "detection")


def test_a_zoo_checkpoint(shared):
    from detector.training.ssd.start import start_from

    name = "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8"
    config = mobilenet_v2_fpnlite(num_classes=2, height=64, width=64)
    for source in (shared / "golden" / name, shared / "golden" / name / "checkpoint" / "ckpt-0"):
        start = start_from(network(config, 0), config, str(source), "few_shot")
        assert (start.restored, start.fresh) == (381, 3)


def archived(folder, archive):
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, arcname=folder.name)
    return archive


def test_an_archive_is_unpacked_and_a_classifier_s_checkpoint_gives_the_backbone(tmp_path):
    from detector.training.ssd.start import BACKBONE, CLASSIFIER, read_detector_weights
    from tests.detector.ssd.bundle import write_bundle

    suffix, value = "/.ATTRIBUTES/VARIABLE_VALUE", np.arange(6, dtype=np.float32).reshape(2, 3)
    kernel = "layer_with_weights-0/kernel" + suffix
    write_bundle(
        tmp_path / "zoo" / "checkpoint" / "ckpt-0",
        {BACKBONE + kernel: value, "save_counter" + suffix: np.int64(1)},
    )
    write_bundle(
        tmp_path / "classifier" / "ckpt-1", {CLASSIFIER + kernel: value + 1, "other/" + kernel: value}
    )
    for source, want in (
        (archived(tmp_path / "zoo", tmp_path / "zoo.tar.gz"), value),
        (tmp_path / "zoo", value),
        (tmp_path / "classifier" / "ckpt-1", value + 1),
    ):
        read = read_detector_weights(source)
        assert list(read) == [BACKBONE + kernel] and np.array_equal(read[BACKBONE + kernel], want)


def test_archives_that_are_refused(tmp_path):
    from detector.training.ssd.start import read_detector_weights

    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme").write_text("nothing")
    with pytest.raises(ModelError, match="expected one network with checkpoint/ckpt-.*found 0"):
        read_detector_weights(archived(tmp_path / "empty", tmp_path / "empty.tar.gz"))
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as file:
        file.add(tmp_path / "empty" / "readme", arcname="../outside")
    with pytest.raises(ModelError, match="outside its folder"):
        read_detector_weights(tmp_path / "evil.tar.gz")


def test_refusals(tmp_path):
    from detector.training.ssd.start import start_from

    config = mobilenet_v2(**SMALL)
    net = network(config, 0)
    with pytest.raises(ConfigError, match="expected one of classification"):
        start_from(net, config, "none", "all")
    with pytest.raises(ModelError, match="expected a TensorFlow checkpoint"):
        start_from(net, config, str(tmp_path), "detection")
    (tmp_path / "weights.npz").write_bytes(b"PK nonsense")
    with pytest.raises(ModelError, match="expected a file of weights"):
        start_from(net, config, str(tmp_path), "detection")


def test_a_keras_mobilenet_gives_the_same_features(tmp_path):
    """Our backbone with its weights says what it says (same epsilon, same padding)."""
    import keras

    from detector.training.ssd.start import start_from

    config = mobilenet_v2(num_classes=3, height=64, width=96)
    keras.utils.set_random_seed(3)
    application = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 96, 3))
    randomise(application)
    application.save_weights(tmp_path / "backbone.weights.h5")
    net = network(config, 0)
    start = start_from(net, config, str(tmp_path / "backbone.weights.h5"), "detection")
    assert start.restored == 260
    x = np.random.default_rng(0).uniform(-1, 1, (1, 64, 96, 3)).astype(np.float32)
    inside = keras.Model(net.input, net.get_layer("feature_map_1").output)
    np.testing.assert_allclose(np.array(inside(x)), np.array(application(x)), atol=2e-4)


def randomise(application) -> None:
    """Batch statistics away from 0 and 1, and non-zero biases, so that a mix-up shows."""
    rng = np.random.default_rng(5)
    for v in application.weights:
        if v.name in ("gamma", "moving_variance"):
            v.assign(rng.uniform(0.5, 1.5, v.shape))
        elif v.name in ("beta", "moving_mean", "bias"):
            v.assign(rng.uniform(-0.2, 0.2, v.shape))


def test_a_keras_resnet_is_folded_into_ours():
    """Biases, epsilon and BGR are moved into the weights. Compared behind the first batch norm, before any
    ReLU could differ: everything beyond is the same arithmetic with ReLU6."""
    import keras

    from detector.ssd.weights import assign_arrays
    from detector.training.ssd.start import from_keras_backbone

    config = resnet50_fpn(num_classes=3, height=64, width=96, batch_norm=BatchNorm())
    application = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(64, 96, 3))
    randomise(application)
    net = network(config, 0)
    arrays = from_keras_backbone(application, config)
    assert len(assign_arrays(net, arrays, arrays)) + len(arrays) == 463
    x = np.random.default_rng(0).uniform(-1, 1, (1, 64, 96, 3)).astype(np.float32)
    for ours, theirs in (("backbone_1", "conv1_bn"),):
        got = keras.Model(net.input, net.get_layer(ours).output)(x)
        want = keras.Model(application.input, application.get_layer(theirs).output)(x[..., ::-1])
        np.testing.assert_allclose(np.array(got), np.array(want), atol=1e-4)
    # deeper: one block's shortcut and main path on the same input
    rng = np.random.default_rng(1)
    for conv, norm, their_conv, their_norm in (
        (6, 8, "conv2_block1_0_conv", "conv2_block1_0_bn"),
        (2, 3, "conv2_block1_1_conv", "conv2_block1_1_bn"),
        (26, 28, "conv3_block1_0_conv", "conv3_block1_0_bn"),
        (104, 105, "conv5_block3_3_conv", "conv5_block3_3_bn"),
    ):
        channels = application.get_layer(their_conv).kernel.shape[2]
        y = rng.normal(size=(1, 4, 6, channels)).astype(np.float32)
        got = net.get_layer(f"backbone_{norm}")(net.get_layer(f"backbone_{conv}")(y))
        want = application.get_layer(their_norm)(application.get_layer(their_conv)(y))
        np.testing.assert_allclose(np.array(got), np.array(want), atol=1e-4)
