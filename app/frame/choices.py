"""Choices of the frame beside the slider: thresholds saved per class, and calibrated scores."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from analysis.runs.store import Run
from analysis.thresholds.calibration import METHODS
from analysis.thresholds.files import Thresholds, load_thresholds, save_thresholds
from detector.errors import BoxscopeError, InputError
from detector.paths import data_dir

ONE = "one for all classes"
STORED = "as stored"
SCORES = (STORED, *METHODS)


@dataclass(frozen=True, eq=False)
class Saved:
    """Saved thresholds as the chosen run's classes have them: `thresholds` float32 [K]."""

    name: str
    thresholds: np.ndarray
    file: Thresholds | None


def folder() -> Path:
    return data_dir("thresholds")


def saved_names() -> list[str]:
    """Names of the thresholds saved under the data directory."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def path_of(name: str) -> Path:
    """The file of saved thresholds.

    Raises:
        InputError: the name could leave the folder, hide, or is that of the choice "one for all classes".
    """
    if not re.fullmatch(r"[\w][\w .()+=@-]{0,79}", name) or name == ONE or name.endswith((".", " ")):
        raise InputError(
            "Expected a name of letters, digits, blanks and - . ( ) + = @, at most 80, beginning with a"
            " letter or digit."
        )
    return folder() / f"{name}.yaml"


def save(name: str, thresholds: Thresholds) -> Path:
    """Save under a name, in place of what has it now."""
    path = path_of(name)
    save_thresholds(thresholds, path)
    return path


def open_saved(name: str, run: Run) -> Saved:
    """Saved thresholds for a run's classes.

    Raises:
        BoxscopeError: there are none of that name, or they name a class the run does not have.
    """
    file = load_thresholds(path_of(name))
    return Saved(name, file.thresholds(run.class_map), file)


def choose(key: str, value: str) -> None:
    """Set one of these choices before it is drawn. Streamlit writes such a value to the URL only from the
    second run on.
    """
    if key not in st.session_state:
        st.query_params[key] = value
    st.session_state[key] = value


def chosen_saved(run: Run) -> Saved | None:
    """Which thresholds the slider's place is taken by; drawn only where any are saved. Runs before the
    slider.
    """
    names = saved_names()
    if not names:
        st.session_state.pop("cuts", None)
        return None
    if st.session_state.get("cuts", ONE) not in (ONE, *names):
        st.session_state["cuts"] = ONE
    name = st.selectbox(
        "Thresholds",
        [ONE, *names],
        key="cuts",
        bind="query-params",
        help=(
            "The slider below, or thresholds for each class that were saved on the Thresholds page. Every"
            " page, figure and push follows."
        ),
    )
    if name == ONE or name is None:
        return None
    try:
        return open_saved(name, run)
    except BoxscopeError as error:
        st.caption(f"*{name}* does not fit this run: {error.message}")
        return None


def chosen_scores() -> str | None:
    """The calibration every page applies to scores, or None; drawn only once one was asked for."""
    asked = st.session_state.get("scores") or st.query_params.get("scores") or STORED
    if asked not in METHODS:
        return None
    method = st.selectbox(
        "Scores",
        SCORES,
        key="scores",
        bind="query-params",
        help=(
            "Calibrated scores: fitted on this run's judged detections at this IoU, for this view only. What"
            " is stored does not change."
        ),
    )
    return method if method in METHODS else None
