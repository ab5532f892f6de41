"""What the Mistakes page shows, as plain values: kinds, the matrix, slices, and which boxes are asked for. No Streamlit calls but caches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import streamlit as st

from analysis import box_lists
from analysis.box_lists import BoxList
from analysis.confusion import BACKGROUND, Confusion, Confusions
from analysis.errors import KINDS, MISSED, SENTENCES, Errors, find_errors
from analysis.matching import CORRECT, DUPLICATE, WRONG
from analysis.operating_point import class_cuts
from analysis.slices import Slice, Slices, image_slices, object_slices, slice_run

LOOKS = {"kinds": "Kinds", "confusion": "Confusion", "slices": "Slices"}
MATRIX_SIZES = (10, 16, 30)


# ---- which boxes

@dataclass(frozen=True)
class Asked:
    """The boxes a click asked for: "kind" (name), "cell" (truth, predicted), "slice" (group, name).

    In the URL: kind/missed, cell/car/background, slice/size/small; parts percent-encoded.
    """

    what: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return "/".join([self.what, *(quote(part, safe="") for part in self.parts)])

    @classmethod
    def parse(cls, text: str | None) -> Asked | None:
        """None for what does not name boxes."""
        what, *parts = (text or "").split("/")
        known = {"kind": 1, "cell": 2, "slice": 2}
        if known.get(what) != len(parts):
            return None
        return cls(what, tuple(unquote(part) for part in parts))

    @property
    def look(self) -> str:
        return {"kind": "kinds", "cell": "confusion", "slice": "slices"}[self.what]


def key_of(s: Any) -> tuple:
    """What the matching of all classes depends on."""
    return str(s.path), s.stamp, s.iou


def errors_of(s: Any) -> Errors:
    return _errors(key_of(s), s)


@st.cache_resource(max_entries=4, show_spinner="Finding the kind of every mistake")
def _errors(key: tuple, _s: Any) -> Errors:
    return find_errors(_s.run, iou=_s.iou, matches=_s.matches, background_iou=min(0.1, _s.iou / 2))


@st.cache_resource(max_entries=4, show_spinner="Laying predictions against objects")
def _confusions(key: tuple, _s: Any) -> Confusions:
    return Confusions(_s.run, _s.iou, _s.matches)


def confusion_of(s: Any) -> Confusion:
    return _confusion(key_of(s), cut_key(s), s)


@st.cache_resource(max_entries=8, show_spinner=False)
def _confusion(key: tuple, cuts: tuple, _s: Any) -> Confusion:
    return _confusions(key, _s).at(_s.cuts)


def cut_key(s: Any) -> tuple:
    """What the operating point's threshold is, hashable."""
    return tuple(np.atleast_1d(np.asarray(s.cuts, np.float32)).tolist())


@st.cache_resource(max_entries=4, show_spinner="Resampling images for the intervals")
def _slices(key: tuple, cuts: tuple, images: bytes, samples: int, _s: Any) -> Slices:
    matches = _s.matches
    if images:
        from analysis.subsets import narrow

        matches = narrow(matches, images=_s.images)
        return slice_run(_Narrow(_s.run, _s.images), _s.cuts, iou=_s.iou, matches=_full(_s.matches, _s.images), samples=samples)
    return slice_run(_s.run, _s.cuts, iou=_s.iou, matches=matches, samples=samples)
