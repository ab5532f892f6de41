"""The slices of a run (parts of the data), for the pages that count by them."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from analysis.mistakes.slices import image_slices, object_slices
from app.frame.state import key_of


@st.cache_resource(max_entries=4, show_spinner=False)
def slice_masks(key: tuple, _s: Any) -> tuple[dict, dict]:
    counted = _s.matches.truth_counted
    return object_slices(_s.run, counted), image_slices(_s.run, counted)


def parts_of(s: Any) -> dict[tuple[str, str], np.ndarray]:
    """Every part of the data but the classes: (group, name) -> bool [M] over the truth table."""
    objects, images = slice_masks(key_of(s), s)
    return objects | {key: mask[s.run.truth.rows] for key, mask in images.items()}


def objects_in(s: Any, group: str, name: str) -> np.ndarray | None:
    """bool [M]: the objects of a slice; None where there is no such slice."""
    objects, images = slice_masks(key_of(s), s)
    if (group, name) in objects:
        return objects[group, name]
    if (group, name) in images:
        return images[group, name][s.run.truth.rows]
    if group == "class" and name in s.run.class_map:
        return s.run.truth.class_ids == s.run.class_map.index(name)
    return None
