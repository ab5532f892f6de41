"""Raw outputs, feature maps and detections of the three networks against the reference implementation.

Weights and pictures follow a rule, so that only the reference's answers are carried (`tests/golden`). The
deliberate errors show that the comparison can fail: each is small in the code and leaves shapes, keys and
often detections alone.
"""

from __future__ import annotations

import numpy as np
import pytest

from detector.ssd import backbones, heads, layers, necks
from detector.ssd import preprocess as preprocessing
from detector.ssd.anchors import anchors
from detector.ssd.coder import BoxCoder
from detector.ssd.config import BatchNorm, mobilenet_v2, mobilenet_v2_fpnlite, resnet50_fpn
from detector.ssd.postprocess import postprocess
from tests.detector.ssd.networks import TOLERANCE, answers, differences, no_cache, seeded_network
from tests.detector.ssd.seeded import golden, pictures
from tests.golden.ssd_strides import PICTURES

MAKERS = [
    pytest.param(mobilenet_v2, id="mobilenet_v2"),
    pytest.param(mobilenet_v2_fpnlite, id="fpnlite"),
    pytest.param(resnet50_fpn, id="resnet50_fpn", marks=pytest.mark.slow),
]


def assert_detections(config, picture: str, got: dict[str, np.ndarray]) -> None:
    """The same (anchor, class) pairs but for two swaps, scores to 2e-5, boxes to 1e-5 where a pair is in
    both.
    """
    want = golden(config.architecture)
    trace = postprocess(got["box_encodings"], got["class_logits"], anchors(config).boxes, config.postprocess)
    rows = trace.kept()
    mine = list(zip(trace.anchor_ids[rows].tolist(), trace.class_ids[rows].tolist()))
    theirs = [tuple(pair) for pair in want[f"{picture}/detections"].tolist()]
    assert len(mine) == len(theirs) and len(set(mine) ^ set(theirs)) <= 4
    place = {pair: i for i, pair in enumerate(theirs)}
    both = [(i, place[pair]) for i, pair in enumerate(mine) if pair in place]
    a, b = np.array(both).T
    assert np.abs(trace.scores[rows][a] - want[f"{picture}/detection_scores"][b]).max() < 2e-5
    assert np.abs(np.clip(trace.boxes[rows], 0, 1)[a] - want[f"{picture}/detection_boxes"][b]).max() < 1e-5


@pytest.mark.parametrize("make", MAKERS)
def test_outputs_features_and_detections(make):
    config = make()
    with no_cache():
        network = seeded_network(config)
        for picture in PICTURES:
            got = answers(network, config, picture)
            apart = differences(config, picture, got)
            assert max(apart.values()) < TOLERANCE, (picture, apart)
            assert_detections(config, picture, got)


