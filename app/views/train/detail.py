"""The page part that shows one training: how far it is, its curves, its figures, its exports and what its
detector finds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from app.files import pictures
from app.frame import state
from app.frame.components import plain, say_error
from app.jobs import detection, exports, trainings
from app.jobs.process import alive, log_tail
from app.jobs.rows import job_row, time_left
from app.jobs.trainings import Training
from app.viewer import thumbnail_grid
from app.viewer.panels import line_charts
from app.viewer.payload import tile_text
from app.views.train.charts import charts
from detector.errors import BoxscopeError
from detector.training.common.folder import TrainFolder
from detector.training.common.preview import HeldOut
from detector.training.kinds import kind_of
from detector.training.recipes import preview_training

EVERY = 2.0  # seconds between two looks at a training that runs
SAMPLES = 8


def detail(t: Training, controls: bool = True) -> None:
    """One training; while something of it runs, the part that changes is looked at every two seconds.

    Args:
        controls: False leaves stop and resume out: a sweep does that for its trials.
    """
    st.fragment(_watch, run_every=EVERY if t.live else None)(t.folder, controls)
    if not t.live and (t.stage == "done" or t.best):  # there are weights to use
        busy = _busy(t.folder, trainings.tried(t.folder), exports.exports(t.folder))
        st.fragment(_result, run_every=1.0 if busy else None)(t.folder, busy)
    _record(t)


def _watch(folder: Path, controls: bool = True) -> None:
    t = trainings.read(folder)
    if not t.live and st.session_state.get("_watched") == str(folder):
        st.session_state.pop("_watched")
        st.rerun()  # it ended: the list and the buttons change too
    if t.live:
        st.session_state["_watched"] = str(folder)
    _head(t, controls)
    if t.stage == "failed":
        st.error(t.error, icon=":material/error:")
        if t.file:
            st.caption(t.file)
    elif t.stage == "interrupted":
        st.warning(
            "Its process ended without an error message (out of memory, or the machine was restarted). What"
            " was done up to the newest checkpoint is kept.",
            icon=":material/power_off:",
        )
    drawn = _charts(str(folder), _stamp(folder), t.steps or _steps(t), t.best)
    if drawn["panels"]:
        line_charts(drawn, key="training-lines")
    elif t.live:
        st.caption("The first curve comes with the tenth step.")


def _head(t: Training, controls: bool) -> None:
    with st.container(border=True):
        if not controls or t.stage == "done":
            st.progress(t.fraction, _sentence(t))
            _notes(t)
            return
        words, button = st.columns([5, 1], vertical_alignment="center")
        words.progress(t.fraction, _sentence(t))
        if t.live:
            button.button(
                "Stop",
                key="stop-training",
                icon=":material/stop:",
                on_click=trainings.stop,
                args=(t.folder,),
                width="stretch",
                disabled=t.stage == "stopping",
                help="After the current step; the checkpoint is kept.",
            )
        else:
            button.button(
                "Resume",
                key="resume-training",
                icon=":material/play_arrow:",
                type="primary",
                on_click=trainings.resume,
                args=(t.folder,),
                width="stretch",
                help=(
                    "Goes on from the newest checkpoint with the batches the undisturbed training would have"
                    " seen."
                ),
            )


def _notes(t: Training) -> None:
    for note in t.notes:
        st.caption(plain(note))


def _sentence(t: Training) -> str:
    parts = [f"**{t.folder.name}**"]
    if t.stage == "starting":
        loading = "reading the data and loading the network" if not t.step else f"loading step {t.step:,}"
        parts.append(t.phase or loading)
    elif t.stage == "stopping":
        parts.append("stopping after the current step")
    elif t.stage in ("stopped", "interrupted"):
        parts.append("stopped" if t.stage == "stopped" else "cut off")
    elif t.stage in ("done", "failed"):
        parts.append(t.stage)
    if t.steps:
        parts.append(f"step {t.step:,} of {t.steps:,}")
    if t.stage == "running":
        parts.append(f"{t.rate:.1f} images/s")
        parts.append(time_left(t.seconds_left))
    figures = (
        t.figures
        if t.live or not t.best
        else {
            t.best["figure"]: t.best["value"],
            **{k: v for k, v in t.figures.items() if k != t.best["figure"] and t.best["step"] == t.step},
        }
    )
    parts += [f"{name} {value:.3f}" for name, value in list(figures.items())[:3] if value is not None]
    if t.best and not t.live:
        parts.append(f"best at step {t.best['step']:,}")
    return " · ".join(parts)


def _steps(t: Training) -> int:
    try:
        return t.recipe().steps
    except BoxscopeError:
        return 0


def _stamp(folder: Path) -> tuple[int, int]:
    try:
        found = (folder / "history.jsonl").stat()
        return found.st_mtime_ns, found.st_size
    except OSError:
        return 0, 0


@st.cache_data(max_entries=16, show_spinner=False)
def _charts(folder: str, stamp: tuple[int, int], steps: int, best: dict[str, Any] | None) -> dict[str, Any]:
    return charts(TrainFolder(folder).history(), steps, best)


# ---- the result


def _busy(folder: Path, job: detection.Detection | None, found: list[exports.Export]) -> bool:
    """Whether something of the result is still in the making; a training's last act is to start the run on
    the held-out images.
    """
    return alive(folder, 0.0) or (job is not None and not job.over) or any(not e.over for e in found)


def _result(folder: Path, busy: bool) -> None:
    job, found = trainings.tried(folder), exports.exports(folder)
    if busy and not _busy(folder, job, found):
        st.rerun()
    st.subheader("The detector")
    _explorer(folder, job)
    _exports(folder, found)


@st.cache_data(max_entries=8, show_spinner="Looking at the data")
def _held_out(folder: str, changed: float) -> tuple[HeldOut, ...]:
    return preview_training(trainings.read(Path(folder)).recipe()).held_out


def _explorer(folder: Path, job: detection.Detection | None) -> None:
    if job is not None and not job.over:
        job_row(job)
        return
    if job is not None and job.stage == "failed":
        st.error(f"{job.title}: {job.error}", icon=":material/error:")
    try:
        places = _held_out(str(folder), trainings.recipe_file(folder).stat().st_mtime)
    except BoxscopeError as error:
        say_error(error)
        return
    done = job is not None and job.stage == "done" and job.run is not None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if done and st.button("Open in the explorer", type="primary", icon=":material/grid_view:"):
            state.go_to_run(Path(job.run).name)
            state.go("views/gallery/page.py")
        if places:
            which = st.selectbox(
                "Images",
                places,
                format_func=lambda p: p.words + ("" if p.unseen else " (trained on)"),
                key=f"try-{folder}",
                label_visibility="collapsed",
                width=280,
            )
            if st.button(
                "Run it on them", type="secondary" if done else "primary", icon=":material/play_arrow:"
            ):
                trainings.try_on(folder, trainings.read(folder).recipe().name, which)
                st.rerun()
        else:
            st.caption("Its data hold no labelled pictures to run it on; the page Detect takes any.")
    if done:
        _samples(Path(job.run), job.title)


def _samples(path: Path, title: str) -> None:
    """A few of the images it ran on, evenly spread, with truth and detections."""
    name = path.name
    if name not in state.stored_runs():
        return
    run, matches = state.run_and_matches(name, 0.5)
    rows = (
        [int(i * len(run) / SAMPLES) for i in range(SAMPLES)] if len(run) > SAMPLES else list(range(len(run)))
    )
    drawn = [
        (i, content) for i, content in zip(rows, pictures.tiles(run, rows)) if not isinstance(content, str)
    ]
    if not drawn:
        return
    key = (str(path), state.run_stamp(path), 0.5)
    st.caption(
        f"{title} · {len(drawn)} of {len(run):,} images, evenly spread · confidence ≥ 0.50 · IoU ≥ 0.50"
    )
    thumbnail_grid(
        {
            "tiles": [tile_text(run, matches, i, key) for i, _ in drawn],
            "urls": [pictures.publish(content, "image/jpeg", f"tile-{i}") for i, content in drawn],
            "errors": [""] * len(drawn),
            "threshold": 0.5,
            "cuts": None,
            "shown": None,
            "picked": [],
        },
        key="train-samples",
        on_open=_open_sample,
        on_pick=lambda: None,
    )
    st.session_state["_samples_run"] = name


def _open_sample() -> None:
    sample_id = st.session_state["train-samples"].get("open")
    if sample_id is not None:
        state.go_to_run(st.session_state["_samples_run"])
        st.session_state["image_id"] = sample_id
        st.session_state["_go"] = "views/image/page.py"


def _exports(folder: Path, found: list[exports.Export]) -> None:
    kind = kind_of(trainings.read(folder).recipe())
    if not kind.exports:
        return  # the export of a sliding window would be a program, not a network
    st.subheader("Export")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        forms = [form for form in exports.FORMS if kind.has_anchors or not form.endswith("-raw")]
        form = st.selectbox(
            "Form",
            forms,
            format_func=exports.FORMS.__getitem__,
            key="export_form",
            label_visibility="collapsed",
            width=360,
        )
        working = any(e.form == form and not e.over for e in found)
        st.button(
            "Write it",
            key="export",
            icon=":material/output:",
            on_click=exports.start,
            args=(folder, form),
            disabled=working,
        )
    for e in found:
        with st.container(horizontal=True, vertical_alignment="center"):
            if not e.over:
                st.markdown(f":material/hourglass_top: {exports.FORMS[e.form]} · {e.stage}")
            elif e.stage == "failed":
                st.error(f"{exports.FORMS[e.form]}: {e.error}", icon=":material/error:")
            else:
                _written(e)


def _written(e: exports.Export) -> None:
    file = e.folder / Path(e.file).name
    if not file.exists():
        return
    size = (
        sum(p.stat().st_size for p in file.rglob("*") if p.is_file())
        if file.is_dir()
        else file.stat().st_size
    )
    st.markdown(f"{exports.FORMS[e.form]} · {size / 2**20:.1f} MB · `{file}`", width="stretch")
    if file.is_file():
        st.download_button(
            "Download",
            file.read_bytes,
            file.name,
            "application/octet-stream",
            key=f"download-{e.form}",
            icon=":material/download:",
            type="tertiary",
        )


# ---- what it was made of


def _record(t: Training) -> None:
    with st.expander("Recipe and log"):
        st.caption(f"`{t.folder}` holds all it takes to run it again.")
        recipe, log = st.columns(2)
        file = trainings.recipe_file(t.folder)
        recipe.code(file.read_text(encoding="utf-8"), language="yaml", height=320)
        log.code(log_tail(t.folder), language=None, height=320)
