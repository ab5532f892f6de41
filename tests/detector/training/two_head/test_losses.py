"""The parts of the loss against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detector.training.two_head.losses import by_uncertainty, ciou, cross_entropy, huber, iou


def value(tensor):
    return np.asarray(tensor).tolist()


def test_cross_entropy():
    logits = np.log(np.float32([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
    assert value(cross_entropy(logits, np.int32([0, 2]))) == pytest.approx([-math.log(0.7), -math.log(0.5)])
    # smoothing 0.3 over 3 classes: targets 0.8, 0.1, 0.1
    wanted = -(0.8 * math.log(0.7) + 0.1 * math.log(0.2) + 0.1 * math.log(0.1))
    assert value(cross_entropy(logits[:1], np.int32([0]), 0.3)) == pytest.approx([wanted])


def test_cross_entropy_of_huge_logits_is_finite():
    assert value(cross_entropy(np.float32([[1000.0, 0.0]]), np.int32([1]))) == pytest.approx([1000.0])


def test_huber():
    boxes, truth = np.float32([[0.1, 0.2, 0.5, 0.9]]), np.float32([[0.15, 0.2, 0.8, 0.9]])
    # differences 0.05, 0, 0.3, 0 with delta 0.1: 0.5 * 0.0025 / 0.1 = 0.0125 and 0.3 - 0.05 = 0.25, mean over
    # four
    assert value(huber(boxes, truth, 0.1)) == pytest.approx([(0.0125 + 0.25) / 4], rel=1e-5)
    assert value(huber(truth, truth)) == [0.0]


def test_iou_of_pairs():
    boxes = np.float32([[0, 0, 0.4, 0.5], [0, 0, 0.2, 0.2], [0.3, 0.3, 0.3, 0.3]])
    truth = np.float32([[0.2, 0, 0.6, 0.5], [0.5, 0.5, 0.9, 0.9], [0.3, 0.3, 0.3, 0.3]])
    assert value(iou(boxes, truth)) == pytest.approx([1 / 3, 0.0, 0.0])


def test_ciou_by_hand():
    # 0.4 x 0.5 and 0.2 x 0.5 sharing the left side: IoU 0.5; centres 0.2 and 0.1 apart by 0.1; around both
    # 0.4 x 0.5
    box, truth = np.float32([[0, 0, 0.2, 0.5]]), np.float32([[0, 0, 0.4, 0.5]])
    distance = 0.1**2 / (0.4**2 + 0.5**2)
    v = 4 / math.pi**2 * (math.atan(0.4 / 0.5) - math.atan(0.2 / 0.5)) ** 2
    assert value(ciou(box, truth)) == pytest.approx([0.5 + distance + v / (0.5 + v) * v], rel=1e-5)
    assert value(ciou(truth, truth)) == pytest.approx([0.0], abs=1e-6)


def test_ciou_of_boxes_apart_grows_with_the_distance_and_shows_the_way():
    import tensorflow as tf

    truth = np.float32([[0.1, 0.1, 0.3, 0.2]])
    near, far = (value(ciou(np.float32([[x, 0.1, x + 0.2, 0.2]]), truth))[0] for x in (0.35, 0.7))
    # same shape, no overlap: 1 + d²/c², d = 0.25 and 0.6, c² = (d + 0.2)² + 0.1²
    assert [near, far] == pytest.approx(
        [1 + 0.25**2 / (0.45**2 + 0.01), 1 + 0.6**2 / (0.8**2 + 0.01)], rel=1e-5
    )
    box = tf.Variable(np.float32([[0.7, 0.1, 0.9, 0.2]]))
    with tf.GradientTape() as tape:
        loss = ciou(box, truth)
    gradient = tape.gradient(loss, box).numpy()[0]
    assert np.isfinite(gradient).all() and gradient[0] + gradient[2] > 0, (
        "a step down the gradient moves the box left"
    )


def test_learned_weights():
    # s = log 4: a classification is divided by 4, a regression by 8, each pays log 2
    s = np.float32(math.log(4))
    assert float(by_uncertainty(np.float32(3.0), s, classification=True)) == pytest.approx(0.75 + math.log(2))
    assert float(by_uncertainty(np.float32(3.0), s, classification=False)) == pytest.approx(
        0.375 + math.log(2)
    )


@pytest.mark.parametrize("weights", ["fixed", "learned"])
@pytest.mark.parametrize("heads", ["both", "class", "box"])
def test_the_parts_add_up_and_a_missing_head_costs_nothing(heads, weights):
    from detector.training.two_head.trainer import TwoHeadTrainer
    from tests.detector.two_head.drawn import SMALL

    class Silent:  # a network is not needed: the loss is a function of answers and targets
        pass

    recipe = SMALL.with_(
        loss_weights=weights,
        heads=heads,
        class_weight=2.0,
        box_weight=3.0,
        box_loss="huber",
        huber_delta=0.1,
        label_smoothing=0.0,
    )
    trainer = TwoHeadTrainer(Silent(), recipe)
    answers = {}
    if heads != "box":
        answers["class_logits"] = np.log(np.float32([[0.75, 0.25]]))
    if heads != "class":
        answers["boxes"] = np.float32([[0.1, 0.2, 0.5, 0.9]])
    targets = {"class_ids": np.int32([0]), "boxes": np.float32([[0.15, 0.2, 0.8, 0.9]])}
    total = float(trainer.compute_loss(None, targets, answers))
    class_loss = 2 * -math.log(0.75) if heads != "box" else 0.0
    box_loss = 3 * 0.065625 * (0.5 if weights == "learned" else 1) if heads != "class" else 0.0
    assert total == pytest.approx(class_loss + box_loss, rel=1e-5)
    parts = {name: float(metric.result()) for name, metric in trainer.parts.items()}
    assert parts == pytest.approx(
        {"classification": class_loss, "localization": box_loss, "uncertainty": 0.0}, rel=1e-5
    )
