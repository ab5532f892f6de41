"""Detect: choose pictures and a detector, watch it run, come back to earlier runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from app.files import demo
from app.files.roots import MAX_UPLOAD_BYTES, allowed, keep_uploads, roots
from app.files.sources import FIFTYONE, open_data
from app.frame import state
from app.frame.components import facts, say_error, show_problems
from app.jobs import detection
from app.jobs.process import log_tail
from app.jobs.rows import job_row
from app.model.description import described
from app.model.process import RemoteDetector
from detector.errors import BoxscopeError, InputError

SOURCES = ["Upload", "On this machine", "Demo"]
MODEL_ENDINGS = (".tflite", ".onnx")
AT_ONCE = 12
"""Up to so many pictures run in the page's own model process, which stays loaded; more become a job."""


@st.cache_resource(max_entries=4, show_spinner="Reading the data set")
def _dataset(path: str, changed: float) -> Any:
    return open_data(path)


def _changed(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0


def _pictures() -> str | None:
    """Where the pictures come from; the path of a data set, or None while nothing is chosen."""
    source = st.segmented_control(
        "Pictures", SOURCES, default=SOURCES[0], key="source", required=True, label_visibility="collapsed"
    )
    if source == "Demo":
        st.caption("Scenes drawn by the project, with every object known.")
        return "demo"
    if source == "Upload":
        files = st.file_uploader(
            "Drop pictures here",
            accept_multiple_files=True,
            key="upload",
            help=(
                f"Up to {MAX_UPLOAD_BYTES >> 20} MB together. With a COCO json, VOC XML or CSV beside them"
                " the objects are known too."
            ),
        )
        if not files:
            st.caption(
                "JPEG, PNG, WebP, TIFF and others; add their COCO json, VOC XML or CSV to have the ground"
                " truth too."
            )
            return None
        return str(keep_uploads(files))
    text = st.text_input(
        "Path",
        key="path",
        placeholder="a COCO json, a VOC, YOLO or CSV data set, a folder of pictures, or fiftyone://NAME",
    )
    named = roots()[1:]
    st.caption(
        "Inside " + ", ".join(f"`{root}`" for root in named) + "."
        if named
        else (
            "This server was started without a folder of yours: `streamlit run app -- --root FOLDER` adds"
            " one."
        )
    )
    if text.startswith(FIFTYONE):
        return text.strip()
    return str(allowed(text)) if text.strip() else None


def _detector(path: str | None) -> tuple[str, dict[str, Any], str] | None:
    """(model, options, title) of the chosen detector, or None while nothing is chosen."""
    from detector.catalogue import list_catalogue

    entries = {entry.name: entry for entry in list_catalogue()}
    if path != "demo" and "demo" in entries:
        entries["demo"] = entries.pop("demo")  # it knows drawn scenes only: offered, but not first
    choices = [*entries, "path", "upload", "simulated"]
    words = {name: entry.title for name, entry in entries.items()} | {
        "path": "A model on this machine",
        "upload": "Upload a .tflite or .onnx",
        "simulated": "Simulated: the ground truth with mistakes put in",
    }
    choice = st.selectbox(
        "Detector", choices, format_func=lambda c: words[c], key="detector", label_visibility="collapsed"
    )
    if choice in entries:
        entry = entries[choice]
        st.caption(entry.description)
        if entry.recipe and not entry.on_this_machine:
            st.caption(
                f"Not made on this machine yet; `boxscope train {entry.recipe} --data PATH` makes it from"
                " your own data."
            )
        elif not entry.on_this_machine:
            st.caption(
                f":material/cloud_download: Not on this machine yet; it is fetched once, from {entry.source}."
            )
        return choice, {}, entry.title
    if choice == "simulated":
        st.caption("No network runs; it needs labelled pictures. Good for finding one's way about.")
        return "fake:", {}, "Simulated detector"
    labels: dict[str, Any] = {}
    if choice == "path":
        text = st.text_input(
            "Model path",
            key="model_path",
            placeholder="a SavedModel folder, a zoo archive, a .tflite, an .onnx or a results .json",
        )
        label_text = st.text_input(
            "Label map", key="label_path", placeholder="optional: label_map.pbtxt or labelmap.txt"
        )
        if not text.strip():
            return None
        if label_text.strip():
            labels["labels"] = str(allowed(label_text))
        model = allowed(text)
        return str(model), labels, model.parent.name if model.name == "saved_model" else model.name
    files = st.file_uploader(
        "Drop a .tflite or .onnx, and its label map",
        type=["tflite", "onnx", "txt", "pbtxt", "json", "yaml"],
        accept_multiple_files=True,
        key="model_upload",
    )
    models = [f for f in files or [] if f.name.lower().endswith(MODEL_ENDINGS)]
    if not models:
        return None
    if len(models) > 1 or len(files) - len(models) > 1:
        raise InputError("Expected one model and at most one label map; take the others away.")
    folder = keep_uploads(files, "uploaded_models")
    texts = sorted(p for p in folder.iterdir() if not p.name.lower().endswith(MODEL_ENDINGS))
    if texts:
        labels["labels"] = str(texts[0])
    model = next(p for p in folder.iterdir() if p.name.lower().endswith(MODEL_ENDINGS))
    return str(model), labels, model.name


def _at_once(dataset: Any, path: str, model: str, options: dict[str, Any], floor: float) -> str:
    """Run a few pictures here and now, in the model process that stays loaded; returns the run's name."""
    from analysis.runs.detect import detect_run

    with st.status("Loading the detector", expanded=True) as status:
        detector = RemoteDetector(
            {"model": model, "data": path if model == "fake:" else None, "options": options}
        )
        status.update(label=f"{detector.info.name} on {len(dataset)} pictures")
        bar = st.progress(0.0)
        run = detect_run(
            detector,
            dataset,
            floor=floor,
            progress=lambda p: bar.progress(p.fraction, f"{p.done} of {p.total}"),
        )
        status.update(label="Done", state="complete", expanded=False)
    return run.path.name


def _is_results(chosen: tuple[str, dict[str, Any], str]) -> bool:
    return chosen[0].lower().endswith(".json")


def _echo(model: str, options: dict[str, Any]) -> None:
    """What a dropped or named file is, from the model process, which keeps it loaded for the run."""
    with st.spinner("Looking at the file"):
        info = RemoteDetector({"model": model, "data": None, "options": options}).info
    st.markdown("  \n".join(f"**{what}:** {value}" for what, value in described(info)))
    for note in info.notes:
        st.caption(note)


@st.fragment(run_every=1.0)
def _running() -> None:
    """Jobs that go on, of any session; looked at once per second."""
    watched: set[str] = st.session_state.setdefault("watched", set())
    for job in detection.jobs():
        if not job.over:
            watched.add(job.id)
            job_row(job)
        elif job.id in watched:
            watched.discard(job.id)
            if job.stage == "done":
                state.go_to_run(Path(job.run).name)
            st.session_state["finished"] = job.id
            st.rerun()


def _finished() -> None:
    job = detection.read(st.session_state["finished"]) if st.session_state.get("finished") else None
    if job is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if job.stage == "done":
            st.success(f"{job.title} is done.", icon=":material/check_circle:")
            if st.button("Open the gallery", type="primary"):
                st.session_state.pop("finished")
                state.go("views/gallery/page.py")
        elif job.stage == "cancelled":
            st.info(f"{job.title} was stopped; start it again to go on.", icon=":material/pause_circle:")
        else:
            st.error(f"{job.title}: {job.error}", icon=":material/error:")
    if job.stage == "failed":
        with st.expander("Details"):
            st.text(log_tail(job.folder))


def _recent() -> None:
    found = state.stored_runs()
    st.subheader("Runs")
    if not found:
        st.caption("None yet.")
    names = list(found)[:50]
    rows = []
    for name in names:
        m = found[name].manifest
        rows.append(
            {
                "run": name,
                "data": m.dataset.name,
                "detector": m.detector.name,
                "images": m.counts.done or m.dataset.count,
                "detections": m.counts.detections,
                "state": found[name].state,
                "made": m.created[:16].replace("T", " "),
            }
        )
    if rows:
        event = st.dataframe(
            rows,
            hide_index=True,
            width="stretch",
            on_select="rerun",
            selection_mode="single-row",
            key="runs",
            alt="Stored runs",
            column_config={
                "images": st.column_config.NumberColumn(format="localized"),
                "detections": st.column_config.NumberColumn(format="localized"),
            },
        )
        at = event.selection.rows
        if at and at[0] < len(names):
            chosen = names[at[0]]
            with st.container(horizontal=True):
                if st.button(f"Open {chosen}", type="primary", icon=":material/grid_view:"):
                    state.go_to_run(chosen)
                    state.go("views/gallery/page.py")
                m = found[chosen].manifest
                unfinished = found[chosen].state in ("cancelled", "interrupted", "failed")
                if (
                    unfinished
                    and m.detector.source
                    and m.dataset.source
                    and st.button("Go on with it", icon=":material/play_arrow:")
                ):
                    detection.start(
                        m.name,
                        "fake:" if m.detector.kind == "fake" else m.detector.source,
                        m.dataset.source,
                        floor=m.floor,
                    )
                    st.rerun()
    if demo.NAME not in found and st.button("Make the demo", icon=":material/draw:"):
        demo.make_with_progress()
        state.go_to_run(demo.NAME)
        st.rerun()


def main() -> None:
    _running()
    _finished()
    left, right = st.columns(2, gap="large")
    path, dataset, chosen = None, None, None
    with left:
        st.subheader("1 · Pictures")
        try:
            path = _pictures()
            if path:
                dataset = _dataset(path, _changed(path))
                known = int(dataset.labelled.sum())
                facts(
                    f"{dataset.format} · {len(dataset):,} images"
                    + (
                        f", {known:,} labelled · {len(dataset.objects):,} objects · {len(dataset.class_map)}"
                        f" class{'es' if len(dataset.class_map) != 1 else ''}"
                        if known
                        else " · no ground truth"
                    )
                )
                show_problems(dataset.problems)
        except BoxscopeError as error:
            say_error(error)
    with right:
        st.subheader("2 · Detector")
        try:
            chosen = _detector(path)
            if chosen and st.session_state.get("detector") in ("path", "upload") and not _is_results(chosen):
                _echo(*chosen[:2])
        except BoxscopeError as error:
            say_error(error)
    with st.expander("Settings"):
        a, b = st.columns(2)
        floor = a.number_input(
            "Score floor",
            0.0,
            1.0,
            0.01,
            0.01,
            key="floor",
            help=(
                "Detections scoring lower are not kept. Low is good: the threshold can be moved later, the"
                " floor cannot."
            ),
        )
        limit = b.number_input("Only the first … images", 0, None, 0, key="limit", help="0: all of them.")
    if st.button(
        "3 · Run the detector",
        type="primary",
        icon=":material/play_arrow:",
        disabled=dataset is None or chosen is None or not len(dataset),
    ):
        model, options, title = chosen
        try:
            count = min(len(dataset), int(limit) or len(dataset))
            if count <= AT_ONCE and path != "demo":
                part = dataset if count == len(dataset) else dataset.subset(list(dataset.sample_ids[:count]))
                state.go_to_run(_at_once(part, path, model, options, float(floor)))
                state.go("views/image/page.py" if count == 1 else "views/gallery/page.py")
            else:
                detection.start(
                    f"{title} on {dataset.name}",
                    model,
                    path,
                    options=options,
                    floor=float(floor),
                    limit=int(limit) or None,
                )
                st.rerun()
        except BoxscopeError as error:
            say_error(error)
    _recent()


main()
