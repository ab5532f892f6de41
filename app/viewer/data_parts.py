"""Parts of the page *Data*: the list of the doctor's findings, and charts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.viewer import mount, nothing


def finding_list(data: dict[str, Any], *, key: str, on_pick: Callable[[], None] = nothing) -> Any:
    """Findings, the gravest first. Within a callback `st.session_state[key]["pick"]` is the kind of the one
    that was clicked.

    Args:
        data: "findings", each with "kind", "severity", "count", "sentence", "advice", "fixable"; "selected" a
            kind or None.
    """
    return mount("findings")(key=key, data=data, on_pick_change=on_pick)


def drawing(svg: str, *, key: str) -> Any:
    """A chart of `analysis.drawing.svg`; it takes the page's text colour."""
    return mount("drawing")(key=key, data={"svg": svg})
