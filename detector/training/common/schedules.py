"""The learning rate over a training: linear warm-up, then half a cosine down to zero.

numpy only, so that a recipe can be checked and a curve drawn without importing a network; the same rule
as a Keras schedule stands in `detector.training.ssd.optimizer`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.errors import ConfigError


@dataclass(frozen=True)
class CosineSchedule:
    """Warm-up from `warmup_rate` to `base_rate` over `warmup_steps`, cosine to 0 at `total_steps`, 0 after.

    Source: cosine_decay_learning_rate of the TF2 Object Detection API.

    Args:
        base_rate: the highest learning rate, reached at step `warmup_steps`; above 0.
        total_steps: the step at which the rate reaches 0; at least 1.
        warmup_rate: the rate of step 0; at most `base_rate`. Ignored when `warmup_steps` is 0, as in the
            source.
        warmup_steps: 0 for none; at most `total_steps`.

    Raises:
        ConfigError: a number breaks one of these rules.
    """

    base_rate: float
    total_steps: int
    warmup_rate: float = 0.0
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.base_rate) and self.base_rate > 0):
            raise ConfigError(f"learning_rate: expected a number above 0, got {self.base_rate!r}.")
        if self.total_steps < 1:
            raise ConfigError(f"steps: expected at least 1 training step, got {self.total_steps!r}.")
        if not 0 <= self.warmup_steps <= self.total_steps:
            raise ConfigError(
                f"warmup_steps: expected 0 to {self.total_steps} (the number of training steps), got"
                f" {self.warmup_steps}."
            )
        if self.warmup_steps and not (np.isfinite(self.warmup_rate) and self.warmup_rate >= 0):
            raise ConfigError(
                f"warmup_learning_rate: expected a number of at least 0, got {self.warmup_rate!r}."
            )
        if self.warmup_steps and self.warmup_rate > self.base_rate:
            raise ConfigError(
                f"warmup_learning_rate: expected at most the learning rate {self.base_rate}, got"
                f" {self.warmup_rate}; warm-up starts low and rises."
            )

    def __call__(self, step: int | np.ndarray) -> np.ndarray:
        """The rate of the update made at this step (the first one is step 0); float64, shape of `step`."""
        step = np.asarray(step, np.float64)
        span = max(self.total_steps - self.warmup_steps, 1)
        rate = 0.5 * self.base_rate * (1 + np.cos(np.pi * (step - self.warmup_steps) / span))
        if self.warmup_steps:
            rising = self.warmup_rate + step * (self.base_rate - self.warmup_rate) / self.warmup_steps
            rate = np.where(step < self.warmup_steps, rising, rate)
        return np.where(step > self.total_steps, 0.0, rate)
