"""What to ask a detector about one line of an image's objects; no Streamlit in here, the command line asks
the same.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.saliency.methods import offers
from analysis.saliency.targets import SIDES
from app.model import objects
from detector.boxes import iou
from detector.errors import CapabilityError, InputError


@dataclass(frozen=True)
class Asked:
    """One object of one image of a run, as the detector is asked about it.

    Args:
        arguments: of `analysis.saliency.methods.find_target`; class_id: the run's own; verdict: how its box
            is drawn.
    """

    arguments: dict[str, Any]
    class_id: int
    verdict: str

    @property
    def key(self) -> tuple:
        a = self.arguments
        return tuple(np.round(a["box"], 3)), a["class_id"], a["missed"], a.get("anchor_id", -1)


@dataclass(frozen=True)
class Question:
    """What the evidence is to be for.

    Args:
        rival: "" or a class of the run: why the object's own class and not this one.
        side: None, or "all" or one of `analysis.saliency.targets.SIDES`: why its box stands where it stands.
    """

    rival: str = ""
    side: str | None = None

    def words(self, name: str) -> str:
        """As a line of a list, for an object of this class."""
        if self.side is not None:
            return "the box as a whole" if self.side == "all" else f"the box's {self.side} side"
        return f"{name} rather than {self.rival}" if self.rival else name


def questions(s: Any, i: int, row: objects.Row, method: str) -> list[Question]:
    """What can be asked about a line of the objects' table: its class; by the methods that show evidence
    against too, its class rather than one it was weighed against; where the detector shows candidates, its
    box."""
    if "candidates" not in s.manifest.detector.capabilities:
        return [Question()]
    rivals = other_classes(s, i, row) if method in ("integrated_gradients", "d_rise") else []
    can = any(o.method == method and o.possible for o in offers(s.manifest.detector, box=True))
    return [
        Question(),
        *(Question(rival=name) for name in rivals),
        *(Question(side=side) for side in ("all", *SIDES) if can),
    ]


def other_classes(s: Any, i: int, row: objects.Row) -> list[str]:
    """Classes the detector also saw there, or the data say stand there: those it may have weighed against the
    row's own. The nearest first; only classes the detector knows; [] where there is none."""
    known = {s.run.class_map.names[link.class_id] for link in s.manifest.classes.links}
    truth = s.run.annotations(i)
    own = truth.xyxy[row.truth] if row.verdict == "missed" else s.run.detections_of(i).xyxy[row.det]
    under = (
        []
        if truth is None or not len(truth)
        else [
            s.run.class_map.names[truth.class_ids[j]]
            for j in np.argsort(-iou(truth.xyxy, own[None])[:, 0])
            if iou(truth.xyxy[j : j + 1], own[None])[0, 0] > 0.3
        ]
    )
    seen = [found["class"] for found in objects.rivals(s, i, row, most=8)]
    return [name for name in dict.fromkeys([*under, *seen]) if name != row.name and name in known]


def rival_of(s: Any, name: str) -> int:
    """The detector's own number of a class of the run.

    Raises:
        InputError: the run has no such class; CapabilityError: the detector does not know it.
    """
    if name not in s.run.class_map.names:
        names = s.run.class_map.names
        near = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
        known = (
            f"did you mean {' or '.join(near)}?"
            if near
            else f"it has {', '.join(names[:12])}{f' and {len(names) - 12} more' if len(names) > 12 else ''}."
        )
        raise InputError(f"Expected a class of the run, got {name!r}; {known}")
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
        raise CapabilityError(
            f"The detector has no class {row.name!r}, so nothing in it could speak for this object."
        )
    missed = row.verdict == "missed"
    if missed:
        truth = s.run.annotations(i)
        arguments = {
            "box": truth.xyxy[row.truth].tolist(),
            "class_id": own[class_id],
            "missed": True,
            "others": np.array(truth.xyxy),
        }
    else:
        found = s.run.detections_of(i)
        anchor = -1 if found.anchor_ids is None else int(found.anchor_ids[row.det])
        arguments = {
            "box": found.xyxy[row.det].tolist(),
            "class_id": own[class_id],
            "missed": False,
            "score": float(found.scores[row.det]),
            "anchor_id": anchor,
        }
    return Asked(arguments, class_id, {"unjudged": "unlabelled"}.get(row.verdict, row.verdict))
