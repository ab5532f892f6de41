"""Mistakes: what kinds there are and what each costs, what is taken for what, which parts are worst; each
opens its boxes.
"""

from __future__ import annotations

import json

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.matching.operating_point import operating_point
from analysis.mistakes.box_lists import BoxList, as_coco, as_csv
from analysis.mistakes.errors import KINDS, NOT_ADDITIVE
from app.files import crops
from app.frame import exact_autopsy, gallery_order, misses, state
from app.frame.components import empty
from app.viewer.panels import bar_rows, confusion_matrix, crop_strip
from app.views.mistakes import boxes as requests
from app.views.mistakes import causes, figures, tables
from app.views.mistakes.boxes import MistakesRequest


def _ask(asked: MistakesRequest | None) -> None:
    """Show other boxes beneath, or (asked twice) none."""
    st.session_state["boxes"] = (
        "" if asked is None or str(asked) == st.session_state.get("boxes") else str(asked)
    )
    st.session_state["crop_page"] = 1


def _asked(look: str) -> MistakesRequest | None:
    """The boxes of this session, else of the link; only where they belong to the look that is on."""
    told = st.session_state.get("_boxes_in_url")
    if (
        (linked := st.query_params.get("boxes")) is not None
        and linked != told
        and MistakesRequest.parse(linked)
    ):
        st.session_state["boxes"] = linked
    text = st.session_state.get("boxes", "")
    if text:
        st.query_params["boxes"] = text
    elif "boxes" in st.query_params:
        del st.query_params["boxes"]
    st.session_state["_boxes_in_url"] = text or None
    asked = MistakesRequest.parse(text)
    return asked if asked is not None and asked.look == look else None


def _open(s: state.Shared, boxes: BoxList) -> None:
    at = st.session_state["crops"].get("open")
    if at is not None and 0 <= at < len(boxes):
        st.session_state["image_id"], st.session_state["selected"] = crops.selection_of(s.run, boxes, at)
        st.session_state["_order"] = (s.name, crops.image_order(s.run, boxes))
        st.session_state["_go"] = "views/image/page.py"


def _to_gallery(s: state.Shared, boxes: BoxList) -> None:
    st.session_state.update(
        _only=(s.name, gallery_order.Only(boxes.what, crops.image_order(s.run, boxes))),
        _go="views/gallery/page.py",
    )


def _kinds(s: state.Shared, asked: MistakesRequest | None, line: DeltaGenerator) -> None:
    errors = figures.errors_of(s)
    found = tables.count_kinds(s)
    top = max(KINDS, key=lambda kind: errors.dap[kind])
    if errors.dap[top]:
        what = "missed objects" if top == "missed" else f"{top} mistakes"
        st.markdown(
            f"Most is lost to **{what}**: fixing all of them would raise AP at IoU {s.iou:.2f} from"
            f" {errors.ap:.3f} to {errors.ap + errors.dap[top]:.3f}. {NOT_ADDITIVE}"
        )
    bar_rows(
        tables.kind_rows(errors, found, asked.parts[0] if asked else None),
        key="kinds",
        on_pick=lambda: (
            _ask(MistakesRequest("kind", (st.session_state["kinds"]["pick"],)))
            if st.session_state["kinds"].get("pick") in KINDS
            else None
        ),
    )
    if s.class_ids is None and (on := s.counts.fn - found["missed"]) > 0:
        st.caption(
            f"Of {s.counts.fn:,} missed objects (false negatives) {found['missed']:,} are counted as missed"
            f" here; on the other {on:,} a wrong detection stands, and they count as its kind."
        )
    whole = "" if s.class_ids is None else " It is of every class and image, whatever is chosen on the left."
    st.caption(
        f"What fixing adds (dAP) counts every stored score; the threshold does not move it.{whole}",
        help=(
            f"TIDE's kinds. On background: IoU of {errors.background_iou:.2f} or less with everything. An"
            " object with a localisation or classification mistake on it counts there, not as missed. Of an"
            f" image the best {errors.max_detections} detections take part."
        ),
    )


