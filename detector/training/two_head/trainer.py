"""The network under training: loss with named parts, weighed by hand or by learned uncertainty, as a Keras
model.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from detector.training.two_head.losses import by_uncertainty, ciou, cross_entropy, huber
from detector.training.two_head.recipe import TwoHeadRecipe

LOSS_PARTS = ("classification", "localization", "uncertainty")
"""They add up to the loss; "uncertainty" is the price of learned weights, 0 for fixed ones."""


class TwoHeadTrainer(keras.Model):
    """A two-head network together with its losses.

    Inputs are float32 [B, h, w, 3] in 0..255; targets {"class_ids": int32 [B], "boxes": float32 [B, 4]}. Logs
    hold "loss" and the `LOSS_PARTS`. Losses are computed in float32.
    """

    def __init__(self, network: keras.Model, recipe: TwoHeadRecipe):
        super().__init__(name="two_head_trainer")
        self.network, self.recipe = network, recipe
        self.parts = {part: keras.metrics.Mean(name=part) for part in LOSS_PARTS}
        self.log_variances: dict[str, Any] = {}
        if recipe.loss_weights == "learned":
            for part in LOSS_PARTS[:2]:
                self.log_variances[part] = self.add_weight(
                    shape=(), initializer="zeros", name=f"log_variance_{part}"
                )
        self.built = True

    def call(self, pixels: Any, training: bool | None = None) -> dict[str, Any]:
        return self.network(pixels, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training: bool = True) -> Any:
        """The whole loss, [] float32; also notes its parts."""
        recipe, zero = self.recipe, ops.zeros(())
        class_loss = box_loss = zero
        if "class_logits" in y_pred:
            class_loss = recipe.class_weight * ops.mean(
                cross_entropy(y_pred["class_logits"], y["class_ids"], recipe.label_smoothing)
            )
        if "boxes" in y_pred:
            if recipe.box_loss == "ciou":
                each = ciou(y_pred["boxes"], y["boxes"])
            else:
                each = huber(y_pred["boxes"], y["boxes"], recipe.huber_delta)
            box_loss = recipe.box_weight * ops.mean(each)
        price = zero
        if self.log_variances:
            weighed = []
            for part, loss, head in (
                ("classification", class_loss, "class_logits"),
                ("localization", box_loss, "boxes"),
            ):
                s = self.log_variances[part]
                weighed.append(by_uncertainty(loss, s, classification=part == "classification") - 0.5 * s)
                price = price + (0.5 * s if head in y_pred else 0 * s)
            class_loss, box_loss = weighed
        for part, value in zip(LOSS_PARTS, (class_loss, box_loss, price)):
            self.parts[part].update_state(value)
        return class_loss + box_loss + price

    def compute_metrics(self, x, y, y_pred, sample_weight=None) -> dict[str, Any]:
        return self.get_metrics_result()


def make_optimiser(recipe: TwoHeadRecipe, learning_rate: float) -> keras.optimizers.Optimizer:
    """The recipe's optimiser; the learning rate is set before every step."""
    clip = {"global_clipnorm": recipe.clip_norm or None}
    if recipe.optimiser == "adamw":
        optimiser = keras.optimizers.AdamW(learning_rate, weight_decay=recipe.weight_decay, **clip)
        optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "log_variance"])
        return optimiser
    if recipe.optimiser == "sgd":
        return keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True, **clip)
    kind = keras.optimizers.Adam if recipe.optimiser == "adam" else keras.optimizers.RMSprop
    return kind(learning_rate, **clip)
