"""What to ask a detector about one line of an image's objects; no Streamlit in here, the command line asks the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from app import objects
from detector.boxes import iou
from detector.errors import CapabilityError, InputError


@dataclass(frozen=True)
class Asked:
    """One object of one image of a run, as the detector is asked about it.

    Args:
        arguments: of `analysis.saliency.methods.find_target`; class_id: the run's own; verdict: how its box is drawn.
    """

    arguments: dict[str, Any]
    class_id: int
    verdict: str

    @property
    def key(self) -> tuple:
        a = self.arguments
        return tuple(np.round(a["box"], 3)), a["class_id"], a["missed"], a.get("anchor_id", -1)


def other_classes(s: Any, i: int, row: objects.Row) -> list[str]:
    """Classes the detector also saw there, or the data say stand there: those it may have weighed against the row's own. The
    nearest first; only classes the detector knows; [] where there is none."""
    known = {s.run.class_map.names[link.class_id] for link in s.manifest.classes.links}
    truth = s.run.annotations(i)
    own = truth.xyxy[row.truth] if row.verdict == "missed" else s.run.detections_of(i).xyxy[row.det]
    under = [] if truth is None or not len(truth) else [
        s.run.class_map.names[truth.class_ids[j]] for j in np.argsort(-iou(truth.xyxy, own[None])[:, 0]) if iou(truth.xyxy[j : j + 1], own[None])[0, 0] > 0.3
    ]
    seen = [found["class"] for found in objects.rivals(s, i, row, most=8)]
    return [name for name in dict.fromkeys([*under, *seen]) if name != row.name and name in known]


def rival_of(s: Any, name: str) -> int:
    """The detector's own number of a class of the run.

    Raises:
        InputError: the run has no such class; CapabilityError: the detector does not know it.
    """
    if name not in s.run.class_map.names:
        raise InputError(f"Expected a class of the run, got {name!r}; it has {', '.join(s.run.class_map.names[:12])}.")
    own = {link.class_id: k for k, link in enumerate(s.manifest.classes.links)}
    class_id = s.run.class_map.index(name)
    if class_id not in own:
        raise CapabilityError(f"The detector has no class {name!r}, so it cannot have weighed it.")
    return own[class_id]


def asked_of(s: Any, i: int, row: objects.Row) -> Asked:
    """What to ask the detector about a line of the objects' table.

    Raises:
        CapabilityError: the detector has no such class.
    """
    own = {link.class_id: k for k, link in enumerate(s.manifest.classes.links)}
    class_id = s.run.class_map.index(row.name)
    if class_id not in own:
        raise CapabilityError(f"The detector has no class {row.name!r}, so nothing in it could speak for this object.")
    missed = row.verdict == "missed"
    if missed:
        truth = s.run.annotations(i)
        arguments = {"box": truth.xyxy[row.truth].tolist(), "class_id": own[class_id], "missed": True, "others": np.array(truth.xyxy)}
    else:
        found = s.run.detections_of(i)
        anchor = -1 if found.anchor_ids is None else int(found.anchor_ids[row.det])
        arguments = {
            "box": found.xyxy[row.det].tolist(), "class_id": own[class_id], "missed": False, "score": float(found.scores[row.det]), "anchor_id": anchor,
        }
    return Asked(arguments, class_id, {"unjudged": "unlabelled"}.get(row.verdict, row.verdict))
