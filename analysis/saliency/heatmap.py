"""What a method answers: a map with its unit, what it cost and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from analysis.saliency.targets import Target
from detector.core import frozen_array


@dataclass(frozen=True, eq=False)
class HeatMap:
    """The evidence for one target, or the model's confidence.

    Args:
        method: its name in `analysis.saliency.methods.EVIDENCE_METHODS`.
        values: float32 [h, w] over the whole image, at the method's own resolution; **not** normalised.
        image_size: (W, H) of the image.
        unit: "confidence" (0..1), "evidence" (arbitrary, >= 0), "logit" (sums to a change of the logit),
            "logit slope" or "score slope" (what showing a place adds to the logit or score), "share" or
            "share slope" (the same for sides of a box, as shares of the picture).
        signed: whether negative values mean evidence against.
        target: what was asked; None for a confidence map.
        value, baseline: the target's evidence on the clean picture, and on the one where nothing is shown.
        reliability: 0..1, split-half, of sampled maps; completeness: relative error of a path integral.
        forwards, backwards: passes of one picture through the network; seconds; seed of sampled maps.
        done: False for a picture on the way.
        params: settings that decided it; notes: sentences a reader needs.
    """

    method: str
    values: np.ndarray
    image_size: tuple[int, int]
    unit: str
    signed: bool = False
    target: Target | None = None
    value: float | None = None
    baseline: float | None = None
    reliability: float | None = None
    completeness: float | None = None
    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0
    seed: int | None = None
    done: bool = True
    params: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "values", frozen_array(self.values, np.float32, (None, None), f"{self.method}")
        )

    def full(self) -> np.ndarray:
        """float32 [H, W], bilinear, one value a pixel of the image."""
        return resized(self.values, self.image_size)

    def facts(self) -> dict[str, Any]:
        """Everything but the map, as plain values."""
        target = self.target
        return {
            "method": self.method,
            "unit": self.unit,
            "signed": self.signed,
            "target": (
                None
                if target is None
                else {
                    "kind": target.kind,
                    "class_id": target.class_id,
                    "box": None if target.box is None else target.box.tolist(),
                    "anchor_ids": target.anchor_ids.tolist(),
                    "weights": target.weights.tolist(),
                    "sides": None if target.sides is None else target.sides.tolist(),
                    "note": target.note,
                }
            ),
            "value": self.value,
            "baseline": self.baseline,
            "reliability": self.reliability,
            "completeness_error": self.completeness,
            "forwards": self.forwards,
            "backwards": self.backwards,
            "seconds": round(self.seconds, 3),
            "seed": self.seed,
            "done": self.done,
            "params": dict(self.params),
            "notes": list(self.notes),
        }


def resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map [h, w] at another size (W, H): bilinear up, by area down."""
    down = size[0] < values.shape[1] and size[1] < values.shape[0]
    return cv2.resize(
        np.asarray(values, np.float32), size, interpolation=cv2.INTER_AREA if down else cv2.INTER_LINEAR
    )