def _ask_everywhere(s: state.Shared) -> None:
    """What the causes rest on, and the way to exact ones."""
    stored = "Every missed object (false negative) has one cause, told from the detections the run kept."
    spec, asking = misses.can_ask(s), exact_autopsy.of(s)
    if spec is None:
        st.caption(f"{stored} This detector does not show the candidates that would tell more.")
    elif asking is not None and asking.result is not None:
        st.caption(
            "Every missed object (false negative) has one cause, told with the detector's candidates of all"
            f" {asking.total:,} images at this operating point."
        )
    elif asking is not None and not asking.over:
        _watch_asking(s)
    else:
        if asking is not None:
            st.caption(asking.error or "Stopped; the causes come from the run's detections.")
        words, button = st.columns([3, 1], vertical_alignment="center")
        words.caption(
            f"{stored} The detector's candidates tell more: which were suppressed or capped, which no anchor"
            " reaches."
        )
        button.button(
            f"Ask it about {int(s.matches.judged.sum()):,} images",
            icon=":material/troubleshoot:",
            width="stretch",
            on_click=exact_autopsy.start,
            args=(s, spec),
            help=(
                "Runs the detector again over every image with ground truth and replays its post-processing;"
                " you can go on meanwhile."
            ),
        )


@st.fragment(run_every=0.7)
def _watch_asking(s: state.Shared) -> None:
    asking = exact_autopsy.of(s)
    if asking is None or asking.over:
        st.rerun()
    words, button = st.columns([5, 1], vertical_alignment="center")
    left = "" if asking.seconds_left is None else f" · {asking.seconds_left:.0f} s left"
    with words:
        st.progress(
            asking.fraction,
            f"Running the detector · {asking.done:,} of {asking.total:,} images{left}",
        )
    button.button("Cancel", on_click=asking.cancel, width="stretch")


def _causes(s: state.Shared, asked: MistakesRequest | None, line: DeltaGenerator) -> None:
    rows = causes.cause_rows(s, asked.parts[0] if asked else None)
    if not rows["rows"]:
        st.markdown("No object is missed at this operating point.")
        return
    bar_rows(
        rows,
        key="causes",
        on_pick=lambda: (
            _ask(MistakesRequest("cause", (st.session_state["causes"]["pick"],)))
            if st.session_state["causes"].get("pick")
            else None
        ),
    )
    _ask_everywhere(s)
    changes = causes.change_rows(s)
    if changes:
        with st.expander("Best changes to make next"):
            st.dataframe(changes, hide_index=True, width="stretch")
            st.caption(
                f"Each alone, over every image and class of the run, sorted by F1 after it. At {s.point}."
            )


def _matrix(s: state.Shared, asked: MistakesRequest | None, line: DeltaGenerator) -> None:
    confusion = figures.confusion_of(s)
    matrix = tables.matrix_of(s, confusion)
    everything = tables.shown_classes(matrix, s.class_ids, len(matrix))
    most = len(everything)
    if most > tables.MATRIX_SIZES[0]:
        sizes = [n for n in tables.MATRIX_SIZES if n < most]
        with line:
            most = st.segmented_control(
                "Classes",
                [*sizes, most],
                default=sizes[0],
                key="cells",
                required=True,
                label_visibility="collapsed",
                format_func=lambda n: f"all {n} classes" if n == len(everything) else f"{n} most confused",
            )
    shown = everything[:most]
    payload = tables.matrix_payload(matrix, s.run.class_map.names, shown, asked.parts if asked else None)

    def pick() -> None:
        if at := st.session_state["matrix"].get("pick"):
            _ask(MistakesRequest("cell", tuple(payload["labels"][k] for k in at)))

    confusion_matrix(payload, key="matrix", on_pick=pick)
    left = len(everything) - len(shown)
    st.caption(
        "Rows are objects, columns predictions; the stronger the colour, the larger the share of the row."
        " The diagonal is correct; off it an object was found under another name, and the last column was"
        " found under none (both are false negatives); the last row false alarms on no object they fit"
        " (false positives): on nothing, or badly placed. Most confused"
        f" first.{f' {left} more classes are not drawn.' if left else ''} A click shows the boxes."
    )


def _slices(s: state.Shared, asked: MistakesRequest | None, line: DeltaGenerator) -> None:
    slices = figures.slices_of(s)
    worst = slices.worst(3)
    if worst:
        named = ", ".join(
            f"**{requests.label_of(x.group, x.name)}** ({tables.percent(x.recall)})" for x in worst
        )
        st.markdown(
            f"Significantly lower recall than overall ({tables.percent(slices.whole.recall)}): {named}."
        )
    else:
        st.markdown("No part of the data has a significantly lower recall than overall.")
    with st.container(height=430, border=False):
        bar_rows(
            tables.slice_rows(slices, str(asked) if asked else None),
            key="slices",
            on_pick=lambda: _ask(MistakesRequest.parse(st.session_state["slices"].get("pick"))),
        )


