"""The reference optimiser as Keras objects: SGD with momentum under the warm-up and cosine schedule."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from detector.training.common.schedules import CosineSchedule


@keras.saving.register_keras_serializable(package="boxscope")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """`CosineSchedule` in `keras.ops`, float32, for any Keras backend. Arguments are the schedule's own.

    Raises:
        ConfigError: as CosineSchedule.
    """

    def __init__(self, base_rate: float, total_steps: int, warmup_rate: float = 0.0, warmup_steps: int = 0):
        super().__init__()
        self.schedule = CosineSchedule(base_rate, total_steps, warmup_rate, warmup_steps)

    def __call__(self, step: Any) -> Any:
        s = self.schedule
        step = ops.cast(step, "float32")
        span = float(max(s.total_steps - s.warmup_steps, 1))
        rate = 0.5 * s.base_rate * (1.0 + ops.cos(math.pi * (step - s.warmup_steps) / span))
        if s.warmup_steps:
            rising = s.warmup_rate + step * ((s.base_rate - s.warmup_rate) / s.warmup_steps)
            rate = ops.where(step < s.warmup_steps, rising, rate)
        return ops.where(step > s.total_steps, ops.zeros_like(rate), rate)

    def get_config(self) -> dict[str, Any]:
        s = self.schedule
        return {
            "base_rate": s.base_rate,
            "total_steps": s.total_steps,
            "warmup_rate": s.warmup_rate,
            "warmup_steps": s.warmup_steps,
        }


def make_optimizer(
    schedule: CosineSchedule, momentum: float = 0.9, clip_norm: float = 0.0
) -> keras.optimizers.Optimizer:
    """SGD with momentum, not Nesterov. `clip_norm` above 0 clips the gradients' global norm (the reference:
    0, off).
    """
    rate = WarmupCosine(schedule.base_rate, schedule.total_steps, schedule.warmup_rate, schedule.warmup_steps)
    return keras.optimizers.SGD(rate, momentum=momentum, nesterov=False, global_clipnorm=clip_norm or None)
