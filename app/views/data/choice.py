"""Which data set the page is about: the run's, one on this machine, or an upload."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from analysis.runs.store import Run
from app.files.roots import allowed, keep_uploads, roots
from app.files.sources import open_data
from app.frame import state
from app.frame.components import facts
from app.views.data import payloads
from detector.data.dataset import Dataset

OWN = "another …"


OF_RUN, OF_PATH, OF_UPLOAD = "The run's", "On this machine", "Upload"


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


def choose_dataset(s: state.Shared | None) -> Dataset | None:
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
