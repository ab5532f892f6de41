"""Compare: two runs or two settings of one; which objects are gained, lost or moved, and both pictures of
each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from analysis.matching.match import match_run
from analysis.mistakes.compare import Comparison, compare, with_nms
from app.files import pictures
from app.frame import choices, state
from app.frame.components import empty, say_error
from app.frame.expectations import expectations_section
from app.frame.slices import parts_of
from app.viewer import box_viewer
from app.viewer.payload import boxes_of, exact
from app.views.compare import changes, pair_section
from detector.errors import BoxscopeError

MOST = 1000
"""So many flips are listed; more would only slow the table down."""
LOOKS = ("By ground truth", "Box by box")
WAYS = ("Another threshold", "Another run", "Stricter NMS", "Another IoU")


# ---- the other side


def _others(s: state.Shared) -> list[str]:
    """Runs over the same data set, the newest first."""
    return [
        name
        for name, summary in state.stored_runs().items()
        if name != s.name and summary.manifest.dataset.fingerprint == s.manifest.dataset.fingerprint
    ]


def _settings(s: state.Shared) -> dict[str, Any]:
    """Draw what the second side is, and return it as `_compared`'s arguments."""
    others = _others(s)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        way = (
            st.segmented_control(
                "Compare with",
                list(WAYS),
                default=WAYS[1] if others else WAYS[0],
                key="against",
                bind="query-params",
                required=True,
            )
            or WAYS[0]
        )
        if way == "Another run":
            if not others:
                st.caption(
                    "There is no other run over this data set yet. *Detect* makes one with another detector;"
                    " or compare two settings of this run."
                )
                return {}
            name = st.selectbox("Run after", others, key="other", bind="query-params", width=260)
            after = st.slider(
                "Confidence after",
                0.0,
                1.0,
                s.threshold,
                0.01,
                key="conf_other",
                format="%.2f",
                width=190,
                help="The second detector's scores may mean something else.",
            )
            return {"other": name, "cuts": after}
        if way == "Another threshold":
            saved = choices.saved_names()
            kinds = ["one number", *saved]
            kind = st.selectbox("Thresholds after", kinds, key="cuts_after", width=190) if saved else kinds[0]
            if kind != kinds[0]:
                return {"cuts": choices.open_saved(kind, s.run).thresholds}
            default = (
                round(min(1.0, s.threshold + 0.1), 2) if s.threshold < 0.95 else round(s.threshold - 0.1, 2)
            )
            return {
                "cuts": st.slider(
                    "Confidence after",
                    0.0,
                    1.0,
                    default,
                    0.01,
                    key="conf_after",
                    bind="query-params",
                    format="%.2f",
                    width=240,
                )
            }
        if way == "Stricter NMS":
            return {
                "nms": st.slider(
                    "NMS IoU after",
                    0.1,
                    0.95,
                    0.45,
                    0.05,
                    key="nms_after",
                    bind="query-params",
                    format="%.2f",
                    width=240,
                    help=(
                        "Stored boxes are suppressed again at this IoU, per class. A looser NMS cannot bring"
                        " back what was never stored."
                    ),
                )
            }
        return {
            "iou": st.slider(
                "IoU after",
                0.3,
                0.95,
                0.75 if s.iou < 0.7 else 0.5,
                0.05,
                key="iou_after",
                bind="query-params",
                format="%.2f",
                width=240,
            )
        }


@st.cache_resource(max_entries=4, show_spinner="Suppressing and matching again")
def _suppressed(path: str, stamp: tuple, iou: float, nms: float, _s: Any) -> tuple[Any, Any]:
    run = with_nms(_s.run, nms)
    return run, match_run(run, iou)


@st.cache_resource(max_entries=8, show_spinner=False)
def _compared(
    key: tuple,
    cuts_a: tuple,
    cuts_b: tuple | None,
    other: str | None,
    other_stamp: tuple,
    nms: float | None,
    iou: float | None,
    _s: Any,
) -> Comparison:
    run_b, matches_b, thresholds = _s.run, _s.matches, _s.thresholds
    if other is not None:
        run_b, matches_b = state.run_and_matches(other, _s.iou)
    elif nms is not None:
        run_b, matches_b = _suppressed(*key[:3], nms, _s)
    elif iou is not None:
        matches_b = state.run_and_matches(_s.name, iou, _s.stamp)[1]
    if cuts_b is not None:
        thresholds = cuts_b[0] if len(cuts_b) == 1 else np.array(cuts_b, np.float32)
    return compare(
        _s.run,
        run_b,
        threshold=_s.thresholds,
        threshold_b=thresholds,
        iou=_s.iou,
        iou_b=iou,
        matches_a=_s.matches,
        matches_b=matches_b,
    )


