"""The page part that sets up a new sweep: what is searched, on which data, from which weights, how many
trials.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from app.files.roots import allowed
from app.frame.components import facts, say_error, show_problems
from app.jobs import sweeps
from app.jobs.process import ROOT
from app.views.train.form import PATHS, inside
from app.views.train.new_training import look, stamp
from detector.errors import BoxscopeError, ConfigError
from detector.paths import data_dir

if TYPE_CHECKING:
    from detector.sweep.recipe import SweepRecipe

SHIPPED = ROOT / "configs" / "two_head_sweep.yaml"


def shipped_text() -> str:
    """The sweep of configs/ without its comments, to edit."""
    return (
        "\n".join(
            line for line in SHIPPED.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
        )
        + "\n"
    )


def made(text: str, *, name: str, data: str, start: str, trials: int) -> SweepRecipe:
    """The sweep a text and the controls describe, with every path inside what this server may read.

    Raises:
        ConfigError: what does not fit, with its line in the text. InputError: a path that is not there or
            lies outside.
    """
    import yaml

    from detector.sweep.recipe import load_sweep

    try:
        plain = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(
            "the search: expected lines of `key: value`"
            + (f", line {mark.line + 1} is none." if mark else ".")
        ) from None
    if not isinstance(plain, dict) or not isinstance(plain.get("recipe"), str):
        raise ConfigError(
            "the search: expected `recipe: two_head.yaml`, or another base recipe, among its lines."
        )
    if searched := sorted(set(PATHS) & set(plain.get("search") or ())):
        raise ConfigError(
            f"the search: {searched[0]} cannot be searched from the page, which checks every path; boxscope"
            " sweep can."
        )
    own = SHIPPED.parent / plain["recipe"]
    plain |= {
        "name": name,
        "trials": trials,
        "recipe": str(own if own.is_file() else allowed(plain["recipe"])),
    }
    plain["set"] = {**(plain.get("set") or {}), "data": data, "start": start}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "sweep.yaml")
        file.write_text(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), encoding="utf-8")
        try:
            sweep = load_sweep(file)
        except ConfigError as error:
            raise ConfigError(f"the search: {error.message}") from error
    base = inside(sweep.base())
    return sweep.model_copy(update={"set": {**sweep.set, "data": base.data, "start": base.start}})


def begin(sweep: SweepRecipe) -> Path:
    """Make the sweep's folder and start its process; the folder, a new one beside those that are there.

    Raises:
        ConfigError: the base recipe has become unreadable.
    """
    from detector.sweep.run import prepare

    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in sweep.name.lower()).strip("_") or "sweep"
    taken = {p.name for p in data_dir("sweeps").iterdir()}
    folder = data_dir("sweeps") / next(
        name for n in range(1, len(taken) + 2) if (name := stem if n == 1 else f"{stem}_{n}") not in taken
    )
    prepare(sweep, folder)
    sweeps.job_of(folder).start()
    return folder


def form() -> None:
    """The form; what does not fit is one sentence above the button."""
    left, right = st.columns(2, gap="large")
    with left:
        name = st.text_input(
            "Name",
            "Two-head sweep",
            key="sweep-name",
            help=(
                "Shown with the best trial, which becomes a detector of the catalogue; it names the sweep's"
                " folder too."
            ),
        )
        data = st.text_input(
            "Path of the labelled data",
            key="sweep-data",
            placeholder="one object a picture: a CSV, a COCO json, a VOC or YOLO folder, Stanford Cars",
        ).strip()
        start = st.text_input(
            "Starting weights",
            "imagenet",
            key="sweep-start",
            help=(
                "`imagenet` (Keras downloads them once), a .h5 backbone without its top, a training's folder,"
                " or `none`."
            ),
        ).strip()
        trials = int(
            st.number_input(
                "Trials",
                min_value=1,
                value=12,
                key="sweep-trials",
                help="How many short trainings in all; unpromising ones are ended early.",
            )
        )
    with right:
        text = st.text_area(
            "What is searched",
            shipped_text(),
            height=320,
            key="sweep-text",
            help=(
                "As in configs/two_head_sweep.yaml: `set` changes the base recipe for all trials, `search`"
                " lists choices or a range a key."
            ),
        )
    sweep = None
    try:
        if data:
            sweep = made(text, name=name.strip() or "sweep", data=data, start=start or "none", trials=trials)
            base = sweep.base()
            said, problems = look(type(base).__name__, base.as_dict(), base, stamp(base.data))
            facts(" · ".join(said))
            show_problems(problems)
        else:
            st.caption(":material/info: Name the labelled data to train on.")
    except BoxscopeError as error:
        say_error(error)
        sweep = None
    st.button(
        "Start the sweep",
        type="primary",
        icon=":material/play_arrow:",
        disabled=sweep is None,
        on_click=_begin,
        args=(sweep,),
    )


def _begin(sweep: SweepRecipe) -> None:
    st.session_state["sweep"] = begin(sweep)
    st.session_state["sweep_new"] = False
