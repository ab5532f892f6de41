"""A detector's candidates of one image, asked of the model process once and kept."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.model.process import model_process
from detector.core import Candidates
from detector.errors import BoxscopeError


@st.cache_resource(max_entries=64, show_spinner="Running the detector")
def candidates_of(stamp: str, i: int, _s: Any, _spec: dict[str, Any]) -> Candidates:
    """The candidates of image i of a run.

    Args:
        stamp: the run's version, the key of the cache beside i; _s: what is on screen; _spec: its detector.

    Raises:
        BoxscopeError: the detector cannot be loaded, or is no longer the one that made the run.
    """
    process = model_process()
    info = process.info(_spec)
    wanted = _s.manifest.detector.weights_hash
    if info.weights_hash != wanted:
        raise BoxscopeError(
            "The detector at the run's source has changed since, so its candidates are not this run's."
        )
    return process.candidates(_spec, [_s.run.load_image(i)])[0]