def _comparison(s: state.Shared, settings: dict[str, Any]) -> Comparison:
    other = settings.get("other")
    thresholds = settings.get("cuts")
    stamp = state.run_stamp(state.stored_runs()[other].path) if other else ()
    return _compared(
        state.key_of(s),
        state.threshold_key(s),
        None if thresholds is None else tuple(np.atleast_1d(np.asarray(thresholds, float)).tolist()),
        other,
        stamp,
        settings.get("nms"),
        settings.get("iou"),
        s,
    )


# ---- what is shown


def _look(judged: bool) -> str:
    """Whether flips of objects are shown, or detections paired with detections; without ground truth only the
    latter.
    """
    if not judged:
        return LOOKS[1]
    return (
        st.segmented_control(
            "Look",
            list(LOOKS),
            default=LOOKS[0],
            key="pairing",
            bind="query-params",
            required=True,
            label_visibility="collapsed",
            help=(
                "By ground truth: which objects are found before and after. Box by box: which detections the"
                " other run keeps, loses, moves and rescores."
            ),
        )
        or LOOKS[0]
    )


def _totals(c: Comparison) -> None:
    words = [f"objects: **{c.gained:,}** gained, **{c.lost:,}** lost", *changes.totals(c)]
    st.markdown(" · ".join(words))


def _parts(s: state.Shared, c: Comparison) -> np.ndarray | None:
    """Draw the table by class or part; returns the mask over the truth of the chosen line."""
    by = (
        st.segmented_control(
            "By",
            ["class", "part"],
            default="class",
            key="flips_by",
            required=True,
            label_visibility="collapsed",
            format_func={"class": "By class", "part": "By part of the data"}.get,
        )
        or "class"
    )
    t = s.run.truth
    if by == "class":
        parts = {
            ("class", n): t.class_ids == k
            for k, n in enumerate(s.run.class_map.names)
            if s.counted_classes is None or k in s.counted_classes
        }
    else:
        parts = parts_of(s)
    rows = changes.by_part(c, parts)

    def share(words: str) -> Any:
        return st.column_config.NumberColumn(format="%.1f %%", width=66, help=words)

    shown = st.dataframe(
        [{k: v for k, v in r.items() if k != "key"} for r in rows],
        key=f"parts-{by}-{s.name}",
        hide_index=True,
        width="stretch",
        height=min(31 * len(rows) + 34, 222),
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "before": share("Recall before, of the objects."),
            "after": share("Recall after, of the objects."),
            "gained": st.column_config.NumberColumn(width=54),
            "lost": st.column_config.NumberColumn(width=44),
            "net": None,
            "objects": st.column_config.NumberColumn(width=58),
            "part": st.column_config.TextColumn(by, help="Choose a line to see its flips alone."),
        },
    )
    at = shown.selection.rows
    return parts[rows[at[0]]["key"]] if at and at[0] < len(rows) else None


def _list(s: state.Shared, c: Comparison, within: np.ndarray | None) -> int | None:
    """Draw the flip list; returns the chosen entry of the comparison's objects."""
    if s.class_ids is not None:
        t = s.run.truth
        mine = s.images[t.rows] & (
            np.isin(t.class_ids, s.counted_classes) if s.counted_classes is not None else True
        )
        within = mine if within is None else within & mine
    with st.container(horizontal=True, vertical_alignment="center"):
        wanted = (
            st.pills(
                "Show",
                help=(
                    f"Moved: found by both, with a score {changes.MOVED_SCORE} or an IoU"
                    f" {changes.MOVED_IOU} apart."
                ),
                options=list(changes.CHANGES),
                selection_mode="multi",
                default=["lost", "gained"],
                key="changes",
                label_visibility="collapsed",
            )
            or []
        )
        rows = changes.flips(c, tuple(wanted), within)
        st.markdown(
            f"**{len(rows):,}** object{'s' if len(rows) != 1 else ''},"
            f" {'in the order of the images' if c.a.matches is c.b.matches else 'the largest change of score first'}{f'; the first {MOST:,} are listed, the CSV file has all' if len(rows) > MOST else ''}",
            width="stretch",
        )
        st.download_button(
            "CSV",
            lambda: changes.as_csv(c, rows),
            f"{s.name}-flips.csv",
            "text/csv",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            disabled=not len(rows),
            help=f"These {len(rows):,} objects with both operating points.",
        )
    if not len(rows):
        st.caption("No object changed this way.")
        return None
    number = st.column_config.NumberColumn(format="%.2f", width=70)

    def score(when: str) -> Any:
        return st.column_config.NumberColumn(
            format="%.2f",
            width=58,
            help=(
                f"Score {when} of the detection that fits it; where the object is missed, of the one below"
                " the threshold."
            ),
        )

    key = f"flips-{s.name}"
    held = st.session_state.get(key, {}).get("selection", {}).get("rows", [])
    if not held or held[0] >= min(len(rows), MOST):
        st.session_state[key] = {"selection": {"rows": [0]}}
    shown = st.dataframe(
        changes.table(c, rows[:MOST]),
        key=key,
        hide_index=True,
        width="stretch",
        height=min(31 * len(rows) + 34, 222),
        on_select="rerun",
        selection_mode="single-row",
        placeholder="–",
        column_config={
            "IoU before": number,
            "IoU after": number,
            "before": score("before"),
            "after": score("after"),
            "area": st.column_config.NumberColumn(format="%d", help="Square pixels."),
        },
    )
    at = shown.selection.rows
    return int(rows[at[0]]) if at and at[0] < len(rows) else None


