"""The box predictors: feature maps to box codes [B, A, 4] and class logits [B, A, K + 1] (column 0
background).
"""

from __future__ import annotations

import keras

from detector.ssd.config import SSDConfig
from detector.ssd.layers import Blocks


def _flat(x, code: int):
    """[B, h, w, k * code] to [B, h * w * k, code]: anchor type fastest, then column, then row. Always
    float32.
    """
    return keras.layers.Reshape((-1, code), dtype="float32")(x)


def convolutional(maps: list, blocks: Blocks, config: SSDConfig) -> tuple[list, list]:
    """SSD's own predictor: one 1x1 convolution a map and head, nothing before it."""
    boxes, logits = [], []
    for i, (x, k) in enumerate(zip(maps, config.anchors_per_cell())):
        boxes.append(_flat(blocks.conv(x, f"box_head_{i}", k * 4, bias=0.0), 4))
        outputs = config.num_classes + 1
        logits.append(_flat(blocks.conv(x, f"class_head_{i}", k * outputs, bias=config.class_bias), outputs))
    return boxes, logits


def norm_level(level: int) -> int:
    """Which level's batch norms a level uses: its own. Only convolutions are shared between levels."""
    return level


def weight_shared(maps: list, blocks: Blocks, config: SSDConfig) -> tuple[list, list]:
    """RetinaNet's predictor: towers and heads shared by all levels, batch norms per level.

    FPNLite runs one tower for both heads, the ResNet one tower a head.
    """

    def conv3(x, name: str, filters: int, *, bias: float | None = None, head: bool = False):
        if config.depthwise:
            return blocks.separable(x, name, filters, bias=bias, head=head)
        return blocks.conv(x, name, filters, 3, bias=bias)

    def tower(x, name: str, level: int):
        for i in range(config.tower_layers):
            x = conv3(x, f"{name}_tower_{i}", config.predictor_depth)
            # The reference keeps conv, norm and activation in one list: norms sit at 1, 4, 7, 10.
            x = blocks.norm_relu6(x, f"{name}_tower_norm_{norm_level(level)}_{3 * i + 1}")
        return x

    boxes, logits = [], []
    outputs = config.num_classes + 1
    for level, (x, k) in enumerate(zip(maps, config.anchors_per_cell())):
        if config.depthwise:
            for_box = for_class = tower(x, "shared", level)
        else:
            for_box, for_class = tower(x, "box", level), tower(x, "class", level)
        boxes.append(_flat(conv3(for_box, "box_head", k * 4, bias=0.0, head=True), 4))
        logits.append(
            _flat(conv3(for_class, "class_head", k * outputs, bias=config.class_bias, head=True), outputs)
        )
    return boxes, logits
