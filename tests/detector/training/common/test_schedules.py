"""The learning rate: corners by hand, every step the reference gave, and numpy equal to Keras."""

import json

import numpy as np
import pytest

from detector.errors import ConfigError
from detector.paths import ROOT
from detector.training.common.schedules import CosineSchedule

GOLDEN = json.loads((ROOT / "tests" / "golden" / "ssd_training.json").read_text())["models"]


def reference(name: str) -> CosineSchedule:
    g = GOLDEN[name]["learning_rate"]
    return CosineSchedule(g["base"], g["total_steps"], g["warmup_lr"], g["warmup_steps"])


@pytest.mark.parametrize("name", GOLDEN)
def test_equal_to_the_reference(name):
    g = GOLDEN[name]["learning_rate"]
    # The reference computes in float32: next to the end 1 + cos cancels to exactly 0 there.
    np.testing.assert_allclose(reference(name)(g["steps"]), g["lr"], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_keras_schedule_is_the_same(name):
    from detector.training.ssd.optimizer import WarmupCosine

    g, s = GOLDEN[name]["learning_rate"], reference(name)
    schedule = WarmupCosine(s.base_rate, s.total_steps, s.warmup_rate, s.warmup_steps)
    again = WarmupCosine.from_config(schedule.get_config())
    got = [float(again(step)) for step in g["steps"]]
    np.testing.assert_allclose(got, g["lr"], rtol=1e-6, atol=1e-8)


def test_corners():
    schedule = CosineSchedule(0.8, total_steps=10, warmup_rate=0.2, warmup_steps=4)
    np.testing.assert_allclose(
        schedule([0, 1, 2, 4, 7, 10, 11, 500]), [0.2, 0.35, 0.5, 0.8, 0.4, 0, 0, 0], atol=1e-12
    )
    assert float(CosineSchedule(0.8, 10)(0)) == 0.8  # without warm-up
    np.testing.assert_allclose(CosineSchedule(0.8, 4, 0.2, 4)([2, 3, 4, 5]), [0.5, 0.65, 0.8, 0])


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((0.1, 100, 0.2, 10), "at most the learning rate 0.1, got 0.2"),
        ((0.1, 100, 0.0, 101), "warmup_steps: expected 0 to 100"),
        ((0.1, 0), "at least 1 training step"),
        ((0.0, 100), "above 0"),
        ((float("nan"), 100), "above 0"),
        ((0.1, 100, -0.1, 5), "at least 0"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ConfigError, match=words):
        CosineSchedule(*arguments)


def test_a_high_warm_up_rate_without_warm_up_is_no_error():
    assert float(CosineSchedule(0.1, 10, 0.5, 0)(0)) == pytest.approx(0.1)
