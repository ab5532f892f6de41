"""A missed object looked for in changed pictures: a crop, more contrast, neighbours hidden. The network runs
again, on request.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from analysis.misses.retries import Retry, retry
from analysis.misses.run import Autopsy
from analysis.runs.store import Run
from app.frame.components import say_error
from app.model.process import model_process
from app.model.spec import spec_of
from detector.errors import BoxscopeError, ModelError


@st.cache_resource(max_entries=256, show_spinner="Running the network on changed pictures")
def _tries(
    identity: str,
    truth: int,
    threshold: float,
    bound: float,
    _run: Run,
    _i: int,
    _own: int,
    _spec: dict[str, Any],
    _hash: str,
) -> list[Retry]:
    process = model_process()
    if process.info(_spec).weights_hash != _hash:
        raise ModelError(
            "The detector at the run's source has changed since, so it may see this object otherwise."
        )
    rows = np.arange(_run.truth_offsets[_i], _run.truth_offsets[_i + 1])
    return retry(
        partial(process.detect, _spec),
        _run.load_image(_i),
        _run.truth.xyxy[truth],
        _own,
        threshold=threshold,
        bound=bound,
        others=_run.truth.xyxy[rows[rows != truth]],
    )


def section(s: Any, a: Autopsy, q: int) -> None:
    """A button, and after it what each changed picture gave."""
    truth = int(a.evidence.truth[q])
    class_id = int(s.run.truth.class_ids[truth])
    own = {link.class_id: k for k, link in enumerate(s.manifest.classes.links)}
    spec = spec_of(s.manifest)
    if spec is None or class_id not in own or s.manifest.detector.simulated:
        return
    key = f"again-{s.manifest.identity}-{truth}"
    if not st.session_state.get(key):
        st.button(
            "Run the network again around it",
            icon=":material/frame_inspect:",
            on_click=lambda: st.session_state.update({key: True}),
            help=(
                "Looks for it in two crops around it, in the picture with more contrast, and with its"
                " neighbours hidden: is it within the network's reach at all?"
            ),
        )
        return
    try:
        tries = _tries(
            s.manifest.identity,
            truth,
            float(a.thresholds[class_id]),
            s.iou,
            s.run,
            int(s.run.truth.rows[truth]),
            own[class_id],
            spec,
            s.manifest.detector.weights_hash,
        )
    except BoxscopeError as error:
        say_error(error)
        return
    found = [t for t in tries if t.found]
    name = s.run.class_map.names[class_id]
    st.markdown(
        f"Within reach: found with {found[0].change}."
        if found
        else (
            f"None of these brings a {name} there above {float(a.thresholds[class_id]):.2f}: it is beyond"
            " this network here, or the picture does not show it."
        )
    )
    st.dataframe(
        [
            {
                "changed picture": t.change,
                "score": t.score if t.score >= 0 else None,
                "IoU": t.iou if t.score >= 0 else None,
                "found": t.found,
            }
            for t in tries
        ],
        hide_index=True,
        width="stretch",
        placeholder="nothing fits it",
        column_config={
            "score": st.column_config.NumberColumn(format="%.2f"),
            "IoU": st.column_config.NumberColumn(format="%.2f"),
        },
    )
