"""What a two-head network is, in one frozen, checked value; no deep-learning library is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_type_hints

from detector.config import checked
from detector.errors import ConfigError

NORMALISATIONS = ("-1..1", "0..255", "caffe", "deviations")
"""How a backbone wants its RGB pixels: scaled to -1..1, as they are, as BGR less ImageNet's channel means, or
less the means and over the deviations."""

BACKBONES: dict[str, str] = (
    {
        "MobileNet": "-1..1",
        "MobileNetV2": "-1..1",
        "MobileNetV3Small": "-1..1",
        "MobileNetV3Large": "-1..1",
        "ResNet50": "caffe",
        "ResNet101": "caffe",
        "ResNet50V2": "-1..1",
    }
    | {f"EfficientNetB{i}": "deviations" for i in range(8)}
    | {f"EfficientNetV2B{i}": "0..255" for i in range(4)}
)
"""Backbones of keras.applications by name, with the normalisation each was trained with. EfficientNetV2
scales inside.
"""

WIDE = ("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large")  # those with a width multiplier
HEADS = ("both", "class", "box")
RESIZES = ("stretch", "letterbox")
POOLS = ("flatten", "average")
BOX_FORMATS = ("corners", "centre")


@dataclass(frozen=True)
class TwoHeadConfig:
    """The network: backbone, input and heads. Every field has a default.

    Args:
        backbone: one of `BACKBONES`. alpha: width multiplier, of the MobileNets only.
        input_size: (width, height) in pixels, at least 32 each.
        resize: "stretch" the picture to the input, or "letterbox" it (grey bars keep its shape).
        num_classes: outputs of the class head.
        heads: "both", "class" alone (the box is the whole picture) or "box" alone (one class, always
            certain).
        class_widths: units of the hidden layers of the class head, which stands on the averaged map.
        box_pool: what the box head stands on: "flatten" (the map, which keeps where things are) or "average".
        box_channels: the map is brought to this many channels before it is flattened.
        box_widths: units of the hidden layers of the box head.
        box_format: what the box head's four sigmoids are: "corners" x1, y1, x2, y2 or "centre" x, y, width,
            height, as shares of the input.
        dropout: before each layer of the heads.

    Raises:
        ConfigError: a value of the wrong type or out of range.
    """

    backbone: str = "MobileNetV2"
    alpha: float = 1.0
    input_size: tuple[int, int] = (224, 224)
    resize: str = "stretch"
    num_classes: int = 1
    heads: str = "both"
    class_widths: tuple[int, ...] = ()
    box_pool: str = "flatten"
    box_channels: int = 64
    box_widths: tuple[int, ...] = (256,)
    box_format: str = "centre"
    dropout: float = 0.2

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            object.__setattr__(
                self, field.name, checked(field.name, getattr(self, field.name), hints[field.name])
            )
        for name, known in (
            ("backbone", tuple(BACKBONES)),
            ("heads", HEADS),
            ("resize", RESIZES),
            ("box_pool", POOLS),
            ("box_format", BOX_FORMATS),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}.")
        if min(self.input_size) < 32:
            raise ConfigError(
                f"input_size: expected at least 32 pixels each way, got {list(self.input_size)}."
            )
        for name in ("num_classes", "box_channels"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)}.")
        for name in ("class_widths", "box_widths"):
            if min(getattr(self, name), default=1) < 1:
                raise ConfigError(
                    f"{name}: expected at least 1 unit a layer, got {list(getattr(self, name))}."
                )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout: expected 0 or more and less than 1, got {self.dropout}.")
        if self.alpha <= 0:
            raise ConfigError(f"alpha: expected a width above 0, got {self.alpha}.")
        if self.alpha != 1 and self.backbone not in WIDE:
            raise ConfigError(
                f"alpha: only {', '.join(WIDE)} have a width multiplier, {self.backbone} has none."
            )

    @property
    def has_classes(self) -> bool:
        return self.heads != "box"

    @property
    def has_boxes(self) -> bool:
        return self.heads != "class"

    @property
    def normalisation(self) -> str:
        return BACKBONES[self.backbone]

    def as_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` takes and JSON can hold."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TwoHeadConfig:
        """Raises ConfigError: an unknown key, or as the class."""
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ConfigError(f"a two-head network has no {unknown[0]!r}.")
        return cls(**values)
