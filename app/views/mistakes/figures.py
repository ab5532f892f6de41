"""The figures of the Mistakes page, computed once for a run and an operating point: kinds, confusion,
slices.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from analysis.mistakes.box_lists import set_aside
from analysis.mistakes.confusion import Confusion, Confusions
from analysis.mistakes.errors import Errors, find_errors
from analysis.mistakes.slices import Slices, slice_run
from app.frame.slices import slice_masks
from app.frame.state import key_of, threshold_key


def errors_of(s: Any) -> Errors:
    return _errors(key_of(s), s)


@st.cache_resource(max_entries=4, show_spinner="Finding the kind of every mistake")
def _errors(key: tuple, _s: Any) -> Errors:
    return find_errors(_s.run, iou=_s.iou, matches=_s.matches, background_iou=min(0.1, _s.iou / 2))


@st.cache_resource(max_entries=4, show_spinner="Laying predictions against objects")
def _confusions(key: tuple, _s: Any) -> Confusions:
    return Confusions(_s.run, _s.iou, _s.matches)


def confusion_of(s: Any) -> Confusion:
    return _confusion(key_of(s), threshold_key(s), s)


@st.cache_resource(max_entries=8, show_spinner=False)
def _confusion(key: tuple, thresholds: tuple, _s: Any) -> Confusion:
    return _confusions(key, _s).at(_s.thresholds)


def slices_of(s: Any, samples: int = 400) -> Slices:
    """Slices of the chosen images and classes at the operating point; 400 resamples, for an answer while one
    looks.
    """
    chosen = s.class_ids is not None
    return _slices(key_of(s), threshold_key(s), (s.class_ids, s.mode) if chosen else None, samples, s)


@st.cache_resource(max_entries=8, show_spinner="Resampling images for the intervals")
def _slices(key: tuple, thresholds: tuple, choice: tuple | None, samples: int, _s: Any) -> Slices:
    matches = _s.matches if choice is None else set_aside(_s.matches, _s.images, _s.counted_classes)
    return slice_run(
        _s.run,
        _s.thresholds,
        iou=_s.iou,
        matches=matches,
        parts=slice_masks(key, _s) if choice is None else None,
        samples=samples,
    )
