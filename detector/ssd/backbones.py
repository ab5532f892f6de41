"""The two backbones: MobileNetV2 and ResNet-50 v1, as the TF2 Object Detection API runs them.

Weighted layers are numbered in the reference's order (`backbone_<n>`), which is the checkpoint's order.
"""

from __future__ import annotations

import keras

from detector.ssd import layers
from detector.ssd.config import SSDConfig
from detector.ssd.layers import Blocks

# (stride, channels) of MobileNetV2's blocks 1 to 16; block 0 is the unexpanded one.
MOBILENET_BLOCKS = (
    (2, 24),
    (1, 24),
    (2, 32),
    (1, 32),
    (1, 32),
    (2, 64),
    (1, 64),
    (1, 64),
    (1, 64),
    (1, 96),
    (1, 96),
    (1, 96),
    (2, 160),
    (1, 160),
    (1, 160),
    (1, 320),
)
# (filters, blocks, stride of the first block, number of its first weighted layer) of ResNet-50's stages.
RESNET_STAGES = ((64, 3, 1, 2), (128, 4, 2, 22), (256, 6, 2, 48), (512, 3, 2, 86))
# Which weighted layer of a stage's first block is which: the shortcut's weights stand among the main path's.
FIRST_BLOCK = {
    "1_conv": 0,
    "1_norm": 1,
    "2_conv": 2,
    "2_norm": 3,
    "0_conv": 4,
    "3_conv": 5,
    "0_norm": 6,
    "3_norm": 7,
}
OTHER_BLOCK = {"1_conv": 0, "1_norm": 1, "2_conv": 2, "2_norm": 3, "3_conv": 4, "3_norm": 5}


def scaled(filters: int, config: SSDConfig, *, expansion: bool = False) -> int:
    """Channels after the width multiplier, rounded to a multiple of 8 as MobileNet does, at least
    `min_depth`.
    """
    if config.alpha != 1.0:
        value = filters * config.alpha
        filters = max(8, int(value + 4) // 8 * 8)
        filters = filters + 8 if filters < 0.9 * value else filters
    return filters if expansion else max(filters, config.min_depth)


def mobilenet_v2(image, blocks: Blocks, config: SSDConfig) -> dict:
    """MobileNetV2: image [B, H, W, 3] to the maps an SSD taps.

    Returns:
        {"C3": block 5 (stride 8), "C4": block 12 (stride 16), "C4_expand": block 13's expansion after its
        ReLU6 (stride 16), "C5": the last map (stride 32)}. C3 and C4 are linear.
    """
    taps = {}
    x = blocks.norm_relu6(blocks.conv(image, "backbone_0", scaled(32, config), 3, 2), "backbone_1")
    x = blocks.norm_relu6(blocks.depthwise(x, "backbone_2"), "backbone_3")
    x = blocks.norm(blocks.conv(x, "backbone_4", scaled(16, config)), "backbone_5")
    for b, (stride, channels) in enumerate(MOBILENET_BLOCKS, start=1):
        n = 6 * b
        y = blocks.conv(x, f"backbone_{n}", 6 * x.shape[-1])
        y = blocks.norm_relu6(y, f"backbone_{n + 1}")
        if b == 13:
            taps["C4_expand"] = y
        y = blocks.norm_relu6(blocks.depthwise(y, f"backbone_{n + 2}", stride), f"backbone_{n + 3}")
        y = blocks.norm(blocks.conv(y, f"backbone_{n + 4}", scaled(channels, config)), f"backbone_{n + 5}")
        x = keras.layers.add([x, y]) if stride == 1 and x.shape[-1] == y.shape[-1] else y
        if b in (5, 12):
            taps["C3" if b == 5 else "C4"] = x
    last = 1280 if config.alpha >= 1 else scaled(1280, config)
    taps["C5"] = blocks.norm_relu6(blocks.conv(x, "backbone_102", last), "backbone_103")
    return taps


def bottleneck_strides(stride: int) -> tuple[int, int]:
    """Strides of a bottleneck's 1x1 and 3x3: the original ResNet strides in the 1x1 (v1, not v1.5)."""
    return stride, 1


def resnet50(image, blocks: Blocks, config: SSDConfig) -> dict:
    """ResNet-50 v1: image [B, H, W, 3] to {"C3", "C4", "C5"} of strides 8, 16 and 32, after their ReLU6."""
    taps = {}
    x = keras.layers.ZeroPadding2D(3)(image)
    x = blocks.conv(x, "backbone_0", scaled(64, config), 7, 2, padding="valid")
    x = blocks.norm_relu6(x, "backbone_1")
    x = keras.layers.MaxPooling2D(3, 2, "same")(x)
    for stage, (filters, count, stride, n) in enumerate(RESNET_STAGES, start=2):
        for block in range(count):
            first = block == 0
            x = _bottleneck(x, blocks, n, scaled(filters, config), stride if first else 1, first)
            n += 8 if first else 6
        taps[f"C{stage}"] = x
    return {level: taps[level] for level in ("C3", "C4", "C5")}


def _bottleneck(x, blocks: Blocks, n: int, filters: int, stride: int, first: bool):
    number = {part: f"backbone_{n + i}" for part, i in (FIRST_BLOCK if first else OTHER_BLOCK).items()}
    outer, inner = bottleneck_strides(stride)
    shortcut = x
    if first:
        shortcut = blocks.norm(blocks.conv(x, number["0_conv"], 4 * filters, 1, stride), number["0_norm"])
    y = blocks.norm_relu6(blocks.conv(x, number["1_conv"], filters, 1, outer), number["1_norm"])
    y = blocks.norm_relu6(blocks.conv(y, number["2_conv"], filters, 3, inner), number["2_norm"])
    y = blocks.norm(blocks.conv(y, number["3_conv"], 4 * filters), number["3_norm"])
    return layers.relu6(keras.layers.add([shortcut, y]))
