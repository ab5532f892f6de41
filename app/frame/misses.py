"""Why objects were missed, as several pages ask it: cached autopsies at the operating point on screen."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from analysis.misses.run import Autopsy, autopsy
from app.files import demo
from app.frame import exact_autopsy
from app.frame.candidates import candidates_of
from app.frame.state import key_of, threshold_key
from app.model.process import model_process
from app.model.spec import spec_of
from detector.errors import BoxscopeError


def autopsy_of(s: Any) -> Autopsy:
    """Of every image and class at the operating point: with the detector's candidates where every image was
    asked, else from stored detections."""
    return exact_autopsy.result(s) or _autopsy(key_of(s), threshold_key(s), s)


@st.cache_resource(max_entries=8, show_spinner="Finding why objects were missed")
def _autopsy(key: tuple, thresholds: tuple, _s: Any) -> Autopsy:
    return autopsy(_s.run, _s.thresholds, _s.iou, matches=_s.matches)


@st.cache_resource(max_entries=32, show_spinner="Replaying post-processing")
def _exact(key: tuple, thresholds: tuple, i: int, _s: Any, _spec: dict) -> Autopsy:
    return autopsy(
        _s.run,
        _s.thresholds,
        _s.iou,
        matches=_s.matches,
        candidates={i: candidates_of(_s.run.version, i, _s, _spec)},
    )


def can_ask(s: Any) -> dict | None:
    """The spec of the run's detector where it shows candidates that belong to the scores on screen; else
    None.
    """
    if s.calibration is not None or "candidates" not in s.manifest.detector.capabilities:
        return None
    return spec_of(s.manifest)


def best_of(s: Any, i: int) -> tuple[Autopsy, str]:
    """Return the most detailed autopsy available for image i, and the reason if it is not the exact one."""
    spec = can_ask(s)
    if spec is None or exact_autopsy.result(s) is not None:
        return autopsy_of(s), ""
    # Loading a network takes seconds: it is asked at once only where it is loaded already, is none, or is the
    # demo's small one.
    soon = s.manifest.detector.simulated or spec["model"] == demo.NAME
    if not (soon or st.session_state.get("ask_detector") or model_process().loaded(spec)):
        return autopsy_of(s), "not asked"
    try:
        return _exact(key_of(s), threshold_key(s), i, s, spec), ""
    except BoxscopeError as error:
        return autopsy_of(s), f"The detector's candidates are not available: {error.message}"


def chosen_misses(s: Any) -> np.ndarray:
    """int64, the misses of the chosen images and classes: places in the autopsy."""
    a = autopsy_of(s)
    keep = np.ones(len(a), bool)
    if s.class_ids is not None:
        keep &= s.images[a.rows]
    if s.counted_classes is not None:
        keep &= np.isin(a.matches.truth_classes[a.evidence.truth], s.counted_classes)
    return np.flatnonzero(keep)


def images_with_cause(s: Any, causes: tuple[str, ...]) -> np.ndarray:
    """bool [N]: images with a miss of one of these causes, for the gallery's filter."""
    a = autopsy_of(s)
    mine = chosen_misses(s)
    out = np.zeros(len(s.run), bool)
    out[a.rows[mine[np.isin(a.causes[mine], causes)]]] = True
    return out
