"""What decides a sliding-window detector's answers besides its weights."""

from __future__ import annotations

from dataclasses import dataclass

from detector.errors import ConfigError


@dataclass(frozen=True)
class SlidingWindowSettings:
    """Scales, thresholds and refinement.

    Args:
        window_widths: widths, in pixels of the original image, of the windows looked for; heights follow the
            patch.
        score_threshold: windows below it are not detections.
        iou_threshold: a window that overlaps a better one by more is suppressed.
        inside_threshold: so is one of which a better one covers more than this share, or that covers more
            than this share of a better one: across scales a part of an object overlaps the whole by a small
            IoU. 1 is off.
        refine_iou: windows overlapping a survivor by at least this move it; 1 switches refinement off.
        pad: share of the window by which the border is repeated, so that objects cut by it are found; 0..0.5.
        max_detections: an image.

    Raises:
        ConfigError: a value out of range.
    """

    window_widths: tuple[float, ...] = (100.0,)
    score_threshold: float = 0.01
    iou_threshold: float = 0.2
    inside_threshold: float = 0.6
    refine_iou: float = 0.5
    pad: float = 0.2
    max_detections: int = 100

    def __post_init__(self) -> None:
        try:
            widths = tuple(float(w) for w in self.window_widths)
        except (TypeError, ValueError):
            raise ConfigError(
                f"window_widths: expected a list of widths in pixels, got {self.window_widths!r}."
            ) from None
        object.__setattr__(self, "window_widths", widths)
        if not widths or not all(0 < w < 1e5 for w in widths):
            raise ConfigError(
                f"window_widths: expected at least one positive width in pixels, got {list(widths)}."
            )
        for name in ("score_threshold", "iou_threshold", "inside_threshold", "refine_iou"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: expected 0..1, got {getattr(self, name)}.")
        if not 0 <= self.pad <= 0.5 or self.max_detections < 1:
            raise ConfigError(
                f"expected pad in 0..0.5 and max_detections of at least 1, got {self.pad} and"
                f" {self.max_detections}."
            )
