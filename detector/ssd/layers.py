"""The few layers an SSD is made of, with the names that lead to the checkpoint.

A layer's name says which object of a TF2 Object Detection API checkpoint it is restored from, so that a
network needs no second table of its own structure: `checkpoint_prefix("backbone_17")` is
`model/_feature_extractor/classification_backbone/layer_with_weights-17`.
"""

from __future__ import annotations

import re
from typing import Any

import keras
from keras import ops

from detector.ssd.config import BatchNorm, Initializer

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"

_EXTRACTOR = "model/_feature_extractor"
_PREDICTOR = "model/_box_predictor"
_KEYS = [
    (r"backbone_(\d+)", _EXTRACTOR + r"/classification_backbone/layer_with_weights-\1"),
    (r"extra_(\d+)_(\d+)", _EXTRACTOR + r"/feature_map_generator/convolutions/\1/\2"),
    (r"fpn_top_(\d+)", _EXTRACTOR + r"/_fpn_features_generator/top_layers/\1"),
    (r"fpn_lateral_(\d+)", _EXTRACTOR + r"/_fpn_features_generator/residual_blocks/\1/0"),
    (r"fpn_smooth_(\d+)_(\d+)", _EXTRACTOR + r"/_fpn_features_generator/conv_layers/\1/\2"),
    (r"fpn_coarse_(\d+)_(\d+)", _EXTRACTOR + r"/_coarse_feature_layers/\1/\2"),
    (r"box_head_(\d+)", _PREDICTOR + r"/_prediction_heads/box_encodings/\1/_box_encoder_layers/0"),
    (
        r"class_head_(\d+)",
        _PREDICTOR + r"/_prediction_heads/class_predictions_with_background/\1/_class_predictor_layers/0",
    ),
    (r"box_head", _PREDICTOR + r"/_box_prediction_head/_box_encoder_layers/0"),
    (
        r"class_head",
        _PREDICTOR + r"/_prediction_heads/class_predictions_with_background/_class_predictor_layers/0",
    ),
    (r"shared_tower_(\d+)", _PREDICTOR + r"/_head_scope_conv_layers/PredictionTower/\1"),
    (r"box_tower_(\d+)", _PREDICTOR + r"/_head_scope_conv_layers/BoxPredictionTower/\1"),
    (r"class_tower_(\d+)", _PREDICTOR + r"/_head_scope_conv_layers/ClassPredictionTower/\1"),
    # A shared tower's batch norms are stored under the box head.
    (
        r"(?:shared|box)_tower_norm_(\d+)_(\d+)",
        _PREDICTOR + r"/_base_tower_layers_for_heads/box_encodings/\1/\2",
    ),
    (
        r"class_tower_norm_(\d+)_(\d+)",
        _PREDICTOR + r"/_base_tower_layers_for_heads/class_predictions_with_background/\1/\2",
    ),
]


def checkpoint_prefix(layer_name: str) -> str | None:
    """The checkpoint object a layer is restored from, or None for a layer without weights."""
    for pattern, key in _KEYS:
        match = re.fullmatch(pattern, layer_name)
        if match:
            return match.expand(key)
    return None


def checkpoint_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Every weight of a network under its full checkpoint key
    (`model/.../kernel/.ATTRIBUTES/VARIABLE_VALUE`).
    """
    found = {}
    for layer in model.layers:
        prefix = checkpoint_prefix(layer.name)
        for variable in layer.weights if prefix else ():
            # Keras 3 calls a depthwise layer's only kernel "kernel", the checkpoint "depthwise_kernel".
            leaf = "depthwise_kernel" if isinstance(layer, keras.layers.DepthwiseConv2D) else variable.name
            found[f"{prefix}/{leaf}{SUFFIX}"] = variable
    return found


@keras.saving.register_keras_serializable(package="boxscope")
class FreezableBatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation that can keep its stored statistics while gamma and beta still learn.

    In training the moving variance takes in the n/(n-1) corrected variance of the batch, as the reference
    does (Keras 3 itself takes the plain one, which is 14 % less on a 1x1 map and a batch of 8). With
    TensorFlow the fused kernel does it: the forward pass in training took a third of the time on 2 cores.

    Args:
        frozen: True uses (and never updates) the moving statistics, whatever `training` says.
    """

    def __init__(self, frozen: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.frozen = bool(frozen)

    def call(self, inputs, training=None, mask=None):
        if self.frozen or not training or not self.trainable:
            return super().call(inputs, training=False, mask=mask)
        if keras.backend.backend() == "tensorflow" and len(inputs.shape) == 4 and self.center and self.scale:
            return self._fused(inputs)
        before = ops.convert_to_tensor(self.moving_variance) * self.momentum
        outputs = super().call(inputs, training=True, mask=mask)
        count = ops.cast(ops.prod(ops.shape(inputs)[:-1]), "float32")
        added = self.moving_variance - before
        self.moving_variance.assign(before + added * count / ops.maximum(count - 1.0, 1.0))
        return outputs

    def _fused(self, inputs):
        import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=ops.cast(self.gamma, "float32"),
            offset=ops.cast(self.beta, "float32"),
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=self.epsilon,
            is_training=True,
        )
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        return outputs

    def get_config(self) -> dict:
        return {**super().get_config(), "frozen": self.frozen}


