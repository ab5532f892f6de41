"""The network under training: the reference losses as a Keras model that `compile` and `fit` understand.

    model = SSDTrainer(build_ssd(config), alpha=0.25)
    model.compile(make_optimizer(CosineSchedule(0.01, 2000)))
    model.fit(as_py_dataset(batches), epochs=10)

Nothing in it belongs to one backend: KERAS_BACKEND=jax or torch trains the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from detector.errors import ConfigError
from detector.ssd.layers import checkpoint_prefix
from detector.training.ssd.losses import detection_loss
from detector.training.ssd.recipe import FREEZE, PRECISIONS

LOSS_PARTS = ("classification", "localization", "regularization")


class SSDTrainer(keras.Model):
    """An SSD network together with its losses.

    Args:
        network: of `detector.ssd.model.build_ssd`; its own regularisers give the L2 terms.
        alpha, gamma: of the focal loss; `detector.training.ssd.recipe.FOCAL_ALPHA` holds the zoo's.
        delta: of the Huber loss.
        classification_weight, localization_weight: of the two parts.

    Inputs are float32 [B, h, w, 3], targets the dict `detector.training.common.batches` makes. Logs hold
    "loss" and the three `LOSS_PARTS`, which add up to it. Losses are computed in float32 whatever the
    network's precision.
    """

    def __init__(
        self,
        network: keras.Model,
        *,
        alpha: float,
        gamma: float = 2.0,
        delta: float = 1.0,
        classification_weight: float = 1.0,
        localization_weight: float = 1.0,
    ):
        super().__init__(name="ssd_trainer")
        self.network = network
        self.settings = {
            "alpha": alpha,
            "gamma": gamma,
            "delta": delta,
            "classification_weight": classification_weight,
            "localization_weight": localization_weight,
        }
        self.parts = {part: keras.metrics.Mean(name=part) for part in LOSS_PARTS}
        self.built = True

    def call(self, images: Any, training: bool | None = None) -> dict[str, Any]:
        return self.network(images, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training: bool = True) -> Any:
        """The reference's total loss, [] float32; also notes its parts."""
        loss = detection_loss(y_pred["box_encodings"], y_pred["class_logits"], y, **self.settings)
        penalties = [ops.cast(term, "float32") for term in self.losses]
        regularization = ops.sum(ops.stack(penalties)) if penalties else ops.zeros(())
        values = (loss.classification, loss.localization, regularization)
        for part, value in zip(LOSS_PARTS, values):
            self.parts[part].update_state(value)
        return values[0] + values[1] + values[2]

    def compute_metrics(self, x, y, y_pred, sample_weight=None) -> dict[str, Any]:
        return self.get_metrics_result()


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Layers made inside compute in this Keras dtype policy; variables and losses stay float32.

    Raises:
        ConfigError: not one of `PRECISIONS`.
    """
    if policy not in PRECISIONS:
        raise ConfigError(f"precision: expected one of {', '.join(PRECISIONS)}, got {policy!r}.")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def freeze_layers(network: keras.Model, what: str) -> None:
    """Keep some layers' weights, and their batch norms' statistics, as they are.

    Args:
        what: "none"; "backbone"; "all_but_heads", which leaves the last layer of each box and class
            predictor, what the Object Detection API's eager few-shot tutorial trains.

    Raises:
        ConfigError: not one of these.
    """
    if what not in FREEZE:
        raise ConfigError(f"freeze: expected one of {', '.join(FREEZE)}, got {what!r}.")
    for layer in network.layers:
        prefix = checkpoint_prefix(layer.name) or ""
        in_backbone = "/classification_backbone/" in prefix
        in_head = layer.name.startswith(("box_head", "class_head"))
        layer.trainable = not (
            (what == "backbone" and in_backbone) or (what == "all_but_heads" and not in_head)
        )


def distribute(devices: int, batch_size: int) -> None:
    """Let networks built from now on train on several devices at once, each with its share of every batch.

    Uses `keras.distribution.DataParallel`. Loss, normaliser and batch statistics are then those of the whole
    batch, so the result does not depend on the number of devices. `devices` of 1 changes nothing.

    Raises:
        ConfigError: the Keras backend cannot, there are fewer devices, or they do not divide the batch.
    """
    if devices == 1:
        return
    if keras.backend.backend() != "jax":
        raise ConfigError(
            f"devices: training on {devices} devices needs Keras' JAX backend, this is"
            f" {keras.backend.backend()!r}; install jax and set KERAS_BACKEND=jax."
        )
    found = keras.distribution.list_devices()
    if devices > len(found):
        raise ConfigError(
            f"devices: expected at most the {len(found)} there are ({', '.join(found)}), got {devices}."
        )
    if batch_size % devices:
        raise ConfigError(f"batch_size: expected a multiple of the {devices} devices, got {batch_size}.")
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=found[:devices]))
