"""From the backbone's taps to the feature maps the predictor sees: SSD's extra maps, or a feature pyramid."""

from __future__ import annotations

import keras

from detector.ssd import layers
from detector.ssd.config import SSDConfig
from detector.ssd.layers import Blocks

# Channels of the four maps that SSD adds below the backbone.
EXTRA_DEPTHS = (512, 256, 256, 128)


def narrowed(depth: int, config: SSDConfig) -> int:
    """Neck channels under the width multiplier: truncated, at least `min_depth`."""
    return max(int(depth * config.alpha), config.min_depth)


def extra_maps(taps: dict, blocks: Blocks, config: SSDConfig) -> list:
    """Two taps and four further maps, each half the one before: strides 16, 32, 64, 128, 256, 512."""
    maps = [taps["C4_expand"], taps["C5"]]
    for i, depth in enumerate(EXTRA_DEPTHS, start=2):
        x = blocks.conv(maps[-1], f"extra_{i}_0", narrowed(depth // 2, config))
        x = blocks.norm_relu6(x, f"extra_{i}_1")
        x = blocks.conv(x, f"extra_{i}_3", narrowed(depth, config), 3, 2)
        maps.append(blocks.norm_relu6(x, f"extra_{i}_4"))
    return maps


def coarse_input(p5):
    """What P6 is made of: P5 as it is, linear."""
    return p5


def double(x):
    """Nearest-neighbour upsampling by two."""
    return layers.NearestDouble()(x)


def feature_pyramid(taps: dict, blocks: Blocks, config: SSDConfig) -> list:
    """P3 to P7 (strides 8 to 128). P5 is linear; P4 and P3 are smoothed and activated, top down."""
    depth = narrowed(config.depth, config)

    def conv3(x, name: str, stride: int = 1):
        if config.depthwise:
            return blocks.separable(x, name, depth, stride)
        return blocks.conv(x, name, depth, 3, stride)

    p5 = blocks.conv(taps["C5"], "fpn_top_0", depth, bias=0.0)
    top, smoothed = p5, []
    for i, level in enumerate(("C4", "C3")):
        lateral = blocks.conv(taps[level], f"fpn_lateral_{i}", depth, bias=0.0)
        top = keras.layers.add([double(top), lateral])
        top = blocks.norm_relu6(conv3(top, f"fpn_smooth_{i}_0"), f"fpn_smooth_{i}_1")
        smoothed.append(top)
    p6 = blocks.norm_relu6(conv3(coarse_input(p5), "fpn_coarse_0_0", 2), "fpn_coarse_0_1")
    p7 = blocks.norm_relu6(conv3(p6, "fpn_coarse_1_0", 2), "fpn_coarse_1_1")
    return [smoothed[1], smoothed[0], p5, p6, p7]
