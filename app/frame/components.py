"""Small page parts used by several pages: errors, empty pages, the style of the frame."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import streamlit as st

from detector.data.dataset import Problem, count_problems
from detector.errors import BoxscopeError

log = logging.getLogger("boxscope")

STYLE = """<style>
.stMainBlockContainer { padding-left: 1.5rem; padding-right: 1.5rem; max-width: 1800px; }
[data-testid="stLayoutWrapper"]:has(> .st-key-counts) { position: sticky; top: 53px; z-index: 20; }
.stApp [data-testid="stSidebarUserContent"] .stCaption p { line-height: 1.35; }
.st-key-image-page [data-testid="stElementToolbar"] { top: 1px !important; right: 1px !important; }
[data-testid="stSidebarHeader"] { height: 3rem; }
[data-testid="stWidgetLabelRequired"] { display: none; }
.boxscope-facts {
  font-size: 12px; line-height: 1.45; opacity: .82; margin: -6px 0 2px; overflow-wrap: anywhere;
}
.boxscope-facts b { font-weight: 600; }
@media (max-width: 1040px) {
  .st-key-image-page > div > [data-testid="stHorizontalBlock"],
  .st-key-image-page > [data-testid="stHorizontalBlock"] { flex-wrap: wrap; }
  .st-key-image-page [data-testid="stColumn"] { flex: 1 1 100%; min-width: 100%; }
}
@media (min-width: 1041px) and (min-height: 640px) {
  :is(.st-key-image-page, .st-key-image-page > div) > [data-testid="stHorizontalBlock"]
    > [data-testid="stColumn"]:first-child > [data-testid="stVerticalBlock"] {
    position: sticky; top: 100px; height: fit-content; flex: none;
  }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important; } }
</style>"""


def frame_style() -> None:
    st.html(STYLE)


def facts(*lines: str) -> None:
    """Small lines under a control; the text is escaped."""
    st.html(
        '<div class="boxscope-facts">' + "<br>".join(html.escape(line) for line in lines if line) + "</div>"
    )


def say_error(error: BaseException, way_out: str = "") -> None:
    """One sentence and one way out; the rest goes behind "details" (and to the terminal where it is a fault
    of ours).
    """
    if isinstance(error, BoxscopeError):
        place = (
            f"`{Path(error.path).name}`" + (f", line {error.line}" if error.line else "") + ": "
            if error.path
            else ""
        )
        st.error(f"{place}{plain(error.message)} {way_out}".strip(), icon=":material/error:")
        if error.path:
            with st.expander("Details"):
                st.text(f"{error.path}" + (f", line {error.line}" if error.line else ""))
        return
    log.exception("a page failed", exc_info=error)
    st.error(
        "Something went wrong in Boxscope itself; the terminal shows what. Reload the page to go on.",
        icon=":material/error:",
    )
    with st.expander("Details"):
        st.text(f"{type(error).__name__}: {error}"[:500])


MARKS = re.compile(r"[*\\]|~~|<(?=[A-Za-z/!])|(?<!\w)_|_(?!\w)|:(?=\w+\[)|\$|\[(?=[^\]]*\]\()")
"""What Markdown would take for its own in a sentence of ours."""


def plain(text: str) -> str:
    """A sentence as it is meant to be read, whatever stars, underscores or dollars a user's file puts into
    it; `code` stays.
    """
    parts = text.split("`")
    every = len(parts) % 2 == 0  # an odd backtick is one of the text's own
    return "`".join(
        part if i % 2 and not every else MARKS.sub(lambda m: "\\" + m[0], part)
        for i, part in enumerate(parts)
    )


@contextmanager
def errors_said(way_out: str = "") -> Iterator[None]:
    """What goes wrong inside becomes a sentence on the page, never a traceback."""
    try:
        yield
    except Exception as error:  # Streamlit's own control flow is no Exception and passes through
        say_error(error, way_out)


def empty(title: str, text: str) -> st.delta_generator.DeltaGenerator:
    """A page with nothing to show: what would fill it; the button that does it goes into the returned
    container.
    """
    box = st.container(border=True)
    box.markdown(f"**{title}**")
    box.markdown(text)
    return box


def show_problems(problems: Sequence[Problem], most: int = 200) -> None:
    """What was odd in a data set: counted by kind, and each with its file and line behind an expander."""
    if not problems:
        return
    left_out = sum(p.left_out for p in problems)
    counted = ", ".join(f"{count:,} {kind}" for kind, count in count_problems(problems).items())
    what = f"{len(problems):,} problem{'s' if len(problems) != 1 else ''} in the data: {counted}"
    with st.expander(
        what + (f" · {left_out:,} left something out" if left_out else ""), icon=":material/report:"
    ):
        rows = [
            {
                "problem": p.kind,
                "what": p.message,
                "file": p.path,
                "line": p.line,
                "left out": p.left_out,
                "image": p.sample_id or "",
            }
            for p in problems[:most]
        ]
        st.dataframe(rows, hide_index=True, width="stretch", height=min(35 * len(rows) + 38, 320))
        if len(problems) > most:
            st.caption(f"The first {most:,} of {len(problems):,}; `boxscope doctor` lists them all.")
