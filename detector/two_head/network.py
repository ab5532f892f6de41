"""The two-head network in Keras: a keras.applications backbone on raw pixels, a class head and a box head.

The backbone's layers are the network's own, not a model inside it, so that heat maps can be read at any of
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from detector.errors import ModelError
from detector.ssd.imagenet import imagenet_backbone
from detector.ssd.weights import load_arrays
from detector.two_head.config import TwoHeadConfig

CAFFE_MEANS = (103.939, 116.779, 123.68)  # BGR, of keras.applications' ResNets
MEANS, DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # RGB, of pixels 0..1, of ImageNet
BACKBONE = "backbone"


def build_two_head(config: TwoHeadConfig) -> keras.Model:
    """The network with fresh weights.

    Returns:
        A model from float32 RGB [B, height, width, 3] in 0..255 to a dict of "class_logits" [B, K] and
            "boxes"
        [B, 4] (xyxy as shares of the input, x1 <= x2, y1 <= y2, in 0..1), each where the head is there.

    Raises:
        ModelError: keras.applications cannot build this backbone at this size.
    """
    pixels = keras.Input((config.input_size[1], config.input_size[0], 3), name="pixels")
    features = make_backbone(config, _normalised(pixels, config.normalisation)).output
    outputs: dict[str, Any] = {}
    if config.has_classes:
        x = keras.layers.GlobalAveragePooling2D(name="class_pool")(features)
        for i, units in enumerate(config.class_widths, start=1):
            x = keras.layers.Dropout(config.dropout, name=f"class_dropout{i}")(x)
            x = keras.layers.Dense(units, "gelu", name=f"class_hidden{i}")(x)
        x = keras.layers.Dropout(config.dropout, name="class_dropout")(x)
        outputs["class_logits"] = keras.layers.Dense(config.num_classes, name="class_logits")(x)
    if config.has_boxes:
        if config.box_pool == "flatten":
            x = keras.layers.Conv2D(config.box_channels, 1, name="box_channels")(features)
            # Without it, and with ReLU, the head died within a hundred steps and answered with one box
            # (measured).
            x = keras.layers.LayerNormalization(name="box_norm")(x)
            x = keras.layers.Activation("gelu", name="box_gelu")(x)
            x = keras.layers.Flatten(name="box_pool")(x)
        else:
            x = keras.layers.GlobalAveragePooling2D(name="box_pool")(features)
        for i, units in enumerate(config.box_widths, start=1):
            x = keras.layers.Dropout(config.dropout, name=f"box_dropout{i}")(x)
            x = keras.layers.Dense(units, "gelu", name=f"box_hidden{i}")(x)
        x = keras.layers.Dropout(config.dropout, name="box_dropout")(x)
        # The first boxes are the middle half of the picture. Empty ones would have CIoU's gradient without
        # bound.
        bias = (
            np.float32([-1, -1, 1, 1]) * np.float32(np.log(3))
            if config.box_format == "corners"
            else np.zeros(4, np.float32)
        )
        numbers = keras.layers.Dense(
            4, "sigmoid", name="box_numbers", bias_initializer=keras.initializers.Constant(bias)
        )(x)
        outputs["boxes"] = corners(numbers, config.box_format)
    return keras.Model(pixels, outputs, name="two_head")


def make_backbone(config: TwoHeadConfig, pixels: Any = None, weights: str | None = None) -> keras.Model:
    """The keras.applications network without its top, on these normalised pixels or on an input of its
    own.
    """
    options: dict[str, Any] = {
        "include_top": False,
        "weights": weights,
        "input_tensor": pixels,
        "input_shape": (config.input_size[1], config.input_size[0], 3),
    }
    if config.backbone in ("MobileNet", "MobileNetV2") or (
        config.backbone.startswith("MobileNetV3") and config.alpha != 1
    ):
        options["alpha"] = config.alpha
    if config.backbone.startswith("MobileNetV3"):
        options["include_preprocessing"] = False
    build = getattr(keras.applications, config.backbone)
    if weights == "imagenet":
        return imagenet_backbone(
            build, config.backbone, **{k: v for k, v in options.items() if k != "weights"}
        )
    try:
        return build(**options)
    except (OSError, ValueError) as error:
        first = (str(error).splitlines() or [repr(error)])[0]
        width, height = config.input_size
        raise ModelError(
            f"Keras could not make the backbone {config.backbone} at {width}x{height}: {first}"
        ) from error


def _normalised(pixels: Any, rule: str) -> Any:
    if rule == "-1..1":
        return pixels * (1 / 127.5) - 1.0
    if rule == "caffe":
        return ops.flip(pixels, axis=-1) - np.float32(CAFFE_MEANS)
    if rule == "deviations":
        # keras.applications' EfficientNet divides by 255 itself; what it adds to that differs between its
        # fresh and its pretrained form. That part stays as it is when fresh, which is nothing, and the rule
        # is applied here.
        return (pixels - 255 * np.float32(MEANS)) / np.float32(DEVIATIONS)
    return pixels


def corners(numbers: Any, box_format: str) -> Any:
    """Four sigmoids [B, 4] to xyxy in 0..1 with corners in order: x1, y1, x2, y2 in any order, or centre and
    size.
    """
    first, second = numbers[:, :2], numbers[:, 2:]
    if box_format == "centre":
        first, second = ops.maximum(first - second / 2, 0.0), ops.minimum(first + second / 2, 1.0)
    return ops.concatenate([ops.minimum(first, second), ops.maximum(first, second)], axis=-1)


def answering(network: keras.Model, config: TwoHeadConfig, *, flip_average: bool = False) -> keras.Model:
    """The network as a detector asks it: pixels as `build_two_head` takes them to {"boxes": [B, 4] xyxy
    shares of the input, "scores": [B, K] softmax}.

    Without a class head the one class is certain; without a box head the box is the whole input.

    Args:
        flip_average: the mean over the picture and its mirror image, mirrored back.
    """
    pixels = keras.Input(network.input_shape[1:], name="image")
    boxes, scores = _once(network, pixels, config)
    if flip_average:
        other, other_scores = _once(network, ops.flip(pixels, axis=2), config)
        other = ops.stack([1.0 - other[:, 2], other[:, 1], 1.0 - other[:, 0], other[:, 3]], axis=-1)
        boxes, scores = (boxes + other) / 2, (scores + other_scores) / 2
    return keras.Model(pixels, {"boxes": boxes, "scores": scores}, name="two_head_answers")


def _once(network: keras.Model, pixels: Any, config: TwoHeadConfig) -> tuple[Any, Any]:
    out = network(pixels, training=False)
    some = out["boxes"] if config.has_boxes else out["class_logits"]
    boxes = out["boxes"] if config.has_boxes else ops.zeros_like(some[:, :1]) + np.float32([0, 0, 1, 1])
    scores = ops.softmax(out["class_logits"], axis=-1) if config.has_classes else ops.ones_like(some[:, :1])
    return boxes, scores


def backbone_layers(network: keras.Model) -> list[keras.layers.Layer]:
    """The backbone's layers in order; the heads' names begin with "class_" and "box_"."""
    return [layer for layer in network.layers if not layer.name.startswith(("class_", "box_"))]


def backbone_weights(network: keras.Model) -> list[Any]:
    """The backbone's weights in order, without the statistics of input normalisation, which are not
    learned.
    """
    return [
        v
        for layer in backbone_layers(network)
        if not isinstance(layer, keras.layers.Normalization)
        for v in layer.weights
    ]


def unfreeze(network: keras.Model, share: float, *, freeze_batchnorm: bool) -> list[str]:
    """Make this share of the backbone's layers, from its end, trainable; the heads always are.

    Args:
        freeze_batchnorm: batch norms stay as they are even there (a batch norm that is not trainable uses its
            stored statistics in Keras).

    Returns:
        Names of the backbone's layers that will be trained.
    """
    layers = backbone_layers(network)
    first = len(layers) - round(share * len(layers))
    for i, layer in enumerate(layers):
        layer.trainable = i >= first and not (
            freeze_batchnorm and isinstance(layer, keras.layers.BatchNormalization)
        )
    return [layer.name for layer in layers if layer.trainable and layer.weights]


def set_statistics_decay(network: keras.Model, decay: float | None) -> None:
    """How much of its stored statistics every batch norm keeps each step of training; None leaves them as
    they are.
    """
    if decay is not None:
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = decay


def weights_by_key(network: keras.Model) -> dict[str, Any]:
    """Every weight under a key that is the same for every network of one config, in every process."""
    inner = {id(layer) for layer in backbone_layers(network)}
    found = {f"{BACKBONE}/{i:03d}/{v.name}": v for i, v in enumerate(backbone_weights(network))}
    return found | {
        f"{layer.name}/{v.name}": v
        for layer in network.layers
        if id(layer) not in inner
        for v in layer.weights
    }


def arrays_of(network: keras.Model) -> dict[str, np.ndarray]:
    return {key: np.array(ops.convert_to_numpy(v)) for key, v in weights_by_key(network).items()}


def assign(network: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Put a whole set of weights into a network.

    Raises:
        ModelError: one is missing or of another shape; nothing has been changed then.
    """
    variables = weights_by_key(network)
    for key, variable in variables.items():
        if key not in arrays:
            raise ModelError(f"expected the weights to hold {key}, they do not; they are of another network.")
        if tuple(arrays[key].shape) != tuple(variable.shape):
            raise ModelError(
                f"expected {key} of shape {list(variable.shape)}, the weights have {list(arrays[key].shape)}."
            )
    for key, variable in variables.items():
        variable.assign(arrays[key])


