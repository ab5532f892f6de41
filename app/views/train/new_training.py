"""The page part that sets up a new training: recipe, data, starting weights, settings, and what it would
train on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from app.files.roots import allowed, inside_roots, keep_uploads, roots
from app.frame.components import facts, say_error, show_problems
from app.jobs import trainings
from app.views.train.form import (
    CHOICES,
    controls,
    folder_stem,
    help_of,
    inside,
    other_settings,
    shipped,
    with_text,
)
from detector.data.dataset import Problem
from detector.errors import BoxscopeError
from detector.training.recipes import Recipe, preview_training, read_recipe

OWN, UPLOAD, PATH = "A file on this machine", "Upload a recipe", "Another path"
KINDS = {
    "ssd": "SSD network",
    "sliding_window": "sliding-window detector",
    "two_head": "class and box of one object",
}


@st.cache_data(max_entries=4, show_spinner=False)
def _shipped(changed: tuple[float, ...]) -> dict[str, tuple[Path, str]]:
    return shipped()


@st.cache_data(max_entries=16, show_spinner=False)
def _read(path: str, changed: float) -> Recipe:
    return read_recipe(path)


def _recipe() -> tuple[Recipe, Path] | None:
    """The chosen recipe as it stands in its file."""
    from app.jobs.process import ROOT

    files = _shipped(tuple(p.stat().st_mtime for p in sorted((ROOT / "configs").glob("*.yaml"))))
    titles = {name: f"{title} · configs/{path.name}" for name, (path, title) in files.items()}
    names = sorted(files, key=lambda name: name != "finetune")
    choice = st.selectbox(
        "Recipe",
        [*names, OWN, UPLOAD],
        format_func=lambda c: titles.get(c, c),
        key="recipe",
        label_visibility="collapsed",
    )
    if choice in files:
        path = files[choice][0]
    elif choice == OWN:
        text = st.text_input(
            "Recipe's path",
            key="recipe_path",
            placeholder="a recipe .yaml, or a zoo's pipeline.config",
            label_visibility="collapsed",
        )
        if not text.strip():
            return None
        path = allowed(text)
    else:
        file = st.file_uploader(
            "Drop a recipe .yaml or a pipeline.config",
            type=["yaml", "yml", "config"],
            key="recipe_upload",
            label_visibility="collapsed",
        )
        if file is None:
            return None
        folder = keep_uploads([file], "recipes")
        path = next(p for p in folder.iterdir() if p.suffix.lower() in (".yaml", ".yml", ".config"))
    recipe = _read(str(path), path.stat().st_mtime)
    facts(
        f"{KINDS.get(getattr(recipe, 'kind', 'ssd'), '')} ·"
        f" {getattr(recipe, 'architecture', getattr(recipe, 'backbone', ''))}".strip(" ·")
    )
    return recipe, path


def _start(recipe: Recipe, key: str) -> str:
    """Where the weights come from."""
    own = {
        str(t.folder): f"The training {t.folder.name}"
        for t in trainings.trainings()
        if not t.live and (t.folder / "detector.json").is_file()
    }
    words = {"none": "None: fresh weights", "imagenet": "ImageNet backbone (Keras downloads it once)"} | own
    given = recipe.start
    options = [*words, *([given] if given not in words else []), PATH]
    choice = st.selectbox(
        "Starting weights",
        options,
        index=options.index(given),
        format_func=lambda c: words.get(c, c),
        key=f"{key}-start",
        help=help_of(type(recipe)).get("start"),
    )
    if choice != PATH:
        return choice
    return (
        st.text_input(
            "Their path",
            key=f"{key}-start-path",
            placeholder="a .h5 backbone without its top, a zoo archive, or a training's folder",
        ).strip()
        or given
    )


def _settings(recipe: Recipe, key: str) -> dict[str, Any]:
    """The important settings as controls."""
    words, values = help_of(type(recipe)), {}
    columns = st.columns(4)
    for i, (name, kind, empty) in enumerate(controls(recipe)):
        place, value = columns[i % 4], getattr(recipe, name)
        label, common = name.replace("_", " ").capitalize(), {"key": f"{key}-{name}", "help": words.get(name)}
        if kind is bool:
            options = [None, True, False] if empty else [True, False]
            values[name] = place.selectbox(
                label,
                options,
                index=options.index(value),
                format_func={None: "by the weights", True: "yes", False: "no"}.get,
                **common,
            )
        elif name in CHOICES:
            values[name] = place.selectbox(label, CHOICES[name], index=CHOICES[name].index(value), **common)
        elif kind is int:
            values[name] = place.number_input(
                label, value=value, step=1, placeholder="by the steps" if empty else None, **common
            )
        elif kind is float:
            values[name] = place.number_input(label, value=float(value), step=None, format="%.5g", **common)
        else:
            values[name] = place.text_input(label, value=value, **common)
    return {
        name: value
        for name, value in values.items()
        if value is not None or dict((n, e) for n, _, e in controls(recipe))[name]
    }


def _splits(recipe: Recipe, data: str, key: str) -> dict[str, Any]:
    """Which parts of the data are trained on and judged by, where recipes of this kind have splits."""
    if not hasattr(recipe, "train_split"):
        return {}
    names = _split_names(data, stamp(data)) if data else ()
    a, b = st.columns(2)
    values: dict[str, Any] = {}
    for name, place, word, nothing in (
        ("train_split", a, "Train on", "all images"),
        ("val_split", b, "Validate on", "no images"),
    ):
        given = getattr(recipe, name)
        options = [None, *names, *([given] if given and given not in names else [])]
        place_at = options.index(given or None)
        values[name] = place.selectbox(
            word,
            options,
            index=place_at,
            format_func=lambda v, nothing=nothing: nothing if v is None else f"split {v}",
            key=f"{key}-{name}-{'-'.join(names)}",
        )
    return values


@st.cache_data(max_entries=8, show_spinner="Reading the data set")
def _split_names(data: str, changed: float) -> tuple[str, ...]:
    from app.files.sources import open_data

    return tuple(dict.fromkeys(s for s in open_data(data).splits if s))


@st.cache_data(max_entries=16, show_spinner="Looking at the data")
def look(
    kind: str, values: dict[str, Any], _recipe: Recipe, changed: float
) -> tuple[tuple[str, ...], list[Problem]]:
    """(what a recipe would train on and judge by, in words; what is odd in its data), read anew when it
    `changed`.
    """
    found = preview_training(_recipe)
    for dataset in found.datasets:
        inside_roots(dataset)
    return found.words, [p for dataset in found.datasets for p in dataset.problems]


def stamp(data: str) -> float:
    """Changes when the file or folder named does; 0 where there is none."""
    try:
        return Path(data).stat().st_mtime
    except OSError:
        return 0.0


def _begin(recipe: Recipe, stem: str) -> None:
    folder = trainings.start(recipe, stem)
    st.session_state["training"], st.session_state["_train_view"] = str(folder), "Trainings"


def _data(recipe: Recipe, key: str) -> str:
    text = st.text_input(
        "Path of the labelled data",
        value=recipe.data,
        key=f"{key}-data",
        placeholder=_placeholder(recipe),
        label_visibility="collapsed",
    ).strip()
    named = roots()[1:]
    st.caption(
        (
            "Inside " + ", ".join(f"`{root}`" for root in named)
            if named
            else "`streamlit run app -- --root FOLDER` lets this server read a folder of yours"
        )
        + "; `demo` takes the drawn scenes."
    )
    if not text or text == "demo":
        return text
    return str(allowed(text))


def _placeholder(recipe: Recipe) -> str:
    return (
        "a folder with patches (TrainImages/, or positive/ and negative/)"
        if not hasattr(recipe, "train_split")
        else "a COCO json, or a VOC, YOLO or CSV data set"
    )


def form() -> None:
    """The whole form; what does not fit is one sentence above the button."""
    left, right = st.columns(2, gap="large")
    recipe, path, wanted = None, None, {}
    try:
        with left:
            st.subheader("1 · Recipe")
            chosen = _recipe()
        if chosen is None:
            st.button("3 · Start training", type="primary", icon=":material/play_arrow:", disabled=True)
            return
        recipe, path = chosen
        key = f"train-{path}"
        with left:
            wanted["name"] = st.text_input(
                "Name",
                value=recipe.name,
                key=f"{key}-name",
                help="Shown with the detector; a changed name names its folder too.",
            )
            if hasattr(recipe, "start"):
                wanted["start"] = _start(recipe, key)
        with right:
            st.subheader("2 · Data")
            wanted["data"] = _data(recipe, key)
            wanted |= _splits(recipe, wanted["data"], key)
            if hasattr(recipe, "val_data"):
                other = st.text_input(
                    "Another data set to validate on",
                    value=recipe.val_data or "",
                    key=f"{key}-val-data",
                    placeholder="optional",
                )
                wanted["val_data"] = other.strip() or None
        wanted |= _settings(recipe, key)
        with st.expander("All other settings"):
            words = help_of(type(recipe))
            text = st.text_area(
                "Other settings, as in the recipe's file",
                value=other_settings(recipe),
                height=260,
                key=f"{key}-others",
                label_visibility="collapsed",
            )
            with st.popover("What they mean", icon=":material/help:"):
                st.markdown(
                    "\n".join(
                        f"- `{name}`: {meaning}"
                        for name, meaning in words.items()
                        if f"\n{name}:" in f"\n{text}"
                    )
                )
        recipe = inside(with_text(recipe, text, wanted))
        if recipe.data:
            said, problems = look(type(recipe).__name__, recipe.as_dict(), recipe, stamp(recipe.data))
            facts(" · ".join(said))
            show_problems(problems)
        else:
            st.caption(":material/info: Name the labelled data to train on.")
    except BoxscopeError as error:
        say_error(error)
        recipe = None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "3 · Start training",
            type="primary",
            icon=":material/play_arrow:",
            disabled=recipe is None or not recipe.data,
            on_click=_begin,
            args=(recipe, folder_stem(recipe, path, wanted["name"])) if recipe is not None else (),
        )
        busy = [t.folder.name for t in trainings.trainings() if t.live]
        if busy:
            st.caption(f"{', '.join(busy)} runs now: both will be slower.")
