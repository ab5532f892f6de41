"""The losses: values by hand, and the reference's on networks with seeded weights."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from detector.paths import ROOT
from detector.ssd.anchors import anchors
from detector.ssd.config import PRESETS
from detector.ssd.preprocess import preprocess
from detector.ssd.targets import assign_targets
from detector.training.ssd.recipe import FOCAL_ALPHA

GOLDEN = json.loads((ROOT / "tests" / "golden" / "ssd_training.json").read_text())["models"]
NAMES = [pytest.param(n, marks=pytest.mark.slow if "resnet" in n else ()) for n in GOLDEN]


def values(*tensors):
    return [np.asarray(t) for t in tensors]


def test_focal_loss_by_hand():
    from detector.training.ssd.losses import focal_loss

    logits, targets = np.array([[0.0, 2.0], [-1.0, 100.0]], np.float32), np.array([[1, 0], [1, 0]])
    got = np.asarray(focal_loss(logits, targets, alpha=0.75))
    p = 1 / (1 + np.exp(-2.0))
    q = 1 / (1 + np.exp(1.0))
    want = [
        [0.75 * 0.25 * np.log(2), 0.25 * p**2 * -np.log(1 - p)],
        [0.75 * (1 - q) ** 2 * -np.log(q), 0.25 * 100],  # certain and wrong: neither infinite nor 0
    ]
    np.testing.assert_allclose(got, want, rtol=1e-5)
    # gamma 0 and alpha 0.5 is half the cross-entropy
    plain = np.asarray(focal_loss(logits, targets, alpha=0.5, gamma=0.0))
    np.testing.assert_allclose(plain[0], [0.5 * np.log(2), 0.5 * -np.log(1 - p)], rtol=1e-5)


def test_huber_loss_by_hand():
    from detector.training.ssd.losses import huber_loss

    got = np.asarray(huber_loss(np.array([0.0, 0.5, -1.0, 3.0, -3.0]), np.zeros(5)))
    np.testing.assert_allclose(got, [0, 0.125, 0.5, 2.5, 2.5], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(huber_loss(np.array([3.0]), np.zeros(1), delta=2.0)), [4.0])


def batch(class_weights, box_weights, classes):
    shape = (1, len(classes))
    return {
        "classes": np.array(classes, np.int32).reshape(shape),
        "boxes": np.zeros((*shape, 4), np.float32),
        "class_weights": np.array(class_weights, np.float32).reshape(shape),
        "box_weights": np.array(box_weights, np.float32).reshape(shape),
    }


def test_the_normaliser_and_the_weights():
    from detector.training.ssd.losses import detection_loss

    logits, codes = np.zeros((1, 4, 3), np.float32), np.full((1, 4, 4), 2.0, np.float32)
    negative, positive = 0.75 * 0.25 * np.log(2), 0.25 * 0.25 * np.log(2)  # one column each, alpha 0.25
    got = values(*detection_loss(codes, logits, batch([1, 1, 1, 0], [1, 2, 0, 0], [1, 2, 0, 0]), alpha=0.25))
    # the last anchor weighs nothing; columns of an object: one positive, two negative (the background among
    # them)
    want = (2 * (positive + 2 * negative) + 3 * negative) / 3
    np.testing.assert_allclose(got[0], want, rtol=1e-5)
    np.testing.assert_allclose(got[1], 4 * 1.5 * 3 / (3 * 4), rtol=1e-5)


def test_without_objects_the_loss_is_normalised_by_one():
    from detector.training.ssd.losses import detection_loss

    logits, codes = np.zeros((1, 2, 3), np.float32), np.ones((1, 2, 4), np.float32)
    got = values(*detection_loss(codes, logits, batch([1, 1], [0, 0], [0, 0]), alpha=0.25))
    np.testing.assert_allclose(got[0], 6 * 0.75 * 0.25 * np.log(2), rtol=1e-5)
    assert got[1] == 0


def test_column_0_is_always_a_negative():
    from detector.training.ssd.losses import detection_loss

    codes = np.zeros((1, 1, 4), np.float32)
    for classes in ([0], [1]):
        right = np.full((1, 1, 3), -20, np.float32)
        right[0, 0, classes[0]] = 20 if classes[0] else -20
        wrong = right.copy()
        wrong[0, 0, 0] = 20
        y = batch([1], [0], classes)
        assert float(detection_loss(codes, right, y, alpha=0.25).classification) < 1e-6
        assert float(detection_loss(codes, wrong, y, alpha=0.25).classification) > 10


class Seeded:
    """One zoo network with the golden files' weights, its two pictures and their targets."""

    def __init__(self, shared: Path, name: str):
        from detector.ssd.layers import checkpoint_variables
        from detector.ssd.model import build_ssd
        from detector.training.ssd.trainer import SSDTrainer

        sys.path.insert(0, str(shared / "golden"))
        try:
            import seeded
        finally:
            sys.path.pop(0)
        self.config, self.golden = PRESETS[name](), GOLDEN[name]
        self.expected = json.loads((shared / "golden" / name / "train_mode.json").read_text())
        network = build_ssd(self.config)
        self.variables = checkpoint_variables(network)
        for key, variable in self.variables.items():
            variable.assign(seeded.weight(key, variable.shape))
        self.trainer = SSDTrainer(network, alpha=FOCAL_ALPHA[self.config.architecture])
        pictures = seeded.images(self.config.height)
        self.images = np.stack([preprocess(pictures[n], self.config) for n in ("noise_native", "smooth")])

    def targets(self, half_weight: bool = False) -> dict:
        grid, rows = anchors(self.config).boxes, []
        for i, (boxes, classes) in enumerate(zip(self.golden["boxes"], self.golden["classes"])):
            weights = np.ones(len(boxes))
            if half_weight and i == 1:
                weights[2] = 0.5
            rows.append(assign_targets(grid, boxes, classes, weights))
        return {
            n: np.stack([getattr(r, n) for r in rows])
            for n in ("classes", "boxes", "class_weights", "box_weights")
        }

    def loss(self, outputs, targets: dict) -> dict[str, float]:
        self.trainer.reset_metrics()
        self.total = self.trainer.compute_loss(self.images, targets, outputs)
        return {name: float(metric.result()) for name, metric in self.trainer.parts.items()}


