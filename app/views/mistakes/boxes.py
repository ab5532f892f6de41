"""Which boxes a click on the Mistakes page asks for, as the address names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from analysis.mistakes import box_lists
from analysis.mistakes.box_lists import BoxList
from analysis.mistakes.confusion import BACKGROUND
from analysis.mistakes.errors import KINDS
from app.frame.slices import objects_in
from app.views.mistakes.causes import cause_boxes
from app.views.mistakes.figures import confusion_of, errors_of


@dataclass(frozen=True)
class MistakesRequest:
    """The boxes a click asked for: "kind" (name), "cause" (name), "cell" (truth, predicted), "slice" (group,
    name).

    In the URL: kind/missed, cause/suppressed, cell/car/background, slice/size/small; parts percent-encoded.
    """

    what: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return "/".join([self.what, *(quote(part, safe="") for part in self.parts)])

    @classmethod
    def parse(cls, text: str | None) -> MistakesRequest | None:
        """None for what does not name boxes."""
        what, *parts = (text or "").split("/")
        known = {"kind": 1, "cause": 1, "cell": 2, "slice": 2}
        if known.get(what) != len(parts):
            return None
        return cls(what, tuple(unquote(part) for part in parts))

    @property
    def look(self) -> str:
        return {"kind": "Kinds", "cause": "Causes", "cell": "Confusion", "slice": "Slices"}[self.what]


def boxes_of(s: Any, request: MistakesRequest) -> BoxList | None:
    """The boxes asked for, of the chosen images and classes; None where they name a class or kind that is not
    there.
    """
    images = None if s.class_ids is None else s.images
    if request.what == "kind":
        if request.parts[0] not in KINDS:
            return None
        return box_lists.of_kind(
            s.run, errors_of(s), request.parts[0], s.thresholds, images=images, class_ids=s.counted_classes
        )
    if request.what == "cause":
        return cause_boxes(s, request.parts[0])
    if request.what == "cell":
        ids = [class_id(s, name) for name in request.parts]
        return (
            None if None in ids else box_lists.of_cell(s.run, s.matches, confusion_of(s), *ids, images=images)
        )
    mask = objects_in(s, *request.parts)
    what = f"missed objects, {label_of(*request.parts)}"
    return (
        None
        if mask is None
        else box_lists.missed_among(
            s.run, s.matches, what, mask, s.thresholds, images=images, class_ids=s.counted_classes
        )
    )


def label_of(group: str, name: str) -> str:
    return name if group == "class" else f"{group}: {name}"


def class_id(s: Any, name: str) -> int | None:
    if name == "background" and name not in s.run.class_map:
        return BACKGROUND
    return s.run.class_map.index(name) if name in s.run.class_map else None
