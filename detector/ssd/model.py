"""Config to network: a Keras functional model that every Keras backend can run, train and open up."""

from __future__ import annotations

import keras

from detector.ssd import backbones, heads, necks
from detector.ssd.config import SSDConfig
from detector.ssd.layers import Blocks

FEATURE_PREFIX = "feature_map_"


def build_ssd(config: SSDConfig, *, batch_size: int | None = None) -> keras.Model:
    """The network with freshly drawn weights.

    Args:
        config: what to build.
        batch_size: a fixed batch, or None for any.

    Returns:
        A functional `keras.Model`. Input: "image", float32 [B, height, width, 3], already preprocessed
        (`detector.ssd.preprocess`). Output: a dict of float32 {"box_encodings": [B, A, 4] codes (ty, tx, th,
            tw)
        of `detector.ssd.coder`, "class_logits": [B, A, K + 1], column 0 the background}; A in the order of
        `detector.ssd.anchors`. The maps that the predictor sees are the outputs of the layers
        `feature_map_0` (finest) and up. L2 terms are in `model.losses`.
    """
    image = keras.Input((config.height, config.width, 3), batch_size=batch_size, name="image")
    blocks = Blocks(config.initializer, config.l2, config.batch_norm, config.freeze_batchnorm)
    predictor = Blocks(
        config.predictor_initializer,
        config.predictor_l2,
        config.predictor_batch_norm,
        config.freeze_batchnorm,
    )
    resnet = config.architecture == "ssd_resnet50_v1_fpn"
    taps = (backbones.resnet50 if resnet else backbones.mobilenet_v2)(image, blocks, config)
    maps = (necks.feature_pyramid if config.fpn else necks.extra_maps)(taps, blocks, config)
    maps = [keras.layers.Identity(name=f"{FEATURE_PREFIX}{i}")(x) for i, x in enumerate(maps)]
    boxes, logits = (heads.weight_shared if config.fpn else heads.convolutional)(maps, predictor, config)
    outputs = {
        "box_encodings": keras.layers.Concatenate(axis=1, name="box_encodings", dtype="float32")(boxes),
        "class_logits": keras.layers.Concatenate(axis=1, name="class_logits", dtype="float32")(logits),
    }
    return keras.Model(image, outputs, name=config.architecture)


def feature_maps(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """The symbolic feature maps by layer name, fine to coarse."""
    names = [layer.name for layer in model.layers if layer.name.startswith(FEATURE_PREFIX)]
    return {name: model.get_layer(name).output for name in sorted(names)}


def stride_8(model: keras.Model) -> keras.KerasTensor:
    """The backbone's map of stride 8: everything the network knows of the image passes through it."""
    # The first convolution after that map: block 6's expansion of MobileNetV2, stage 4's of ResNet-50.
    first_after = "backbone_46" if model.name == "ssd_resnet50_v1_fpn" else "backbone_36"
    return model.get_layer(first_after).input


def with_features(model: keras.Model) -> keras.Model:
    """The same network (same weights) whose output dict also holds its feature maps."""
    return keras.Model(
        model.input, {**model.output, **feature_maps(model)}, name=f"{model.name}_with_features"
    )


def split_at_features(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """(image -> list of feature maps, fine to coarse; that list -> outputs): the two halves, same weights.

    On any backend the second half can be differentiated by the feature maps.
    """
    maps = list(feature_maps(model).values())
    return keras.Model(model.input, maps), keras.Model(maps, model.output)
