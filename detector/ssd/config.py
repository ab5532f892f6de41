"""What decides the shape and the answers of an SSD: one frozen value, from a preset or from a
pipeline.config.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from detector.errors import ConfigError
from detector.nms import PostprocessSettings


@dataclass(frozen=True)
class SSDAnchors:
    """The anchors of the original SSD paper, `ssd_anchor_generator`: one scale a feature map, growing
    linearly.

    Scales are fractions of the shorter image side; map i of n has min + (max - min) * i / (n - 1).
    """

    num_layers: int = 6
    min_scale: float = 0.2
    max_scale: float = 0.95
    aspect_ratios: tuple[float, ...] = (1.0, 2.0, 0.5, 3.0, 0.3333)
    interpolated_scale_aspect_ratio: float = 1.0
    reduce_boxes_in_lowest_layer: bool = True


@dataclass(frozen=True)
class MultiscaleAnchors:
    """The anchors of RetinaNet, `multiscale_anchor_generator`: level l has base size anchor_scale * 2**l
    pixels.
    """

    min_level: int = 3
    max_level: int = 7
    anchor_scale: float = 4.0
    aspect_ratios: tuple[float, ...] = (1.0, 2.0, 0.5)
    scales_per_octave: int = 2


@dataclass(frozen=True)
class Initializer:
    """How fresh convolution kernels are drawn: `random_normal` or `truncated_normal` (cut at two sigma)."""

    kind: str = "truncated_normal"
    mean: float = 0.0
    stddev: float = 0.03


@dataclass(frozen=True)
class BatchNorm:
    """Settings of every batch normalisation; `decay` is what Keras calls momentum."""

    decay: float = 0.997
    epsilon: float = 0.001
    center: bool = True
    scale: bool = True


ARCHITECTURES = ("ssd_mobilenet_v2", "ssd_mobilenet_v2_fpnlite", "ssd_resnet50_v1_fpn")


@dataclass(frozen=True)
class SSDConfig:
    """A network of the SSD family.

    Args:
        architecture: one of `ARCHITECTURES`; decides backbone, neck, predictor and pixel normalisation.
        num_classes: K real classes; the class head has K + 1 outputs, output 0 is the background.
        height, width: input size in pixels. FPN networks need multiples of 32.
        alpha: width multiplier of backbone and neck; 1.0 is the zoo's.
        min_depth: the narrowest a convolution may get through `alpha`.
        depth: channels of the FPN maps before `alpha` (unused without an FPN).
        predictor_depth: channels of the prediction towers (unused without an FPN).
        tower_layers: convolutions in a tower before its predictor (unused without an FPN).
        anchors: which anchor boxes; must fit the architecture.
        batch_norm, predictor_batch_norm, initializer, predictor_initializer: of the feature extractor
            (backbone and neck) and of the box predictor.
        l2, predictor_l2: `weight` of the L2 regulariser as the config file says it; the loss is weight / 2 *
            ||k||^2.
        class_bias: initial bias of every class output.
        freeze_batchnorm: batch norms always use their stored statistics; gamma and beta still learn.
        box_scales: (y, x, height, width) scale factors of the box coder.
        postprocess: score threshold, IoU and caps of the detections.
        name: a label for people and files.

    Raises:
        ConfigError: a value that no network can be built from.
    """

    architecture: str = "ssd_mobilenet_v2"
    num_classes: int = 90
    height: int = 300
    width: int = 300
    alpha: float = 1.0
    min_depth: int = 16
    depth: int = 256
    predictor_depth: int = 256
    tower_layers: int = 4
    anchors: SSDAnchors | MultiscaleAnchors = field(default_factory=SSDAnchors)
    batch_norm: BatchNorm = BatchNorm()
    predictor_batch_norm: BatchNorm = BatchNorm()
    initializer: Initializer = Initializer()
    predictor_initializer: Initializer = Initializer("random_normal", 0.0, 0.01)
    l2: float = 4e-5
    predictor_l2: float = 4e-5
    class_bias: float = -4.6
    freeze_batchnorm: bool = False
    box_scales: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    postprocess: PostprocessSettings = PostprocessSettings()
    name: str = ""

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ConfigError(
                f"SSDConfig.architecture: expected one of {', '.join(ARCHITECTURES)}, got"
                f" {self.architecture!r}."
            )
        if self.num_classes < 1:
            raise ConfigError(f"SSDConfig.num_classes: expected at least 1, got {self.num_classes}.")
        if min(self.height, self.width) < 1:
            raise ConfigError(
                f"SSDConfig: expected an input of at least 1x1 pixels, got {self.width}x{self.height}."
            )
        if self.fpn and (self.height % 32 or self.width % 32):
            raise ConfigError(
                "SSDConfig: an FPN doubles its maps, so height and width must be multiples of 32, got"
                f" {self.width}x{self.height}."
            )
        want = MultiscaleAnchors if self.fpn else SSDAnchors
        if not isinstance(self.anchors, want):
            raise ConfigError(
                f"SSDConfig.anchors: {self.architecture} expects {want.__name__}, got"
                f" {type(self.anchors).__name__}."
            )
        if self.fpn and (self.anchors.min_level, self.anchors.max_level) != (3, 7):
            raise ConfigError(
                f"SSDConfig.anchors: the FPN has levels 3 to 7, got {self.anchors.min_level} to"
                f" {self.anchors.max_level}."
            )
        if not self.fpn and self.anchors.num_layers != 6:
            raise ConfigError(
                "SSDConfig.anchors: the network has 6 feature maps, got num_layers"
                f" {self.anchors.num_layers}."
            )

    @property
    def fpn(self) -> bool:
        return self.architecture != "ssd_mobilenet_v2"

    @property
    def depthwise(self) -> bool:
        """Whether neck and towers use depthwise-separable convolutions and share one tower (FPNLite)."""
        return self.architecture == "ssd_mobilenet_v2_fpnlite"

    def grids(self) -> list[tuple[int, int]]:
        """(rows, columns) of each feature map, fine to coarse: SAME convolutions of stride 2 round up."""

        def halve(size: tuple[int, int], times: int) -> tuple[int, int]:
            for _ in range(times):
                size = (-(-size[0] // 2), -(-size[1] // 2))
            return size

        first, levels = (3, 5) if self.fpn else (4, 6)
        return [halve((self.height, self.width), first + i) for i in range(levels)]

    def anchors_per_cell(self) -> list[int]:
        """How many anchors each feature map has a cell."""
        if isinstance(self.anchors, MultiscaleAnchors):
            return [len(self.anchors.aspect_ratios) * self.anchors.scales_per_octave] * 5
        full = len(self.anchors.aspect_ratios) + (
            1 if self.anchors.interpolated_scale_aspect_ratio > 0 else 0
        )
        return [3 if i == 0 and self.anchors.reduce_boxes_in_lowest_layer else full for i in range(6)]

    def with_(self, **changes) -> SSDConfig:
        """A copy with these fields changed."""
        return replace(self, **changes)


def mobilenet_v2(**changes) -> SSDConfig:
    """`ssd_mobilenet_v2_320x320_coco17_tpu-8`; its real input is 300x300."""
    norm = BatchNorm(decay=0.97)
    base = SSDConfig(batch_norm=norm, predictor_batch_norm=norm, name="ssd_mobilenet_v2_320x320_coco17_tpu-8")
    return replace(base, **changes)


def mobilenet_v2_fpnlite(**changes) -> SSDConfig:
    """`ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8`."""
    base = SSDConfig(
        "ssd_mobilenet_v2_fpnlite",
        height=320,
        width=320,
        depth=128,
        predictor_depth=128,
        anchors=MultiscaleAnchors(),
        initializer=Initializer("random_normal", 0.0, 0.01),
        name="ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8",
    )
    return replace(base, **changes)


def resnet50_fpn(**changes) -> SSDConfig:
    """`ssd_resnet50_v1_fpn_640x640_coco17_tpu-8` (RetinaNet50)."""
    base = SSDConfig(
        "ssd_resnet50_v1_fpn",
        height=640,
        width=640,
        anchors=MultiscaleAnchors(),
        l2=4e-4,
        predictor_l2=4e-4,
        name="ssd_resnet50_v1_fpn_640x640_coco17_tpu-8",
    )
    return replace(base, **changes)


PRESETS = {config().name: config for config in (mobilenet_v2, mobilenet_v2_fpnlite, resnet50_fpn)}
