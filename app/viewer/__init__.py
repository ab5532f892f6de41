"""The project's own page parts: the box viewer, the grid of thumbnails and the strip of counts.

Each is a Streamlit v2 component made of the text files beside this one; there is no build step. What they
are given is made by `app.viewer.payload`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from analysis.drawing.style import GREY, STROKES
from detector.paths import ROOT

VERDICTS = ("correct", "wrong", "missed", "duplicate", "ignored", "found")
HERE = ROOT / "app" / "viewer"


def nothing() -> None:
    """A state that nobody listens to still needs a listener to be part of the answer."""


def colours() -> str:
    """The verdicts' colours as CSS variables; they stand in one place, `analysis.drawing.style`."""
    unjudged = STROKES["unlabelled"].colour
    pairs = {"grey": GREY, "below": GREY, "unjudged": unjudged} | {v: STROKES[v].colour for v in VERDICTS}
    return ":host, .boxscope { " + " ".join(f"--{name}: {colour};" for name, colour in pairs.items()) + " }"


@cache
def mount(name: str) -> Callable[..., Any]:
    import streamlit as st

    def text(*files: str) -> str:
        return "\n".join((HERE / file).read_text(encoding="utf-8") for file in files)

    return st.components.v2.component(
        f"boxscope_{name}",
        html=text(f"{name}.html"),
        css=colours() + "\n" + text("core.css", f"{name}.css"),
        js=text("core.js", f"{name}.js"),
    )


def box_viewer(
    data: dict[str, Any],
    *,
    key: str,
    on_select: Callable[[], None] = nothing,
    on_step: Callable[[], None] = nothing,
    on_threshold: Callable[[], None] = nothing,
    on_heat: Callable[[], None] = nothing,
) -> Any:
    """One image with its boxes. Within a callback, `st.session_state[key]` holds what happened:

    `select` {"side": "det" | "truth" | "none", "index": row}, `step` -1 or 1, `threshold` 0..1, `heat` bool.
    """
    return mount("viewer")(
        key=key,
        data=data,
        on_select_change=on_select,
        on_step_change=on_step,
        on_threshold_change=on_threshold,
        on_heat_change=on_heat,
    )


def thumbnail_grid(
    data: dict[str, Any],
    *,
    key: str,
    on_open: Callable[[], None] = nothing,
    on_pick: Callable[[], None] = nothing,
) -> Any:
    """Images as small drawings. `open` is a sample id; `pick` {"id": sample id, "on": bool}.

    A tile's `note` stands in for its counts; `plain` leaves the boxes for picking out.
    """
    return mount("grid")(key=key, data=data, on_open_change=on_open, on_pick_change=on_pick)


def counts_strip(data: dict[str, Any], *, key: str) -> Any:
    """The counts at the operating point; it follows the threshold while the slider moves."""
    return mount("strip")(key=key, data=data)