def _pictures(s: state.Shared, c: Comparison, q: int) -> None:
    run, o = c.a.run, int(c.objects[q])
    i = int(run.truth.rows[o])
    selected = {"side": "truth", "index": o - int(run.truth_offsets[i])}
    sides = st.columns(2, gap="small")
    for name, column, side, row in (("Before", sides[0], c.a, i), ("After", sides[1], c.b, int(c.b_rows[i]))):
        at = int(c.b_objects[q]) - int(side.run.truth_offsets[row]) if name == "After" else selected["index"]
        with column:
            st.markdown(f"**{name}** · {_says(c, q, name == 'Before')}")
            box_viewer(
                _viewer_data(s, side, row, {"side": "truth", "index": at}, name), key=f"compare_{name}"
            )

    def look() -> None:
        st.session_state.update(image_id=run.sample_ids[i], selected=selected, _go="views/image/page.py")

    st.button("Open this image", icon=":material/frame_inspect:", on_click=look)


def _says(c: Comparison, q: int, before: bool) -> str:
    score, found = (
        float((c.score_a if before else c.score_b)[q]),
        bool(c.state[q] in ((2, 3) if before else (1, 3))),
    )
    if found:
        return f"found at {score:.2f}"
    return (
        f"missed; a fitting box has {score:.2f}, under the threshold"
        if score >= 0
        else "missed; no box of its class fits"
    )


def _viewer_data(s: state.Shared, side: Any, i: int, selected: dict, name: str) -> dict[str, Any]:
    run = side.run
    width, height = run.image_size(i)
    thresholds = side.threshold
    one = bool(len(thresholds)) and bool((thresholds == thresholds[0]).all())
    data = {
        "key": f"{s.name}/{name}/{run.sample_ids[i]}",
        "name": pictures.name_of(run, i),
        "width": width,
        "height": height,
        "max_height": 360,
        "place": "",
        "labelled": True,
        "classes": list(run.class_map.names),
        "threshold": exact(thresholds[:1])[0] if one else s.threshold,
        "iou": side.matches.iou,
        "shown": None,
        "selected": selected,
        "has_prev": False,
        "has_next": False,
        "point": str(side.point),
        "heat_offered": False,
        "heat_reason": "On the Image page.",
        "near": [],
    } | boxes_of(run, side.matches, i)
    # Both pictures keep to their own threshold, whatever the slider does meanwhile.
    data["dets"]["cuts"] = data["truth"]["cuts"] = exact(thresholds)
    try:
        content, kind = pictures.picture(run, i)
        data["url"] = pictures.publish(content, kind, f"compare-{name}")
    except BoxscopeError as error:
        data |= {
            "url": "",
            "error": f"This picture cannot be shown: {run.failed.get(run.sample_ids[i], error.message)}",
        }
    return data


def main() -> None:
    state.go_if_asked()
    s = state.shared()
    if s is None:
        box = empty(
            "Nothing to compare yet",
            "Two runs over one data set, or one run at two settings, stand side by side here.",
        )
        if box.button("Choose pictures and a detector", type="primary"):
            state.go("views/detect/page.py")
        return
    judged = bool(s.run.usable.any())
    if not judged and not _others(s):
        empty(
            "Nothing to compare by",
            "No image of this run has ground truth, so no object can be gained or lost; a second run over the"
            " same pictures could be paired with it box by box.",
        )
        return
    try:
        settings = _settings(s)
        if not settings:
            return
        if "other" in settings and _look(judged) == LOOKS[1]:
            pair_section.section(s, settings["other"], settings["cuts"])
            return
        if not judged:
            st.caption(
                "Without ground truth two settings of one run have nothing to be compared by; choose *Another"
                " run*."
            )
            return
        c = _comparison(s, settings)
    except BoxscopeError as error:
        say_error(error)
        return
    _totals(c)
    left = (
        f" {c.left_out:,} images are in one of the runs only, or were not judged in both, and take no part."
        if c.left_out
        else ""
    )
    st.caption(changes.verdict(c) + left)
    first, second = st.columns([1, 1.25], gap="medium")
    with first:
        within = _parts(s, c)
    with second:
        q = _list(s, c, within)
    if q is not None:
        _pictures(s, c, q)
    expectations_section(s, after=c.b.run, cuts_after=c.b.threshold, iou_after=c.b.matches.iou)
    st.caption(f"Before: {c.a.point} · after: {c.b.point} · {int(c.images.sum()):,} images")


main()
