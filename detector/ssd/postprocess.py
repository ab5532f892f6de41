"""From codes and logits to detections, by the reference's rule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PostprocessSettings:
    """The settings of the reference's `batch_non_max_suppression`, under their names."""

    score_threshold: float = 1e-8
    iou_threshold: float = 0.6
    max_detections_per_class: int = 100
    max_total_detections: int = 100