@pytest.fixture(scope="module", params=NAMES)
def seeded_network(request, shared):
    return Seeded(shared, request.param)


def test_losses_and_l2_equal_the_reference(seeded_network):
    golden, outputs = seeded_network.golden, seeded_network.trainer(seeded_network.images, training=False)
    for variant, want in golden["losses"].items():
        got = seeded_network.loss(outputs, seeded_network.targets(variant == "padded_weighted"))
        assert got["localization"] == pytest.approx(want["localization_loss"], rel=1e-5)
        assert got["classification"] == pytest.approx(want["classification_loss"], rel=1e-5)
        assert got["regularization"] == pytest.approx(golden["l2"], rel=1e-6)
    assert len(seeded_network.trainer.losses) == golden["l2_terms"]


def test_training_mode_equals_the_reference(seeded_network):
    """Losses, gradients and batch statistics of one step; the weights are ill-conditioned on purpose."""
    tf = pytest.importorskip("tensorflow")
    expected, variables = seeded_network.expected, seeded_network.variables
    before = {key: np.array(v) for key, v in variables.items() if "/moving_" in key}
    network = seeded_network.trainer.network
    try:
        with tf.GradientTape() as tape:
            outputs = seeded_network.trainer(seeded_network.images, training=True)
            got = seeded_network.loss(outputs, seeded_network.targets())
        gradients = tape.gradient(seeded_network.total, [v.value for v in network.trainable_variables])
        want = expected["losses"]
        assert got["localization"] == pytest.approx(want["Loss/localization_loss"], rel=1e-3)
        assert got["classification"] == pytest.approx(want["Loss/classification_loss"], rel=1e-3)
        assert float(seeded_network.total) == pytest.approx(expected["total_loss"], rel=1e-3)

        assert float(tf.linalg.global_norm(gradients)) == pytest.approx(
            expected["global_grad_norm"], rel=0.05
        )
        key_of = {id(v): key for key, v in variables.items()}
        pairs = [
            (float(tf.norm(g)), expected["grad_norms"][key_of[id(v)]])
            for v, g in zip(network.trainable_variables, gradients)
        ]
        relative = [abs(a - b) / b for a, b in pairs if b > 1e-6]
        assert len(relative) > 100
        assert np.median(relative) < 0.02

        sums = {k: v[0] for k, v in expected["moving_stats_sum_after_one_forward"].items()}
        assert len(sums) == len(before)
        for key, value in sums.items():
            stored = float(np.sum(np.array(variables[key]), dtype=np.float64))
            # the corrected variance n/(n-1) too: without it a 1x1 map and two pictures are off by half
            assert stored == pytest.approx(value, abs=5e-3), key
    finally:
        for key, value in before.items():
            variables[key].assign(value)
