"""Data: what is in a data set, what is odd in it, what no anchor reaches; every figure opens its pictures."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from analysis.datasets import charts
from analysis.datasets.anchor_reach import INPUT_SIZES, Reach
from analysis.datasets.doctor import Diagnosis, diagnose
from analysis.datasets.duplicates import Look
from analysis.datasets.findings import Finding
from analysis.datasets.summary import Summary, summarise
from analysis.runs.store import Run
from app.files import pictures
from app.files.roots import allowed, keep_uploads, roots
from app.files.sources import open_data
from app.frame import state
from app.frame.components import empty, errors_said, facts, say_error
from app.model.networks import DEFAULT, anchor_set, chosen_network, remedies
from app.viewer import thumbnail_grid
from app.viewer.data_parts import drawing, finding_list
from app.viewer.panels import bar_rows, crop_strip
from app.views.data import payloads, picture_scan
from detector.data.dataset import Dataset
from detector.errors import BoxscopeError
from detector.paths import data_dir
from detector.ssd.config import ARCHITECTURES

PARTS = ["Overview", "Boxes", "Samples", "Findings", "Reach"]
PAGE = 24
TALL = 540
"""Most pixels of height of an opened picture, so that it fits a laptop's window."""
OWN = "another …"
OF_RUN, OF_PATH, OF_UPLOAD = "The run's", "On this machine", "Upload"


# ---- which data set


@st.cache_resource(max_entries=4, show_spinner="Reading the data set")
def _opened(path: str, changed: float) -> Dataset:
    return open_data(path)


@st.cache_resource(max_entries=4, show_spinner="Reading the run's data set")
def _of_run(path: str, stamp: tuple, _run: Run) -> Dataset:
    return payloads.dataset_of_run(_run)


