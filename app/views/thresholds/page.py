"""Thresholds: curves with a line to drag, a threshold for each class, calibration, and the evaluation figures
with their settings.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.matching.match import counts
from analysis.matching.operating_point import operating_point
from analysis.metrics.evaluate import evaluate
from analysis.metrics.pycocotools_check import parity
from analysis.metrics.voc import VOC_INTERPOLATIONS, evaluate_voc
from analysis.thresholds import curves as rules
from analysis.thresholds.calibration import METHODS, Calibration, fit_calibration, run_reliability
from analysis.thresholds.files import thresholds_for
from app.frame import choices, state
from app.frame.components import empty, say_error
from app.viewer.panels import live_curves, reliability_diagram
from app.views.thresholds import evaluation_panel, table
from detector.errors import BoxscopeError, UnavailableError

LOOKS = ("Thresholds", "Calibration", "Average precision")
PERCENT = st.column_config.NumberColumn(format="%.1f %%", width=76)


def _key(s: state.Shared) -> tuple:
    """What the matching of the chosen classes and images depends on."""
    images = None if s.class_ids is None or s.mode == "any" else s.images.tobytes()
    return str(s.path), s.stamp, s.iou, s.counted_classes, images


@st.cache_resource(max_entries=8, show_spinner=False)
def _grid(key: tuple, _s: Any) -> tuple[rules.Curve, list[rules.Curve]]:
    return rules.grid_curves(_s.chosen)


@st.cache_resource(max_entries=16, show_spinner=False)
def _exact(key: tuple, class_id: int | None, _s: Any) -> rules.Curve:
    return rules.exact_curve(_s.chosen, class_id)


@st.cache_data(max_entries=64, show_spinner=False)
def _precision_recall(key: tuple, class_id: int | None, _s: Any) -> dict[str, list[float | None]]:
    return table.precision_recall(_exact(key, class_id, _s))


@st.cache_data(max_entries=16, show_spinner="Trying every threshold")
def _suggest(key: tuple, rule: tuple, _s: Any) -> tuple[rules.Suggestion, list[rules.Suggestion]]:
    return rules.suggest(_s.chosen, table.rule_of(*rule)[1], floor=_floor(_s))


def _floor(s: state.Shared) -> float:
    """The run holds nothing below this score; calibrated scores have no such bound."""
    return s.manifest.floor if s.calibration is None else 0.0


# ---- thresholds


def _curves(s: state.Shared, line: DeltaGenerator) -> None:
    whole, per_class = _grid(_key(s), s)
    classes = table.shown(s.chosen, s.counted_classes)
    names = s.run.class_map.names
    with line:
        of = st.selectbox(
            "Curve of",
            [None, *classes],
            format_func=lambda k: "all classes together" if k is None else names[k],
            key="curve_of",
            label_visibility="collapsed",
            width=220,
        )
        # Of the thresholds the slider can be set to, so that choosing it gives what it says.
        suggestion = rules.best_f1(whole if of is None else per_class[of])
        if suggestion.threshold is not None:
            suggestion = replace(
                suggestion, threshold=max(suggestion.threshold, _floor(s)) if suggestion.tp else None
            )
        if suggestion.threshold is not None and s.saved is None:
            st.button(
                f"Best F1 at {suggestion.threshold:.2f}",
                icon=":material/adjust:",
                on_click=_set_threshold,
                args=(suggestion.threshold,),
                disabled=round(suggestion.threshold, 2) == s.threshold,
                help=(
                    f"{suggestion.tp:,} correct, {suggestion.fp:,} wrong, {suggestion.fn:,} missed there: F1"
                    f" {suggestion.f1:.1%}. Chosen on this data, which flatters it a little."
                ),
            )
    grid = whole if of is None else per_class[of]
    fixed = None
    if s.saved is not None:
        fixed = s.counts if of is None else _one_class(s, of)
    live_curves(
        table.curve_payload(
            grid,
            _precision_recall(_key(s), of, s),
            threshold=s.threshold,
            floor=_floor(s),
            fixed=fixed,
            marks=[suggestion.threshold] if suggestion.threshold is not None else [],
        ),
        key="curves",
        on_threshold=_dragged,
    )
    st.caption(
        f"{s.point} · {grid.objects:,} objects · dotted: best"
        f" F1.{' Drag the line, or use the arrow keys on it.' if s.saved is None else ''}"
    )


def _one_class(s: state.Shared, k: int) -> Any:
    from analysis.matching.match import Counts

    c = s.counts.per_class
    return Counts(
        *(
            int(getattr(c, f)[k])
            for f in ("tp", "fp", "fn", "duplicates", "ignored", "unlabelled", "objects", "detections")
        )
    )


def _set_threshold(value: float) -> None:
    st.session_state["conf"] = min(1.0, max(0.0, round(value, 2)))


def _dragged() -> None:
    if (value := st.session_state["curves"].get("threshold")) is not None:
        _set_threshold(float(value))


def _table(s: state.Shared) -> None:
    names, store = s.run.class_map.names, st.session_state
    held = store.get("_cuts")
    fresh = s.saved.thresholds if s.saved is not None else np.full(len(names), s.threshold, np.float32)
    # Untouched, the table follows the slider; once edited it keeps its numbers until saved or reset.
    thresholds, touched = (
        (held["cuts"], True)
        if held and held["run"] == s.name and len(held["cuts"]) == len(names)
        else (fresh, False)
    )
    classes = table.shown(s.chosen, s.counted_classes)
    why = held["why"] if touched else {}

    def keep(new: np.ndarray, rule: str, why: dict[int, str]) -> None:
        store["_cuts"] = {"run": s.name, "cuts": new, "rule": rule, "why": why}
        store["_editor"] = store.get("_editor", 0) + 1

    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox("Suggest for each class", table.RULES, key="rule", width=190)
        value, wrong, missed = 0.9, 1.0, 5.0
        if name in ("recall at least", "precision at least"):
            value = st.number_input("Share", 0.0, 1.0, 0.9, 0.05, key="rule_value", width=120)
        elif name == "least cost":
            wrong = st.number_input("A wrong one costs", 0.0, None, 1.0, 0.5, key="cost_wrong", width=140)
            missed = st.number_input("A missed one costs", 0.0, None, 5.0, 0.5, key="cost_missed", width=140)
        if st.button(
            "Suggest",
            icon=":material/auto_fix_high:",
            type="primary",
            disabled=name == "least cost" and wrong + missed == 0,
        ):
            rule = (name, value, wrong, missed)
            overall, by_class = _suggest(_key(s), rule, s)
            keep(
                *_named(
                    table.suggested(overall, by_class, thresholds),
                    table.rule_of(*rule)[0],
                )
            )
            st.rerun()
        if st.button("Reset", disabled=not touched, help="Every class back to what counts now."):
            store.pop("_cuts", None)
            store["_editor"] = store.get("_editor", 0) + 1
            st.rerun()
    base = s.counts if s.saved is None else counts(s.chosen, s.threshold)
    editor = f"cuts-{s.name}-{store.get('_editor', 0)}"

    def on_edit() -> None:
        keep(table.edited(thresholds, classes, store[editor]["edited_rows"]), "edited by hand", {})

    now = counts(s.chosen, thresholds)
    st.markdown(
        _difference(now, base, s.threshold)
        if touched or s.saved is not None
        else f"Every class stands at {s.threshold:.2f}. Edit a threshold, or let them be suggested."
    )
    st.data_editor(
        table.rows(s.chosen, names, classes, thresholds, base, why),
        key=editor,
        hide_index=True,
        width="stretch",
        height=min(31 * len(classes) + 34, 408),
        placeholder="–",
        on_change=on_edit,
        disabled=[
            c
            for c in (
                "class",
                "objects",
                "correct",
                "± correct",
                "wrong",
                "± wrong",
                "precision",
                "recall",
                "F1",
                "note",
            )
        ],
        column_config={
            "class": st.column_config.TextColumn(pinned=True),
            "threshold": st.column_config.NumberColumn(
                "threshold",
                min_value=0.0,
                max_value=1.0,
                step=0.001,
                format="%.3g",
                width=92,
                help="Click to edit.",
            ),
            "± correct": st.column_config.NumberColumn(
                format="%+d", help=f"Against {s.threshold:.2f} for every class."
            ),
            "± wrong": st.column_config.NumberColumn(
                format="%+d", help=f"Against {s.threshold:.2f} for every class."
            ),
            "precision": PERCENT,
            "recall": PERCENT,
            "F1": PERCENT,
            "note": st.column_config.TextColumn(width=210),
        },
    )
    _save(s, thresholds, held["rule"] if touched else "")


def _named(found: tuple[np.ndarray, dict[int, str]], rule: str) -> tuple[np.ndarray, str, dict[int, str]]:
    return found[0], rule, found[1]


def _difference(now: Any, base: Any, threshold: float) -> str:
    def signed(n: int) -> str:
        return f"{n:+,}" if n else "±0"

    def rate(value: float) -> str:
        return "–" if np.isnan(value) else f"{100 * value:.1f} %"

    return (
        f"With these: **{now.tp:,}** correct ({signed(now.tp - base.tp)}), **{now.fp:,}** wrong"
        f" ({signed(now.fp - base.fp)}), **{now.fn:,}** missed ({signed(now.fn - base.fn)}); precision"
        f" {rate(now.precision)}, recall {rate(now.recall)}, F1 {rate(now.f1)}. In brackets: against"
        f" {threshold:.2f} for every class. Chosen and judged on the same data, which flatters them a little."
    )


def _save(s: state.Shared, thresholds: np.ndarray, rule: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.text_input(
            "Save as", s.saved.name if s.saved is not None else s.name, key="save_as", width=260, max_chars=80
        )

        def save() -> None:
            file = thresholds_for(
                s.run.class_map,
                thresholds,
                operating_point(s.run, s.threshold, iou=s.iou),
                default=s.threshold,
                rule=rule or (s.saved.file.rule if s.saved else ""),
                run=s.name,
            )
            try:
                choices.save(name.strip(), file)
            except (BoxscopeError, OSError) as error:
                st.session_state["_save_error"] = getattr(error, "message", str(error))
                return
            st.session_state.pop("_cuts", None)
            choices.choose("cuts", name.strip())
            st.session_state["_editor"] = st.session_state.get("_editor", 0) + 1

        st.button(
            "Save and use everywhere",
            icon=":material/save:",
            on_click=save,
            type="primary",
            help=(
                "The whole app follows, and so does a push to FiftyOne. On the command line: --thresholds"
                " FILE."
            ),
        )
        if s.saved is not None:
            st.button("Use one threshold again", on_click=choices.choose, args=("cuts", choices.ONE))
    if error := st.session_state.pop("_save_error", None):
        st.error(error, icon=":material/error:")
    if s.saved is not None:
        st.caption(
            f"In use: `{choices.path_of(s.saved.name)}`; `boxscope list … --thresholds FILE` and `boxscope"
            " push … --thresholds FILE` count by the same numbers."
        )


# ---- calibration


@st.cache_resource(max_entries=8, show_spinner="Binning scores")
def _reliability(key: tuple, _s: Any) -> tuple:
    return run_reliability(_s.chosen)


@st.cache_resource(max_entries=8, show_spinner="Fitting a calibration")
def _fits(path: str, stamp: tuple, iou: float, _s: Any) -> dict[str, Calibration | str]:
    stored = state.stored_matches(_s)
    out: dict[str, Calibration | str] = {}
    for method in METHODS:
        try:
            out[method] = fit_calibration(stored, method)
        except BoxscopeError as error:
            out[method] = error.message
    return out


def _calibration(s: state.Shared) -> None:
    whole, per_class = _reliability(_key(s), s)
    names = s.run.class_map.names
    listed = [r for r in per_class if r.ece is not None]
    listed.sort(key=lambda r: -int(r.counts.sum()))
    left, right = st.columns([1, 1.15], gap="large")
    chosen = st.session_state.get("ece_table", {}).get("selection", {}).get("rows", [])
    table = listed[chosen[0]] if chosen and chosen[0] < len(listed) else whole
    with left:
        what = "all classes" if table.class_id is None else names[table.class_id]
        if table.ece is None:
            st.markdown("No judged detections, so there is nothing to calibrate.")
            return
        over = table.overconfidence or 0.0
        st.markdown(
            f"**{what}**: confidence is {100 * abs(over):.1f} points too {'high' if over > 0 else 'low'} on"
            f" average; expected calibration error **{table.ece:.3f}** over {int(table.counts.sum()):,}"
            " detections."
        )
        reliability_diagram(
            {
                "edges": table.edges.tolist(),
                "counts": table.counts.tolist(),
                "accuracy": _plain(table.accuracy),
                "confidence": _plain(table.confidence),
                "words": f"Reliability of {what}: expected calibration error {table.ece:.3f}",
            },
            key="reliability",
        )
        calibrated = (
            ""
            if s.calibration is None
            else (
                f" Scores are calibrated ({s.calibration.method}) by a map fitted on these very detections,"
                " so the gaps look smaller than on new images: held out, the error is"
                f" {s.calibration.ece_after:.3f}."
            )
        )
        st.caption(
            "Blue: share correct. Red: the gap to the mean confidence of the bin. Every judged detection"
            f" from the floor {s.manifest.floor:g} on, IoU ≥ {s.iou:.2f}, whatever the threshold.{calibrated}"
        )
    with right:
        st.dataframe(
            {
                "class": [names[r.class_id] for r in listed],
                "detections": [int(r.counts.sum()) for r in listed],
                "ECE": [r.ece for r in listed],
                "too high by": [100 * r.overconfidence for r in listed],
            },
            key="ece_table",
            hide_index=True,
            width="stretch",
            height=min(31 * len(listed) + 34, 344),
            on_select="rerun",
            selection_mode="single-row",
            column_config={
                "ECE": st.column_config.NumberColumn(
                    format="%.3f",
                    help=(
                        "Expected calibration error: mean gap between confidence and share correct, weighted"
                        " by the bins' counts; 10 bins."
                    ),
                ),
                "too high by": st.column_config.NumberColumn(
                    format="%+.1f points", help="Mean confidence minus share correct."
                ),
            },
        )
        st.caption("Choose a class to see its diagram.")
    fits = _fits(str(s.path), s.stamp[:2], s.iou, s)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("**Correct the scores**")
        for method in METHODS:
            fit = fits[method]
            if isinstance(fit, str):
                st.caption(fit)
                break
            on = s.calibration is not None and s.calibration.method == method
            st.button(
                f"{'In use: ' if on else 'Apply '}{method} · ECE {fit.ece_before:.3f} → {fit.ece_after:.3f}",
                disabled=on,
                on_click=choices.choose,
                args=("scores", method),
                help=(
                    "Both errors are on images the map was not fitted on: two halves, each judged by the"
                    " other's map."
                ),
            )
        if s.calibration is not None:
            st.button("Scores as stored", on_click=choices.choose, args=("scores", choices.STORED))
    st.caption(
        "Fitted on the stored scores of this run and applied in this app only; every figure then says so."
        " Order within a class stays, so its AP stays too, but for scores that become equal."
    )


def _plain(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values]


# ---- evaluation


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


def _evaluate(s: state.Shared) -> None:
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
        evaluation = _evaluation(_key(s), tuple(chosen.items()), s)
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
                "Put pycocotools beside",
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


def main() -> None:
    state.go_if_asked()
    s = state.shared()
    if s is None:
        box = empty(
            "No thresholds to choose yet",
            "A run over labelled pictures brings its curves here; the demo makes one at once.",
        )
        if box.button("Choose pictures and a detector", type="primary"):
            state.go("views/detect/page.py")
        return
    if not s.run.usable.any():
        empty(
            "Nothing to measure by",
            "No image of this run has ground truth, so precision and recall are unknown. Choose a labelled"
            " data set.",
        )
        return
    line = st.container(horizontal=True, vertical_alignment="center", gap="medium")
    look = (
        line.segmented_control(
            "Look at",
            list(LOOKS),
            default=LOOKS[0],
            key="measure",
            bind="query-params",
            required=True,
            label_visibility="collapsed",
        )
        or LOOKS[0]
    )
    if look == "Thresholds":
        _curves(s, line)
        _table(s)
    elif look == "Calibration":
        _calibration(s)
    else:
        _evaluate(s)


main()
