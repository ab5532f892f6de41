"""The confidence map of one image: from the network's candidates where the detector shows them, else from
low-score boxes.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from app.frame.candidates import candidates_of
from app.model.spec import spec_of
from detector.errors import BoxscopeError

SIDE = 160
"""Longest side of the map that is sent; the browser smooths it over the picture."""


@dataclass(frozen=True)
class Offer:
    possible: bool
    reason: str


def offer(s: Any) -> Offer:
    """Whether this run can give a confidence map, and if not, why."""
    if "candidates" in s.manifest.detector.capabilities or len(s.run.detections):
        return Offer(True, "Confidence map (h)")
    return Offer(False, "No confidence map: the detector shows no candidates and the run holds no boxes.")


@cache
def colours() -> list[list[int]]:
    """256 RGB steps of the one sequential map."""
    import matplotlib

    from analysis.drawing.style import CONFIDENCE_MAP

    return np.round(matplotlib.colormaps[CONFIDENCE_MAP](np.arange(256))[:, :3] * 255).astype(int).tolist()


def layer(s: Any, i: int, class_id: int | None) -> dict[str, Any]:
    """The heat map of image i for the viewer: of one class, of the chosen classes, or of any class."""
    classes = (class_id,) if class_id is not None else s.counted_classes
    found, source = None, ""
    spec = spec_of(s.manifest) if "candidates" in s.manifest.detector.capabilities else None
    if spec is not None:
        try:
            found = candidates_of(s.run.version, i, s, spec)
            source = "from the detector's candidates before NMS"
        except BoxscopeError as error:
            source = (
                f"from the run's boxes down to {s.manifest.floor:g}, because the candidates cannot be had:"
                f" {error.message}"
            )
    values = _values(s, i, classes, found)
    source = source or f"from the run's boxes down to {s.manifest.floor:g}; this detector shows no candidates"
    names = s.run.class_map.names
    what = (
        "any class"
        if classes is None
        else ", ".join(names[c] for c in classes[:3]) + (", ..." if len(classes) > 3 else "")
    )
    height, width = values.shape
    raw = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return {
        "id": f"{s.name}/{i}/{classes}/{found is not None}",
        "width": width,
        "height": height,
        "colours": colours(),
        "values": base64.b64encode(raw.tobytes()).decode(),
        "title": f"Confidence for {what}, 0 to 1, {source}. The line is the threshold.",
    }


def _values(s: Any, i: int, classes: tuple[int, ...] | None, candidates: Any) -> np.ndarray:
    from analysis.saliency.confidence import confidence_map

    size = s.run.image_size(i)
    if candidates is not None:
        # The network's columns are its own classes; the run's class map lists where each of them went.
        wanted = (
            None
            if classes is None
            else [k for k, link in enumerate(s.manifest.classes.links) if link.class_id in classes]
        )
        return confidence_map(candidates, class_ids=wanted, image_size=size, side=SIDE)
    return confidence_map(s.run.detections_of(i), class_ids=classes, image_size=size, side=SIDE)