def _changed(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0


def _choose(s: state.Shared | None) -> Dataset | None:
    """The data set of this page: the run's, or another."""
    kinds = [OF_RUN, OF_PATH, OF_UPLOAD] if s is not None else [OF_PATH, OF_UPLOAD]
    line = st.container(horizontal=True, vertical_alignment="center", gap="medium")
    of = line.segmented_control(
        "Data set",
        kinds,
        default=kinds[0],
        key="of",
        bind="query-params",
        required=True,
        label_visibility="collapsed",
    )
    if of == OF_RUN and s is not None:
        dataset = _of_run(str(s.path), s.stamp[:2], s.run)
    elif of == OF_UPLOAD:
        files = st.file_uploader(
            "Drop pictures with their COCO json, VOC XML or CSV",
            accept_multiple_files=True,
            key="data_upload",
        )
        if not files:
            return None
        path = str(keep_uploads(files))
        dataset = _opened(path, _changed(path))
    else:
        named = roots()[1:]
        text = st.text_input(
            "Path",
            key="folder",
            bind="query-params",
            label_visibility="collapsed",
            placeholder="a COCO json, a VOC, YOLO or CSV data set, a folder of pictures; or demo",
        )
        if not text.strip():
            st.caption(
                "Inside " + ", ".join(f"`{root}`" for root in named) + "."
                if named
                else (
                    "This server was started without a folder of yours: `streamlit run app -- --root FOLDER`"
                    " adds one."
                )
            )
            return None
        path = "demo" if text.strip() == "demo" else str(allowed(text))
        dataset = _opened(path, _changed(path))
    with line:
        known = int(dataset.labelled.sum())
        truth = (
            f"{known:,} labelled · {len(dataset.objects):,} objects · {len(dataset.class_map)}"
            f" class{'' if len(dataset.class_map) == 1 else 'es'}"
            if known
            else "nothing labelled"
        )
        facts(f"{dataset.name} · {dataset.format} · {len(dataset):,} images, {truth}", dataset.source)
    return dataset


# ---- what is computed of it, kept by its key


@st.cache_resource(max_entries=8, show_spinner=False)
def _summary(key: str, _dataset: Dataset) -> Summary:
    return summarise(_dataset)


@st.cache_resource(max_entries=16, show_spinner="Looking for what is odd")
def _diagnosis(
    key: str, looked: bool, network: str, size: str | None, _dataset: Dataset, _look: Look | None
) -> Diagnosis:
    chosen = chosen_network(network, size)
    return diagnose(_dataset, look=_look, anchors=None if chosen is None else anchor_set(chosen, network))


@st.cache_resource(max_entries=16, show_spinner=False)
def _remedies(key: str, network: str, size: str | None, _dataset: Dataset) -> list[tuple[str, Reach]]:
    chosen = chosen_network(network, size)
    return [] if chosen is None else remedies(_dataset, chosen)


# ---- opening one image


def _open(dataset: Dataset, i: int, objects: tuple[int, ...] = ()) -> None:
    """The Image page where the run has this image, else the picture over the page."""
    s = state.shared()
    if s is not None and st.session_state.get("of") in (None, OF_RUN) and dataset.sample_ids[i] in s.run:
        st.session_state["image_id"] = dataset.sample_ids[i]
        st.session_state["selected"] = (
            {"side": "truth", "index": int(objects[0] - dataset.offsets[i])}
            if objects and len(dataset.objects) == len(s.run.truth)
            else None
        )
        st.session_state["_go"] = "views/image/page.py"
    else:
        st.session_state["_data_open"] = (i, objects)


@st.dialog("Picture", width="large")
def _picture(dataset: Dataset, i: int, objects: tuple[int, ...]) -> None:
    from analysis.datasets.eda_report import drawn

    with errors_said():
        image = drawn(dataset, i, 1000, only=objects or None)
        st.image(image, width=min(image.shape[1], round(TALL * image.shape[1] / image.shape[0])))
    st.caption(
        f"{pictures.name_of(dataset, i)} · {dataset.splits[i] or 'no split'} ·"
        f" {dataset.sizes[i][0]}x{dataset.sizes[i][1]} pixels"
    )
    for k in objects:
        path, line = dataset.place_of(k)
        st.text(
            f"{dataset.class_map.names[dataset.objects.class_ids[k]]}:"
            f" {path}{f', line {line}' if line else ''}"
        )


def _pager(count: int, key: str) -> int:
    """The first place of the page shown; the widget is drawn where there are several."""
    pages = max(1, -(-count // PAGE))
    if st.session_state.get(key, 1) > pages:
        st.session_state[key] = pages
    return ((st.pagination(pages, key=key, max_visible_pages=5) if pages > 1 else 1) - 1) * PAGE


def _crops(
    dataset: Dataset,
    groups: list[tuple[int, ...]],
    words: str,
    key: str,
    values: dict[int, str] | None = None,
) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(words, width="stretch")
        first = _pager(len(groups), f"{key}_page")

    def opened() -> None:
        at = st.session_state[key].get("open")
        if at is not None and 0 <= at < len(groups):
            _open(dataset, int(dataset.objects.rows[groups[at][0]]), groups[at])

    crop_strip(payloads.crops_payload(dataset, groups, first, values), key=key, on_open=opened)


def _tiles(dataset: Dataset, shown: list[tuple[int, str]], words: str, key: str) -> None:
    first = 0
    if words or len(shown) > PAGE:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(words, width="stretch")
            first = _pager(len(shown), f"{key}_page")
    here = shown[first : first + PAGE]

    def opened() -> None:
        at = st.session_state[key].get("open")
        if at is not None and int(at) < len(here):
            _open(dataset, here[int(at)][0])

    thumbnail_grid(payloads.tiles_payload(dataset, here), key=key, on_open=opened)


# ---- parts


def _overview(dataset: Dataset, key: str) -> None:
    summary = _summary(key, dataset)
    left, right = st.columns([1.35, 1], gap="medium")
    chosen = st.session_state.get("data_class")
    with left:
        if not summary.objects["all"]:
            st.markdown("Nothing is labelled here.")
        else:
            with st.container(height=430 if len(summary.classes) > 13 else "content", border=False):
                bar_rows(
                    payloads.class_rows(summary, chosen),
                    key="data_classes",
                    on_pick=lambda: _toggle("data_class", st.session_state["data_classes"].get("pick")),
                )
            if summary.imbalance and summary.imbalance >= 3:
                st.caption(
                    f"For each object of the rarest class there are {summary.imbalance:.0f} of the most"
                    " frequent one."
                )
    with right:
        if summary.images["labelled"]:
            drawing(charts.per_image_chart(summary), key="data_per_image")
        splits = [{"split": name or "none", **values} for name, values in summary.splits.items()]
        if len(splits) > 1:
            st.dataframe(splits, hide_index=True, width="stretch")
        if summary.frames:
            st.dataframe(
                [{"picture size": f"{w} x {h}", "images": n} for (w, h), n in summary.frames[:5]],
                hide_index=True,
                width="stretch",
            )
            if summary.frame_kinds > 5:
                st.caption(f"The 5 commonest of {summary.frame_kinds:,} sizes.")
    if chosen in dataset.class_map:
        groups = [
            (int(k),)
            for k in np.flatnonzero(
                (dataset.objects.class_ids == dataset.class_map.index(chosen)) & ~dataset.objects.crowd
            )
        ]
        _crops(dataset, groups, f"**{len(groups):,}** {chosen}", "data_class_crops")


def _toggle(key: str, value: Any) -> None:
    st.session_state[key] = None if value is None or st.session_state.get(key) == value else value


def _boxes(dataset: Dataset, key: str) -> None:
    summary = _summary(key, dataset)
    if not summary.measured:
        empty("No boxes", "Nothing is labelled here, or no picture's size is known.")
        return
    for pair in ((charts.side_chart, charts.ratio_chart), (charts.coco_chart, charts.centre_chart)):
        for column, draw in zip(st.columns(2, gap="medium"), pair):
            with column:
                drawing(draw(summary), key=f"data_{draw.__name__}")
    covered = (
        ""
        if summary.covered is None
        else f" Boxes cover {100 * summary.covered:.0f} % of the median picture that has any."
    )
    st.caption(
        f"Of {summary.measured:,} boxes; crowds, and boxes on pictures of unknown size, are left"
        f" out.{covered}"
    )


def _samples(dataset: Dataset, key: str) -> None:
    from analysis.datasets.eda_report import choose_samples

    seed = st.session_state.setdefault("data_seed", 0)
    rows = choose_samples(dataset, PAGE, seed)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**{len(rows)}** of {len(dataset):,} images, the rarer classes among them · dashed: ground"
            " truth",
            width="stretch",
        )
        st.button(
            "Others",
            icon=":material/shuffle:",
            type="tertiary",
            on_click=lambda: st.session_state.update(data_seed=seed + 1),
            disabled=len(rows) == len(dataset),
        )
    _tiles(dataset, [(i, dataset.splits[i] or "") for i in rows], "", "data_samples")


def _findings(dataset: Dataset, key: str) -> None:
    look = picture_scan.look(key, dataset)
    network, size = _network_of_session()
    diagnosis = _diagnosis(key, look is not None, network, size, dataset, look)
    if not diagnosis.findings:
        st.markdown("Nothing odd was found.")
        return
    chosen = _asked_finding(diagnosis)
    with st.container(height=400 if len(diagnosis.findings) > 6 else "content", border=False):
        finding_list(
            payloads.finding_rows(diagnosis, chosen),
            key="findings",
            on_pick=lambda: _toggle("finding", st.session_state["findings"].get("pick")),
        )
    _fixed_copy(dataset, diagnosis)
    finding = diagnosis.find(chosen) if chosen else None
    if finding is not None:
        _places(dataset, diagnosis, finding)
    else:
        st.caption("Choose one above to see its pictures here.")


def _asked_finding(diagnosis: Diagnosis) -> str | None:
    """The finding that is open: of the link when the page opens, then of this session."""
    if "finding" not in st.session_state and (linked := st.query_params.get("finding")):
        st.session_state["finding"] = linked
    chosen = st.session_state.get("finding")
    if chosen and diagnosis.find(chosen):
        st.query_params["finding"] = chosen
        return chosen
    st.query_params.pop("finding", None)
    return None


def _places(dataset: Dataset, diagnosis: Diagnosis, finding: Finding) -> None:
    groups, shown = payloads.boxes_of_finding(finding), payloads.images_of_finding(dataset, finding)
    if groups:
        values = None
        if finding.kind == "no anchor" and diagnosis.reach is not None:
            values = {k[0]: f"IoU {diagnosis.reach.iou[k[0]]:.2f}" for k in groups}
        _crops(
            dataset,
            groups,
            f"**{len(groups):,}** {'pairs' if finding.kind in payloads.PAIRS else 'boxes'} · {finding.kind}",
            "finding_crops",
            values,
        )
    elif shown:
        _tiles(dataset, shown, f"**{len(shown):,}** images · {finding.kind}", "finding_tiles")
    if finding.places:
        with st.expander(f"Files and lines ({len(finding.places):,})", expanded=not (groups or shown)):
            rows = [{"what": p.message, "file": p.path, "line": p.line} for p in finding.places[:500]]
            st.dataframe(rows, hide_index=True, width="stretch", height=min(35 * len(rows) + 38, 320))
            if len(finding.places) > 500:
                st.caption("The first 500; `boxscope doctor --all` lists them all.")


def _fixed_copy(dataset: Dataset, diagnosis: Diagnosis) -> None:
    """A written copy without the mechanical faults, in the data directory; what it changed."""
    fixable = [f.kind for f in diagnosis.findings if f.fixable]
    if not fixable:
        return
    with st.popover("Write a fixed copy", icon=":material/healing:"):
        st.markdown(
            f"A copy of the data set and its pictures without: {', '.join(fixable)}. The original stays as"
            " it is."
        )
        st.caption(
            "What needs a person is left alone: near-duplicates, copies labelled differently, boxes that are"
            " off."
        )
        if st.button("Write it", type="primary", key="write_fixed"):
            from analysis.datasets.fix import write_fixed

            out = data_dir("fixed") / f"{dataset.name}-{datetime.now():%Y%m%d-%H%M%S}".replace("/", "-")
            try:
                with st.spinner("Writing"):
                    changes = write_fixed(dataset, diagnosis, out)
                st.session_state["_fixed"] = (
                    str(out),
                    [{"what": c.kind, "change": c.message, "file": c.path, "line": c.line} for c in changes],
                )
            except BoxscopeError as error:
                say_error(error)
    if (made := st.session_state.get("_fixed")) is not None:
        path, changes = made
        with st.container(border=True):
            st.markdown(
                f"**{len(changes):,}** change{'' if len(changes) == 1 else 's'} in the copy at `{path}`"
            )
            st.dataframe(
                changes[:500], hide_index=True, width="stretch", height=min(35 * len(changes[:500]) + 38, 220)
            )
            with st.container(horizontal=True):
                st.button(
                    "Look at the copy",
                    icon=":material/arrow_forward:",
                    on_click=lambda: st.session_state.update(
                        of=OF_PATH, folder=path, _fixed=None, finding=None
                    ),
                )
                st.button("Close", type="tertiary", on_click=lambda: st.session_state.pop("_fixed", None))


# ---- reach


def _network_of_session() -> tuple[str, str | None]:
    network = st.session_state.get("network") or st.query_params.get("network") or DEFAULT
    if network == OWN:
        network = (st.session_state.get("network_path") or "").strip() or DEFAULT
    size = st.session_state.get("input") or st.query_params.get("input")
    try:
        chosen_network(network, size or None)
    except BoxscopeError:
        return DEFAULT, None
    return network, size or None


def _reach(dataset: Dataset, key: str) -> None:
    a, b = st.columns([2, 1], vertical_alignment="bottom")
    network = a.selectbox(
        "Network",
        [DEFAULT, *(n for n in ARCHITECTURES if n != DEFAULT), OWN],
        key="network",
        bind="query-params",
    )
    if network == OWN:
        text = a.text_input(
            "Recipe, pipeline.config or training",
            key="network_path",
            placeholder="a path inside this server's folders, or the name of a training",
        )
        if not text.strip():
            st.caption("Name one above.")
            return
        network = text.strip() if "/" not in text else str(allowed(text))
    size = (
        b.text_input(
            "Input size",
            key="input",
            bind="query-params",
            placeholder="the network's own",
            help="Pixels, e.g. 512 or 512x320.",
        ).strip()
        or None
    )
    chosen = chosen_network(network, size)
    if chosen is None:
        return
    reach = _diagnosis(key, False, network, size, dataset, None).reach
    if reach is None or not reach.whole.objects:
        st.caption("No object of a picture of known size, so nothing to reach.")
        return
    width, height = reach.anchors.input_size
    st.markdown(
        f"The anchors reach **{payloads.percent(reach.whole)}** of {reach.whole.objects:,} objects at"
        f" {width}x{height} with IoU {reach.anchors.match_iou:g}.",
        help=(
            "The recall the anchors have before anything is learnt. An object that none overlaps that much is"
            " learnt from its one best anchor, where others have several, and is found less often. A larger"
            " input, tiles or other anchors reach it."
        ),
    )
    left, right = st.columns([1.2, 1], gap="medium")
    picked = st.session_state.get("reach_pick")
    with left, st.container(height=400 if len(reach.classes) > 11 else "content", border=False):
        bar_rows(
            payloads.reach_rows(reach, "classes", picked),
            key="reach_classes",
            on_pick=lambda: _toggle("reach_pick", st.session_state["reach_classes"].get("pick")),
        )
    with right:
        bar_rows(
            payloads.reach_rows(reach, "sizes", picked),
            key="reach_sizes",
            on_pick=lambda: _toggle("reach_pick", st.session_state["reach_sizes"].get("pick")),
        )
        better = _remedies(key, network, size, dataset)
        if better:
            st.dataframe(
                [
                    {
                        "one change": words,
                        "reached": f"{100 * (r.whole.ceiling or 0):.1f} %",
                        "objects gained": r.whole.reached - reach.whole.reached,
                    }
                    for words, r in better
                ],
                hide_index=True,
                width="stretch",
            )
    lost = _lost(dataset, reach, picked)
    if len(lost):
        _crops(
            dataset,
            [(int(k),) for k in lost],
            f"**{len(lost):,}** objects no anchor"
            f" reaches{f' · {picked}' if picked and picked != 'all' else ''}, the worst first",
            "reach_crops",
            {int(k): f"IoU {reach.iou[k]:.2f}" for k in lost},
        )


def _lost(dataset: Dataset, reach: Reach, picked: str | None) -> np.ndarray:
    """Rows of the objects no anchor reaches: of a class, a size at the input, or all; the worst first. None
    while nothing is picked.
    """
    if picked is None:
        return np.zeros(0, int)
    lost = reach.unreached
    if picked in dataset.class_map:
        lost = lost & (dataset.objects.class_ids == dataset.class_map.index(picked))
    elif picked in INPUT_SIZES:
        from analysis.datasets.anchor_reach import INPUT_EDGES

        lost = lost & (np.searchsorted(INPUT_EDGES, reach.side, side="right") == INPUT_SIZES.index(picked))
    rows = np.flatnonzero(lost)
    return rows[np.argsort(reach.iou[rows], kind="stable")]


def _report(dataset: Dataset, key: str) -> str:
    from analysis.datasets.eda_report import build_eda

    look = picture_scan.known(key)
    network, size = _network_of_session()
    return build_eda(
        dataset, _summary(key, dataset), _diagnosis(key, look is not None, network, size, dataset, look)
    ).html


def main() -> None:
    state.go_if_asked()
    try:
        dataset = _choose(state.shared())
    except BoxscopeError as error:
        say_error(error)
        return
    if dataset is None:
        return
    if not len(dataset):
        empty("No picture", "This data set lists none.")
        return
    key = payloads.key_of(dataset)
    line = st.container(horizontal=True, vertical_alignment="center", gap="medium")
    part = (
        line.segmented_control(
            "Look at",
            PARTS,
            default=PARTS[0],
            key="part",
            bind="query-params",
            required=True,
            label_visibility="collapsed",
        )
        or PARTS[0]
    )
    line.space("stretch")
    line.download_button(
        "Report",
        lambda: _report(dataset, key),
        f"{dataset.name}-data.html",
        "text/html",
        icon=":material/summarize:",
        type="tertiary",
        on_click="ignore",
        help="All of this as one HTML file, made when you click. `boxscope eda` writes the same.",
    )
    with errors_said():
        {"Overview": _overview, "Boxes": _boxes, "Samples": _samples, "Findings": _findings, "Reach": _reach}[
            part
        ](dataset, key)
    if (opened := st.session_state.pop("_data_open", None)) is not None:
        _picture(dataset, *opened)


main()
