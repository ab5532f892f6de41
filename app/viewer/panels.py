"""Page parts that open boxes: rows with bars or intervals, the confusion matrix, the strip of crops, live
curves.

Streamlit v2 components like the others of this folder. Plotly is not used for them: its charts cannot follow
the slider while it moves, and Streamlit passes no clicks on heat maps to Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.viewer import mount, nothing


def bar_rows(data: dict[str, Any], *, key: str, on_pick: Callable[[], None] = nothing) -> Any:
    """Named rows, each with a count and a bar or an interval. Within a callback
    `st.session_state[key]["pick"]` is the row's id.
    """
    return mount("rows")(key=key, data=data, on_pick_change=on_pick)


def confusion_matrix(data: dict[str, Any], *, key: str, on_pick: Callable[[], None] = nothing) -> Any:
    """The matrix; `pick` is [row, column], places in `data["labels"]`."""
    return mount("matrix")(key=key, data=data, on_pick_change=on_pick)


def crop_strip(data: dict[str, Any], *, key: str, on_open: Callable[[], None] = nothing) -> Any:
    """Crops with their boxes; `open` is the number of the crop that was clicked."""
    return mount("crops")(key=key, data=data, on_open_change=on_open)


def live_curves(data: dict[str, Any], *, key: str, on_threshold: Callable[[], None] = nothing) -> Any:
    """Precision, recall and F1 over confidence, and precision over recall; `threshold` is where the line was
    released.
    """
    return mount("curves")(key=key, data=data, on_threshold_change=on_threshold)


def reliability_diagram(data: dict[str, Any], *, key: str) -> Any:
    """Share correct against confidence."""
    return mount("reliability")(key=key, data=data)


def line_charts(data: dict[str, Any], *, key: str) -> Any:
    """Line charts over one axis, updated in place.

    Args:
        data: "x" [first, last] and "x_name"; "panels", each with "title", "height" in pixels, "lo" and "hi"
            (None: by the points), "digits" after the point (0: as few as needed), "span" of the six columns,
            and "series": "name", "colour" 0..4, "points" [[x, y], ...], "dots", "scatter" (dots without the
            line), "best" [x, y] or None.
    """
    return mount("lines")(key=key, data=data)
