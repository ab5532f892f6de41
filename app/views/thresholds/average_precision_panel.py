"""Average precision by COCO's and VOC's rules, and the check against pycocotools."""

from __future__ import annotations

from typing import Any

import streamlit as st

from analysis.metrics.evaluate import evaluate
from analysis.metrics.pycocotools_check import parity
from analysis.metrics.voc import VOC_INTERPOLATIONS, evaluate_voc
from app.frame import state
from app.frame.components import say_error
from app.views.thresholds import evaluation_panel
from app.views.thresholds.cached import key_of_counts
from detector.errors import BoxscopeError, UnavailableError


@st.cache_resource(max_entries=16, show_spinner="Evaluating")
def _evaluation(key: tuple, chosen: tuple, _s: Any) -> Any:
    return evaluate(
        _s.run,
        classes=_s.counted_classes,
        images=None if _s.class_ids is None else _s.images,
        **evaluation_panel.arguments(dict(chosen)),
    )


@st.cache_resource(max_entries=4, show_spinner="Evaluating by VOC's rule")
def _voc(path: str, stamp: tuple, iou: float, interpolation: str, _s: Any) -> Any:
    return evaluate_voc(_s.run, iou=iou, interpolation=interpolation)


@st.cache_resource(max_entries=4, show_spinner="Evaluating a second time, by pycocotools")
def _parity(path: str, stamp: tuple, _s: Any) -> Any:
    return parity(_s.run)


def show_average_precision(s: state.Shared) -> None:
    rule = (
        st.segmented_control(
            "Rule",
            ["COCO", "VOC 11 points", "VOC every point"],
            default="COCO",
            key="ap_rule",
            required=True,
            label_visibility="collapsed",
        )
        or "COCO"
    )
    if rule == "COCO":
        with st.expander("Settings that change these figures", icon=":material/tune:"):
            columns = st.columns(3)
            chosen = {}
            for n, (name, (label, values)) in enumerate(evaluation_panel.CHOICES.items()):
                chosen[name] = columns[n % 3].selectbox(
                    label, list(values), format_func=values.get, key=f"choice_{name}"
                )
        evaluation = _evaluation(key_of_counts(s), tuple(chosen.items()), s)
        changed = [
            f"{label.lower()}: {values[chosen[name]]}"
            for name, (label, values) in evaluation_panel.CHOICES.items()
            if chosen[name] != next(iter(values))
        ]
        if changed:
            st.markdown(f":material/warning: Not COCO's own settings: {'; '.join(changed)}.")
        left, right = st.columns([1, 1.25], gap="large")
        figure = st.column_config.NumberColumn(format="%.3f", width=72)
        left.dataframe(
            evaluation_panel.figure_rows(evaluation),
            hide_index=True,
            width="stretch",
            height=406,
            placeholder="–",
            column_config={"value": figure},
        )
        rows = evaluation_panel.class_rows(evaluation)
        at = right.dataframe(
            rows,
            key="class_ap",
            hide_index=True,
            width="stretch",
            height=406,
            placeholder="–",
            on_select="rerun",
            selection_mode="single-row",
            column_config={"AP": figure, "AP50": figure, "AR": figure},
        ).selection.rows
        if at and at[0] < len(rows) and rows[at[0]]["class"] in s.run.class_map:
            name = rows[at[0]]["class"]
            right.button(
                f"Show the mistakes of {name}",
                icon=":material/rule:",
                on_click=lambda: st.session_state.update(classes=[name], _go="views/mistakes/page.py"),
            )
        st.caption(
            f"{evaluation.operating_point} · {evaluation.images:,} images, {evaluation.objects:,} objects,"
            f" {evaluation.detections:,} detections. The confidence threshold does not enter AP."
        )
        for note in evaluation.notes:
            st.caption(note)
    else:
        interpolation = "11" if "11" in rule else "all"
        voc = _voc(str(s.path), s.stamp, s.iou, interpolation, s)
        st.markdown(
            f"mAP **{'–' if voc.mean_ap is None else format(voc.mean_ap, '.3f')}** at IoU {s.iou:.2f},"
            f" {VOC_INTERPOLATIONS[interpolation]}"
        )
        st.dataframe(
            [
                {"class": n, "AP": v}
                for n, v in sorted(voc.per_class.items(), key=lambda p: (p[1] is None, p[1] or 0))
                if v is not None
            ],
            hide_index=True,
            height=400,
            column_config={"AP": st.column_config.NumberColumn(format="%.3f")},
        )
        st.caption(f"{voc.operating_point} · every class and image")
    _parity_panel(s)


def _parity_panel(s: state.Shared) -> None:
    with st.container(border=True):
        st.markdown("**Why another tool may show another number**")
        asked = st.session_state.get("_parity") == (str(s.path), s.stamp)
        if not asked:
            st.button(
                "Compare with pycocotools",
                icon=":material/balance:",
                on_click=lambda: st.session_state.update(_parity=(str(s.path), s.stamp)),
                help=(
                    "The same boxes through pycocotools, and by other conventions. Its evaluation takes most"
                    " of the time: about a minute for 5,000 images."
                ),
            )
            return
        try:
            found = _parity(str(s.path), s.stamp, s)
        except UnavailableError as error:
            st.markdown(error.message)
            return
        except BoxscopeError as error:
            say_error(error)
            return
        exact = st.column_config.NumberColumn(format="%.6f")
        st.markdown("Equal to the last bit on every figure." if found.equal else "The two differ:")
        st.dataframe(
            evaluation_panel.parity_rows(found),
            hide_index=True,
            width="stretch",
            placeholder="–",
            column_config={"Boxscope": exact, "pycocotools": exact},
        )
        for reason in found.reasons:
            st.markdown(reason)
        st.dataframe(
            evaluation_panel.convention_rows(found),
            hide_index=True,
            width="stretch",
            placeholder="–",
            column_config={
                "value": st.column_config.NumberColumn(format="%.3f"),
                "why": st.column_config.TextColumn(width="large"),
            },
        )
        st.caption("Of the whole run with COCO's settings, every class and image.")