def _boxes(s: state.Shared, asked: MistakesRequest) -> None:
    boxes = requests.boxes_of(s, asked)
    if boxes is None:
        st.caption("This run has no such class or part.")
        return
    point = operating_point(s.run, s.thresholds, iou=s.iou)
    pages = max(1, -(-len(boxes) // crops.PAGE))
    if st.session_state.get("crop_page", 1) > pages:
        st.session_state["crop_page"] = pages
    number = 1
    name = f"{s.name}-{boxes.what}".replace(" ", "-").replace("/", "-").replace(":", "")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="crop_line"):
        images = len(crops.image_order(s.run, boxes))
        st.markdown(
            f"**{len(boxes):,}** {boxes.what} in {images:,} image{'s' if images != 1 else ''} · surest first",
            width="stretch",
        )
        if pages > 1:
            number = st.pagination(pages, key="crop_page", max_visible_pages=5)
        st.download_button(
            "CSV",
            lambda: as_csv(s.run, boxes, point),
            f"{name}.csv",
            "text/csv",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            disabled=not len(boxes),
            help="Every box of this list, with the operating point.",
        )
        st.download_button(
            "COCO",
            lambda: json.dumps(as_coco(s.run, boxes, point)),
            f"{name}.json",
            "application/json",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            disabled=not len(boxes),
            help="Its objects as annotations, its detections as predictions.",
        )
        st.button(
            "Gallery",
            icon=":material/grid_view:",
            type="tertiary",
            on_click=_to_gallery,
            args=(s, boxes),
            disabled=not len(boxes),
            help="These images, whole, in the gallery.",
        )
        st.button("Close", icon=":material/close:", type="tertiary", on_click=_ask, args=(None,))
    if not len(boxes):
        st.caption("There are none at this operating point.")
        return
    crop_strip(
        {"crops": crops.payload(s.run, s.matches, boxes, (number - 1) * crops.PAGE, threshold=s.thresholds)},
        key="crops",
        on_open=lambda: _open(s, boxes),
    )
    st.caption(
        f"{s.point} · solid: prediction, dashed: ground truth; thin grey: a detection below the threshold,"
        " its score in brackets. A click opens the object."
    )


def _report(s: state.Shared) -> str:
    from analysis.report.build import build_report

    words = f"scores calibrated ({s.calibration.method})" if s.calibration else ""
    return build_report(s.run, s.thresholds, iou=s.iou, matches=s.matches, words=words).html


def main() -> None:
    state.go_if_asked()
    s = state.shared()
    if s is None:
        box = empty(
            "No mistakes yet", "A run over labelled pictures brings them here; the demo makes one at once."
        )
        if box.button("Choose pictures and a detector", type="primary"):
            state.go("views/detect/page.py")
        return
    if not s.run.usable.any():
        empty(
            "Nothing to compare with",
            "No image of this run has ground truth, so nobody can say what is a mistake. Choose a labelled"
            " data set.",
        )
        return
    linked = MistakesRequest.parse(st.query_params.get("boxes"))
    if linked is not None and "look" not in st.session_state and "look" not in st.query_params:
        st.session_state["look"] = linked.look
    line = st.container(horizontal=True, vertical_alignment="center", gap="medium")
    look = (
        line.segmented_control(
            "Look at",
            list(tables.LOOKS),
            default="Kinds",
            key="look",
            bind="query-params",
            required=True,
            label_visibility="collapsed",
        )
        or "Kinds"
    )
    line.space("stretch")
    line.download_button(
        "Report",
        lambda: _report(s),
        f"{s.name}-report.html",
        "text/html",
        icon=":material/summarize:",
        type="tertiary",
        on_click="ignore",
        help=(
            "One HTML file with figures, tables, the worst images, settings and hashes; it opens without a"
            " network. Made when you click: seconds, up to half a minute for a big run. `boxscope report`"
            " also writes its tables as CSV and COCO json."
        ),
    )
    asked = _asked(look)
    {"Kinds": _kinds, "Causes": _causes, "Confusion": _matrix, "Slices": _slices}[look](s, asked, line)
    if asked is not None:
        _boxes(s, asked)
    else:
        st.caption("Choose one above to see its boxes here.")


main()
