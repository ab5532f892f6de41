"""The FiftyOne page's second half: what people changed and tagged there, pulled, looked at, written,
undone.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import streamlit as st

from analysis.fiftyone.pull.changes import ChangeList, Truth, as_dataset, rescore, write_changed
from analysis.fiftyone.pull.expectations import (
    Expectation,
    excuse,
    expectations_file,
    expectations_of,
    load_expectations,
    save_expectations,
)
from app.frame import state
from app.frame.expectations import expectations_section
from detector.data import load_dataset
from detector.paths import data_dir


def list_file(s: state.Shared) -> Path:
    """Where the last change list of a run is kept."""
    return data_dir("fiftyone", "pulled") / f"{s.manifest.identity[:16]}.json"


def pull_corrections(s: state.Shared, dataset: str | None) -> ChangeList:
    """Read the changes and tags from FiftyOne, keep the list, and remember the promises among the tags."""
    from analysis.fiftyone_bridge import pull_from_fiftyone

    changes = pull_from_fiftyone(s.run, name=dataset)
    changes.save(list_file(s))
    save_expectations(expectations_of(changes), expectations_file(s.manifest.dataset.source))
    return changes


def change_rows(changes: ChangeList) -> list[dict[str, Any]]:
    """The list as a table: who, when, image, what, before, after, how the object was known."""
    return [
        {
            "image": c.sample_id,
            "what": c.kind,
            "before": _said(c.before),
            "after": _said(c.after),
            "known by": c.how,
            "who": c.who,
            "when": c.when,
        }
        for c in changes.changes
    ]


def _said(truth: Truth | None) -> str:
    return "" if truth is None else f"{truth.label} {[round(v) for v in truth.xyxy]}"


def _excused_figures(s: state.Shared, expectations: list[Expectation]) -> None:
    """AP with and without the objects tagged ok-to-miss or label-wrong, always with their number."""
    from analysis.metrics.evaluate import evaluate

    run, left_out = excuse(s.run, expectations)
    if not left_out:
        return
    with st.spinner("Measuring both ways"):
        plain, excused = evaluate(s.run), evaluate(run)
    st.caption(
        f"AP {_three(plain['AP'])} as labelled; {_three(excused['AP'])} with {left_out} objects tagged"
        " ok-to-miss or label-wrong neither found nor missed."
    )


def _three(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


@st.cache_data(max_entries=8, show_spinner="Measuring what the corrections are worth")
def _worth(path: str, stamp: tuple, pulled: str, _s: Any, _changes: ChangeList) -> tuple[dict, dict]:
    before, after, _ = rescore(_s.run, _changes)
    return before.figures, after.figures


def section(s: state.Shared, dataset: str | None) -> None:
    """The button, the list, what it is worth, and a corrected copy; `dataset` is the FiftyOne data set's
    name.
    """
    st.divider()
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(
            "Pull changes from FiftyOne",
            icon=":material/download:",
            help="Label tags, and ground truth corrected, added or deleted in FiftyOne.",
        ):
            with st.spinner("Reading FiftyOne's database"):
                pull_corrections(s, dataset)
    st.caption(
        "Tag **labels** in FiftyOne (open the tag menu with labels shown): a tag on a patch does not reach"
        " its sample. Known words are must-detect, ok-to-miss and label-wrong."
    )
    if not list_file(s).exists():
        return
    changes = ChangeList.load(list_file(s))
    counts = changes.counts()
    st.markdown(
        f"Pulled {changes.pulled[:16].replace('T', ' ')} UTC: "
        + (", ".join(f"{n} {what}" for what, n in counts.items()) or "nothing was changed or tagged")
    )
    if changes.changes:
        st.dataframe(change_rows(changes), width="stretch", hide_index=True)
        before, after = _worth(str(s.path), s.stamp, changes.pulled, s, changes)
        if before["AP"] is not None and after["AP"] is not None:
            n = len(changes.changes)
            st.markdown(
                f"{'This fix is' if n == 1 else f'These {n} fixes are'} worth"
                f" **{100 * (after['AP'] - before['AP']):+.1f} AP** ({_three(before['AP'])} →"
                f" {_three(after['AP'])}), AP50 {_three(before['AP50'])} → {_three(after['AP50'])}."
            )
        _copies(s, changes)
    _excused_figures(s, load_expectations(expectations_file(s.manifest.dataset.source)))
    expectations_section(s)


def _copies(s: state.Shared, changes: ChangeList) -> None:
    """Write the corrections to a copy of the annotations, and undo them in a further one."""
    written = st.session_state.get("_corrected")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(
            "Write a corrected copy",
            icon=":material/save:",
            help="In the format the annotations came in, to a new folder; the old ones stay as they are.",
        ):
            place = data_dir("corrected") / f"{s.name}-{time.strftime('%Y%m%d-%H%M%S')}"
            _tell(write_changed(as_dataset(s.run), changes, place), "corrections written to", place)
            st.session_state["_corrected"] = str(place)
        if (
            written
            and Path(written).exists()
            and st.button(
                "Undo in a further copy",
                icon=":material/undo:",
                help=f"Takes the corrections back out of {written}.",
            )
        ):
            place = data_dir("corrected") / f"{s.name}-undone-{time.strftime('%Y%m%d-%H%M%S')}"
            _tell(
                write_changed(load_dataset(written), changes.inverse(), place), "corrections undone in", place
            )
        st.download_button(
            "Change list",
            list_file(s).read_bytes(),
            f"{s.name}-changes.json",
            "application/json",
            icon=":material/list:",
        )


def _tell(applied: Any, words: str, place: Path) -> None:
    st.success(f"{applied.done} {words} `{place}`.", icon=":material/check_circle:")
    for line in applied.skipped:
        st.caption(line)
