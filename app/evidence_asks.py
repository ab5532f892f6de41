"""What to ask a detector about one line of an image's objects; no Streamlit in here, the command line asks the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from app import objects
from detector.errors import CapabilityError


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