@pytest.mark.parametrize("make", MAKERS)
def test_every_golden_number(shared, make):
    """The full reference, not the thinned one."""
    config = make()
    folder = shared / "golden" / config.name
    with no_cache():
        network = seeded_network(config)
        for picture in PICTURES:
            want, got = np.load(folder / f"golden_{picture}.npz"), answers(network, config, picture)
            for key, rows in (("box_encodings", "anchor_idx"), ("class_logits", "class_logits_idx")):
                assert np.abs(got[key][want[rows]] - want[key]).max() < TOLERANCE, (picture, key)
            for i in range(len(config.grids())):
                feature = got[f"feature_map_{i}"]
                h, w, c = feature.shape
                slices = feature[:: max(1, h // 5), :: max(1, w // 5), :: max(1, c // 64)]
                assert np.abs(slices - want[f"feat{i}_slice"]).max() < TOLERANCE, (picture, i)
            decoded = BoxCoder().decode(got["box_encodings"], anchors(config).boxes)[want["anchor_idx"]]
            assert np.abs(decoded - want["raw_detection_boxes"]).max() < 1e-3


def _half_pixel(size_in, size_out):
    position = np.clip((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0, size_in - 1)
    low = np.floor(position).astype(np.int64)
    return low, np.minimum(low + 1, size_in - 1), (position - low).astype(np.float32)


def _relu(x, name=None):
    import keras

    return keras.layers.ReLU(name=name)(x)


def _double_smoothly(x):
    import keras

    return keras.layers.UpSampling2D(2, interpolation="bilinear")(x)


def _same_conv1(monkeypatch):
    import keras

    monkeypatch.setattr(keras.layers, "ZeroPadding2D", lambda _: lambda x: x)
    real = layers.Blocks.conv
    monkeypatch.setattr(
        layers.Blocks, "conv", lambda self, x, *a, padding="same", **k: real(self, x, *a, **k)
    )


def _symmetric_pool(monkeypatch):
    import keras

    real = keras.layers.MaxPooling2D
    pad = keras.layers.ZeroPadding2D
    monkeypatch.setattr(keras.layers, "MaxPooling2D", lambda *_: lambda x: real(3, 2, "valid")(pad(1)(x)))


def _swap_where_shapes_allow(monkeypatch):
    """Only in the first stage's first block do both have the same shape, so only there does a swap load."""
    real = backbones._bottleneck

    def swapped(x, blocks, n, *rest):
        with monkeypatch.context() as m:
            if n == 2:
                m.setattr(backbones, "FIRST_BLOCK", {**backbones.FIRST_BLOCK, "0_conv": 5, "3_conv": 4})
            return real(x, blocks, n, *rest)

    monkeypatch.setattr(backbones, "_bottleneck", swapped)


# What is done wrong, on which network, and at least how far the raw outputs move.
ERRORS = {
    "half-pixel resize": (
        mobilenet_v2,
        1.0,
        lambda m: m.setattr(preprocessing, "sample_points", _half_pixel),
    ),
    "epsilon 1e-5, SSD": (
        mobilenet_v2,
        0.1,
        {"batch_norm": BatchNorm(0.97, 1e-5), "predictor_batch_norm": BatchNorm(0.97, 1e-5)},
    ),
    "epsilon 1e-5, FPNLite": (
        mobilenet_v2_fpnlite,
        0.2,
        {"batch_norm": BatchNorm(0.997, 1e-5), "predictor_batch_norm": BatchNorm(0.997, 1e-5)},
    ),
    "ReLU without the 6": (mobilenet_v2, 1.0, lambda m: m.setattr(layers, "relu6", _relu)),
    "one batch norm for all levels, FPNLite": (
        mobilenet_v2_fpnlite,
        0.5,
        lambda m: m.setattr(heads, "norm_level", lambda level: 0),
    ),
    "P6 from ReLU6(P5), FPNLite": (
        mobilenet_v2_fpnlite,
        0.3,
        lambda m: m.setattr(necks, "coarse_input", lambda p5: layers.relu6(p5)),
    ),
    "bilinear upsampling, FPNLite": (
        mobilenet_v2_fpnlite,
        0.5,
        lambda m: m.setattr(necks, "double", _double_smoothly),
    ),
}
RESNET_ERRORS = {
    "epsilon 1e-5": (
        0.01,
        {"batch_norm": BatchNorm(0.997, 1e-5), "predictor_batch_norm": BatchNorm(0.997, 1e-5)},
    ),
    "ReLU in the ResNet": (1.0, lambda m: m.setattr(layers, "relu6", _relu)),
    "stride on the 3x3": (
        0.3,
        lambda m: m.setattr(backbones, "bottleneck_strides", lambda stride: (1, stride)),
    ),
    "shortcut and main convolution swapped": (0.3, _swap_where_shapes_allow),
    "first convolution SAME": (0.3, _same_conv1),
    "pooling padded on all sides": (0.3, _symmetric_pool),
    "one batch norm for all levels": (0.3, lambda m: m.setattr(heads, "norm_level", lambda level: 0)),
    "P6 from ReLU6(P5)": (0.3, lambda m: m.setattr(necks, "coarse_input", lambda p5: layers.relu6(p5))),
}


def _wrong_by(monkeypatch, config, change) -> float:
    if isinstance(change, dict):
        config = config.with_(**change)
    else:
        change(monkeypatch)
    network = seeded_network(config)
    apart = differences(config, "noise_odd", answers(network, config, "noise_odd"))
    return max(apart["box_encodings"], apart["class_logits"])


@pytest.mark.parametrize("error", ERRORS)
def test_a_deliberate_error_is_seen(monkeypatch, error):
    make, least, change = ERRORS[error]
    assert _wrong_by(monkeypatch, make(), change) > least


@pytest.mark.slow
@pytest.mark.parametrize("error", RESNET_ERRORS)
def test_a_deliberate_error_in_the_resnet_is_seen(monkeypatch, error):
    least, change = RESNET_ERRORS[error]
    assert _wrong_by(monkeypatch, resnet50_fpn(), change) > least


def test_the_rule_of_the_weights_has_not_changed():
    """Sums of two tensors as the reference's manifest states them."""
    from tests.detector.ssd.seeded import SUFFIX, weight

    box = "model/_box_predictor/_prediction_heads/box_encodings/0/_box_encoder_layers/0"
    assert weight(f"{box}/bias{SUFFIX}", (12,)).astype(np.float64).sum() == pytest.approx(
        0.34783700824482366, abs=1e-12
    )
    assert weight(f"{box}/kernel{SUFFIX}", (1, 1, 576, 12)).astype(np.float64).sum() == pytest.approx(
        -0.055459144369820024, abs=1e-12
    )
    assert pictures(300)["smooth"].shape == (480, 640, 3)
