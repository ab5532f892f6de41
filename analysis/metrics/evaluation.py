"""The result of an evaluation: COCO's twelve figures, the figures per class and the settings behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.matching.operating_point import operating_point
from analysis.runs.reader import RunReader

FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


AREA_SOURCES = ("file", "box")


DEFAULTS = {
    "crowd": "ignore",
    "difficult": "count",
    "interpolation": "101",
    "classes_without_truth": "leave out",
}
"""COCO's own choices; with them hotcoco does the work, with others `analysis.metrics.coco_choices` on our
matcher.
"""


RECALL_POINTS = {"101": "101 recall points", "11": "11 recall points", "all": "every recall point"}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """COCO's twelve figures, the figures per class, and everything that decided them.

    Args:
        figures: AP, AP50, ... by name, in 0..1, or None where there was nothing to measure.
        per_class: class name -> AP, AP50, AR (at the largest number of detections), objects, detections;
            AP, AP50 and AR are None for a class without counted objects.
        settings: IoU bounds, score floor, detections per image, interpolation, area source, crowd, matcher,
            detector and hash.
        images, objects, detections: what took part; crowd: regions and objects that count on neither side.
        notes: what was left out or looks wrong, one sentence each.
    """

    figures: dict[str, float | None]
    per_class: dict[str, dict[str, Any]]
    settings: dict[str, Any]
    images: int
    objects: int
    crowd: int
    detections: int
    notes: tuple[str, ...] = ()
    arrays: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __getitem__(self, name: str) -> float | None:
        return self.figures[name]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the figures by name, then `per_class`, `settings`, counts and notes."""
        return {
            **self.figures,
            "images": self.images,
            "objects": self.objects,
            "crowd": self.crowd,
            "detections": self.detections,
            "settings": self.settings,
            "per_class": self.per_class,
            "notes": list(self.notes),
        }

    @property
    def operating_point(self) -> str:
        """The settings in one line of small type."""
        s = self.settings
        parts = [
            f"IoU {s['iou']}",
            f"confidence ≥ {s['floor']:g}" if s["floor"] is not None else "every score",
            f"{s['max_detections'][-1]} detections per image and class",
            RECALL_POINTS[s["interpolation"]],
            s["matcher"],
        ]
        parts += [
            f"{name.replace('_', ' ')}: {s[name]}"
            for name, usual in DEFAULTS.items()
            if name != "interpolation" and s[name] != usual
        ]
        if s["area"] != "file":
            parts.append(f"area of the {s['area']}")
        if s["detector"]:
            parts.append(f"{s['detector']} {s['weights_hash'][:8]}".strip())
        return " · ".join(parts)

    def __str__(self) -> str:
        lines = [f"{name:6} {'-' if v is None else format(v, '.3f')}" for name, v in self.figures.items()]
        counted = (
            f"{self.images} images, {self.objects} objects, {self.crowd} ignored regions, {self.detections}"
            " detections"
        )
        return "\n".join([*lines, counted, self.operating_point, *self.notes])


def figures_of_arrays(p: np.ndarray, r: np.ndarray) -> tuple[dict[str, float | None], dict[str, np.ndarray]]:
    """The twelve figures, and what each class' are the means of, from COCO's precision [T, R, K, area, cap]
    and recall [T, K, area, cap].
    """
    by_class = {
        "AP": p[:, :, :, 0, -1].transpose(2, 0, 1),
        "AP50": p[0, :, :, 0, -1].T,
        "AR": r[:, :, 0, -1].T,
    }
    return _summary(p, r), by_class


def figures_per_class(
    names: list[str],
    class_ids: list[int],
    by_class: dict[str, np.ndarray],
    objects: np.ndarray,
    detections: np.ndarray,
) -> dict[str, dict[str, Any]]:
    """`Evaluation.per_class`; objects and detections are counts int64 [K], `by_class` is empty where nothing
    was measured.
    """
    per_class = {}
    for n, k in enumerate(class_ids):
        name = names[k] if names.count(names[k]) == 1 else f"{names[k]} ({k})"
        rates = {
            what: mean_of_defined(by_class[what][n]) if by_class else None for what in ("AP", "AP50", "AR")
        }
        per_class[name] = {**rates, "objects": int(objects[k]), "detections": int(detections[k])}
    return per_class


def mean_of_defined(values: np.ndarray) -> float | None:
    """The mean over what is defined, as pycocotools takes it; None where nothing is."""
    values = values[values > -1]
    return float(np.mean(values)) if len(values) else None


def _summary(p: np.ndarray, r: np.ndarray) -> dict[str, float | None]:
    """The twelve figures from precision [T, R, K, area, cap] and recall [T, K, area, cap], in pycocotools'
    order of sums.
    """
    return dict(
        zip(
            FIGURES,
            (
                mean_of_defined(p[..., 0, -1]),
                mean_of_defined(p[[0]][..., 0, -1]),
                mean_of_defined(p[[5]][..., 0, -1]),
                mean_of_defined(p[..., 1, -1]),
                mean_of_defined(p[..., 2, -1]),
                mean_of_defined(p[..., 3, -1]),
                mean_of_defined(r[..., 0, 0]),
                mean_of_defined(r[..., 0, 1]),
                mean_of_defined(r[..., 0, 2]),
                mean_of_defined(r[..., 1, -1]),
                mean_of_defined(r[..., 2, -1]),
                mean_of_defined(r[..., 3, -1]),
            ),
        )
    )


def settings_of(
    num_classes: int, caps: list[int], area: str, run: RunReader | None, choices: dict[str, str], matcher: str
) -> dict[str, Any]:
    """What decided the figures (`Evaluation.settings`)."""
    who = operating_point(run)
    return {
        "iou": "0.50:0.95",
        "floor": None if run is None else float(run.floor),
        "max_detections": caps,
        "area": area,
        "area_bounds": [32**2, 96**2],
        **choices,
        "classes": num_classes,
        "matcher": matcher,
        "detector": who.detector,
        "weights_hash": who.weights_hash,
    }
