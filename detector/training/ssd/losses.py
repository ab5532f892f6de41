"""The losses of the TF2 Object Detection API's SSD models, in `keras.ops` and float32.

    total = classification / n + localisation / (4 n) + sum of (weight / 2) * |kernel|^2
    n = max(sum of the box weights over the whole batch, 1)

Classification is sigmoid focal loss over all classes and the background column, which is trained as an
ordinary output that is always 0; localisation is Huber loss on the four box codes. The L2 terms are the
network's own (`model.losses`; `detector.ssd.layers` says which kernels have one).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

BOX_CODE_SIZE = 4


def focal_loss(logits: Any, targets: Any, *, alpha: float, gamma: float = 2.0) -> Any:
    """alpha_t * (1 - p_t)^gamma * cross-entropy of a sigmoid, element by element.

    Args:
        logits: float [..., C] before the sigmoid.
        targets: [..., C] in 0..1.
        alpha: weight of a positive (1 - alpha of a negative): 0.25 in RetinaNet and FPNLite, 0.75 in SSD
            MobileNetV2.

    Returns:
        float32 of the same shape.
    """
    logits = ops.cast(logits, "float32")
    targets = ops.cast(targets, "float32")
    # log1p(exp(-|x|)) is the form that neither overflows nor loses small losses.
    entropy = ops.relu(logits) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))
    p = ops.sigmoid(logits)
    p_t = targets * p + (1.0 - targets) * (1.0 - p)
    alpha_t = targets * alpha + (1.0 - targets) * (1.0 - alpha)
    return alpha_t * ops.power(1.0 - p_t, gamma) * entropy


def huber_loss(codes: Any, targets: Any, *, delta: float = 1.0) -> Any:
    """0.5 e^2 up to an error of `delta`, then delta * (|e| - 0.5 delta); float32, element by element."""
    error = ops.abs(ops.cast(codes, "float32") - ops.cast(targets, "float32"))
    small = ops.minimum(error, delta)
    return 0.5 * small * small + delta * (error - small)


class DetectionLoss(NamedTuple):
    """The two parts of the loss, each float32 [] and already normalised."""

    classification: Any
    localization: Any


def detection_loss(
    box_codes: Any,
    class_logits: Any,
    targets: dict[str, Any],
    *,
    alpha: float,
    gamma: float = 2.0,
    delta: float = 1.0,
    classification_weight: float = 1.0,
    localization_weight: float = 1.0,
) -> DetectionLoss:
    """The reference's loss of one batch, without the L2 term.

    Args:
        box_codes: [B, A, 4] (ty, tx, th, tw); class_logits: [B, A, 1 + K], the background column first.
        targets: `classes` int32 [B, A] (0 background, 1 + class id), `boxes` float32 [B, A, 4],
            `class_weights` and `box_weights` float32 [B, A]; as `detector.ssd.targets` makes them.

    A batch without any matched anchor has a localisation loss of 0 and is normalised by 1.
    """
    columns = class_logits.shape[-1]
    # Column 0 of the one-hot is dropped to zeros: the background is "no class", not a class of its own.
    foreground = ops.one_hot(ops.cast(targets["classes"], "int32") - 1, columns - 1, dtype="float32")
    target = ops.concatenate([ops.zeros_like(foreground[..., :1]), foreground], axis=-1)
    box_weights = ops.cast(targets["box_weights"], "float32")
    normalizer = ops.maximum(ops.sum(box_weights), 1.0)
    per_anchor = ops.sum(focal_loss(class_logits, target, alpha=alpha, gamma=gamma), axis=-1)
    classification = ops.sum(per_anchor * ops.cast(targets["class_weights"], "float32"))
    localization = ops.sum(
        ops.sum(huber_loss(box_codes, targets["boxes"], delta=delta), axis=-1) * box_weights
    )
    return DetectionLoss(
        classification_weight * classification / normalizer,
        localization_weight * localization / (normalizer * BOX_CODE_SIZE),
    )
