"""A background job as one line of a page: its bar, rate, time left, and the button that stops it."""

from __future__ import annotations

import streamlit as st

from app.jobs import detection


def time_left(seconds: float | None) -> str:
    """ "2 h 5 min left", "3 min 20 s left", "12 s left"; said so where it is unknown."""
    if seconds is None:
        return "time left unknown"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min left"
    return f"{minutes} min {rest} s left" if minutes else f"{rest} s left"


def job_row(job: detection.Job) -> None:
    """A detection that goes on."""
    with st.container(border=True):
        words, button = st.columns([5, 1], vertical_alignment="center")
        p = job.progress() if job.stage == "detecting" else None
        with words:
            if p is not None:
                failed = f" · {p.failed:,} could not be read" if p.failed else ""
                st.progress(
                    min(1.0, p.fraction),
                    f"**{job.title}** · {p.done:,} of {p.total:,} images · {p.rate:.1f} a second ·"
                    f" {time_left(p.seconds_left)}{failed}",
                )
            elif job.stage == "fetching the detector" and job.fetched:
                done, total = job.fetched
                st.progress(
                    min(1.0, done / total) if total else 0.0,
                    f"**{job.title}** · fetching {done / 2**20:.0f} MB"
                    + (f" of {total / 2**20:.0f} MB" if total else ""),
                )
            else:
                st.progress(0.0, f"**{job.title}** · {job.stage}")
        button.button(
            "Cancel",
            key=f"cancel-{job.id}",
            on_click=detection.cancel,
            args=(job,),
            width="stretch",
            help="What is done is kept; the same job goes on from there.",
        )