@dataclass(frozen=True)
class Start:
    """What a training started from: the recipe's word, and how many weights came from it and how many were
    drawn.
    """

    source: str
    restored: int
    fresh: int


def start_from(network: keras.Model, config: TwoHeadConfig, source: str) -> Start:
    """Fill a fresh network as a recipe's `start` says: "none", "imagenet", a backbone's .h5 or a two-head
    training.

    Raises:
        ModelError: the weights cannot be had or are of another backbone.
    """
    variables = weights_by_key(network)
    if source == "none":
        return Start(source, 0, len(variables))
    if source == "imagenet":
        backbone = make_backbone(config, weights="imagenet")
    elif str(source).endswith((".h5", ".keras")):
        backbone = make_backbone(config)
        try:
            backbone.load_weights(source)
        except (OSError, ValueError) as error:
            first = (str(error).splitlines() or [repr(error)])[0]
            raise ModelError(
                f"expected weights of keras.applications' {config.backbone} without its top: {first}",
                path=source,
            ) from error
    else:
        path = Path(source)
        arrays, _ = load_arrays(path / "weights.npz" if path.is_dir() else path)
        fits = {k for k, v in variables.items() if k in arrays and tuple(arrays[k].shape) == tuple(v.shape)}
        missing = [k for k in variables if k.startswith(f"{BACKBONE}/") and k not in fits]
        if missing:
            raise ModelError(
                f"expected a training whose backbone is {config.backbone}: {missing[0]} and"
                f" {len(missing) - 1} others do not fit.",
                path=source,
            )
        for key in fits:
            variables[key].assign(arrays[key])
        return Start(source, len(fits), len(variables) - len(fits))
    mine = backbone_weights(network)
    theirs = [
        v
        for layer in backbone.layers
        if layer.weights and not isinstance(layer, keras.layers.Normalization)
        for v in layer.weights
    ]
    for variable, value in zip(mine, theirs, strict=True):
        variable.assign(value)
    return Start(source, len(mine), len(variables) - len(mine))