def relu6(x, name: str | None = None):
    """min(max(x, 0), 6): every activation of all three networks, the ResNet's too."""
    return keras.layers.ReLU(max_value=6.0, name=name)(x)


def _bias(initial: float | None) -> dict[str, Any]:
    return {"use_bias": initial is not None, "bias_initializer": keras.initializers.Constant(initial or 0.0)}


class Blocks:
    """Makes the layers of one part of a network with that part's settings; a name used twice is the same
    layer.

    Args:
        initializer: of convolution kernels.
        l2: regulariser weight as the config file states it (Keras gets half of it).
        norm: batch norm settings.
        frozen: whether batch norms keep their stored statistics.
    """

    def __init__(self, initializer: Initializer, l2: float, norm: BatchNorm, frozen: bool):
        self._initializer, self._l2, self._norm, self._frozen = initializer, l2, norm, frozen
        self._made: dict[str, keras.layers.Layer] = {}

    def _once(self, name: str, make) -> keras.layers.Layer:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def initial(self) -> keras.initializers.Initializer:
        spec = self._initializer
        kinds = {
            "random_normal": keras.initializers.RandomNormal,
            "truncated_normal": keras.initializers.TruncatedNormal,
        }
        return kinds[spec.kind](mean=spec.mean, stddev=spec.stddev)

    def decay(self) -> keras.regularizers.Regularizer | None:
        return keras.regularizers.L2(self._l2 / 2) if self._l2 else None

    def conv(
        self,
        x,
        name: str,
        filters: int,
        size: int = 1,
        stride: int = 1,
        *,
        bias: float | None = None,
        padding: str = "same",
    ):
        """A convolution; `bias` is the initial bias, None means it has none."""
        layer = self._once(
            name,
            lambda: keras.layers.Conv2D(
                filters,
                size,
                stride,
                padding,
                kernel_initializer=self.initial(),
                kernel_regularizer=self.decay(),
                name=name,
                **_bias(bias),
            ),
        )
        return layer(x)

    def depthwise(self, x, name: str, stride: int = 1):
        layer = self._once(
            name,
            lambda: keras.layers.DepthwiseConv2D(
                3,
                stride,
                "same",
                use_bias=False,
                depthwise_initializer=self.initial(),
                depthwise_regularizer=self.decay(),
                name=name,
            ),
        )
        return layer(x)

    def separable(
        self, x, name: str, filters: int, stride: int = 1, *, bias: float | None = None, head: bool = False
    ):
        """Depthwise 3x3 and pointwise 1x1 with nothing between.

        Only the depthwise kernel is regularised and drawn as configured, the pointwise one is glorot uniform;
        a predictor (`head`) has both glorot uniform and neither regularised (as the reference trains them).
        """
        layer = self._once(
            name,
            lambda: keras.layers.SeparableConv2D(
                filters,
                3,
                stride,
                "same",
                depthwise_initializer="glorot_uniform" if head else self.initial(),
                depthwise_regularizer=None if head else self.decay(),
                name=name,
                **_bias(bias),
            ),
        )
        return layer(x)

    def norm(self, x, name: str):
        spec = self._norm
        layer = self._once(
            name,
            lambda: FreezableBatchNorm(
                frozen=self._frozen,
                momentum=spec.decay,
                epsilon=spec.epsilon,
                center=spec.center,
                scale=spec.scale,
                name=name,
            ),
        )
        return layer(x)

    def norm_relu6(self, x, name: str):
        return relu6(self.norm(x, name))


@keras.saving.register_keras_serializable(package="boxscope")
class NearestDouble(keras.layers.Layer):
    """Each pixel repeated 2x2: [B, h, w, C] to [B, 2h, 2w, C].

    Joined along the last axis and reshaped, because XNNPACK runs that and neither a tile nor a nearest
    resize: either would cut the LiteRT build into pieces.
    """

    def call(self, x):
        _, height, width, channels = x.shape
        x = ops.reshape(ops.concatenate([x, x], axis=-1), (-1, height, 2 * width * channels))
        return ops.reshape(ops.concatenate([x, x], axis=-1), (-1, 2 * height, 2 * width, channels))

    def compute_output_shape(self, shape):
        batch, height, width, channels = shape
        return (batch, height and 2 * height, width and 2 * width, channels)
