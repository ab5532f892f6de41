"""The heat maps below a chosen object: which method can work, the map while it gets better, what it is
worth.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from analysis.saliency.confidence import confidence_map
from analysis.saliency.heatmap import HeatMap
from analysis.saliency.methods import EXPLAINED, TITLES, Offer, offers
from analysis.saliency.picture import figures, heat_picture, part_of, reading
from app.frame.candidates import candidates_of
from app.frame.components import say_error
from app.model import heat_map_files, objects
from app.model.heat_map_job import Progress
from app.model.process import model_process
from app.model.questions import Asked, Question, asked_of, questions, rival_of
from app.model.spec import spec_of
from app.views.image import confidence_layer
from detector.errors import BoxscopeError, CapabilityError

WIDTH = 560
"""Pixels across of the picture shown."""
KEPT = 48


_finished: OrderedDict[tuple, Progress] = OrderedDict()
"""Finished maps by image, object, method and weights; shared by all sessions of the server."""


def reasons(s: Any) -> list[Offer]:
    """Every method in the page's order, with why it cannot work."""
    shown = confidence_layer.offer(s)
    first = Offer("confidence_map", shown.possible, "" if shown.possible else shown.reason)
    if spec_of(s.manifest) is None:
        why = "The run does not say how to load its detector, and evidence has to be asked of it."
        return [first, *(Offer(o.method, False, why, "confidence_map") for o in offers(s.manifest.detector))]
    return [first, *offers(s.manifest.detector)]


@st.fragment
def section(s: Any, i: int, row: objects.Row) -> None:
    """Choose a method, see its map; D-RISE shows itself while it gets better and stops when told to."""
    possible = reasons(s)
    by_title = {TITLES[o.method]: o for o in possible}
    title = st.pills(
        "Heat map",
        list(by_title),
        key="heat-method",
        help="\n\n".join(f"**{TITLES[o.method]}**: {EXPLAINED[o.method]}" for o in possible),
    )
    if title is None:
        st.caption(
            "Where does the model believe this object is, and what in the picture speaks for it? Choose a"
            " map."
        )
        return
    offer = by_title[title]
    st.caption(EXPLAINED[offer.method])
    if not offer.possible:
        st.info(offer.reason, icon=":material/block:")
        if offer.instead and by_title[TITLES[offer.instead]].possible:
            st.button(
                f"Show {TITLES[offer.instead]} instead",
                key="heat-instead",
                on_click=lambda: st.session_state.update({"heat-method": TITLES[offer.instead]}),
            )
        return
    question = Question() if offer.method == "confidence_map" else _question(s, i, row, offer)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    opacity = left.slider("Opacity", 0.0, 1.0, 0.75, 0.05, key="heat-opacity")
    whole = right.toggle("Whole picture", key="heat-whole")
    try:
        asked = asked_of(s, i, row)
        image = s.run.load_image(i)
        part = part_of(
            (image.shape[1], image.shape[0]), None if whole else np.asarray(asked.arguments["box"])
        )
        drawn = {
            "opacity": opacity,
            "part": part,
            "width": WIDTH,
            "box": asked.arguments["box"],
            "verdict": asked.verdict,
        }
        if offer.method == "confidence_map":
            _confidence(s, i, row, image, asked, drawn)
        else:
            _evidence(s, i, row, image, asked, offer.method, drawn, question)
    except BoxscopeError as error:
        say_error(error)


def _question(s: Any, i: int, row: objects.Row, offer: Offer) -> Question:
    """What the evidence is for: the class, the class rather than another that was seen there or stands there,
    or the box.
    """
    possible = questions(s, i, row, offer.method)
    if len(possible) == 1:
        return possible[0]
    return st.selectbox(
        "Evidence for",
        possible,
        format_func=lambda q: q.words(row.name),
        key=f"heat-question-{s.run.sample_ids[i]}-{row.verdict}-{row.det}-{row.truth}",
        help=(
            "Its class; its class less another at the same anchors; or where the box's sides stand (D-RISE"
            " asks that of any detector that shows candidates)."
        ),
    )


def _confidence(
    s: Any, i: int, row: objects.Row, image: np.ndarray, asked: Asked, drawn: dict[str, Any]
) -> None:
    found, source, k = None, f"from the run's boxes down to {s.manifest.floor:g}", asked.class_id
    spec = spec_of(s.manifest) if "candidates" in s.manifest.detector.capabilities else None
    if spec is not None:
        try:
            found, source, k = (
                candidates_of(s.run.version, i, s, spec),
                "from the detector's candidates before NMS",
                asked.arguments["class_id"],
            )
        except BoxscopeError as error:
            source += f", because the candidates cannot be had: {error.message}"
    values = confidence_map(
        found or s.run.detections_of(i), class_ids=k, image_size=(image.shape[1], image.shape[0])
    )
    threshold = s.cut_of(row.name)
    shown = HeatMap(
        "confidence_map",
        values,
        (image.shape[1], image.shape[0]),
        "confidence",
        forwards=1 if found is not None else 0,
    )
    st.image(heat_picture(image, shown, threshold=threshold, **drawn), width="stretch")
    x1, y1, x2, y2 = (int(v) for v in np.clip(asked.arguments["box"], 0, [*shown.image_size] * 2))
    here = float(values[y1 : max(y1 + 1, y2), x1 : max(x1 + 1, x2)].max(initial=0))
    st.caption(
        f"Confidence for {row.name}, 0 to 1, {source}: at most {here:.2f} in this box. The line is the"
        f" threshold {threshold:.2f}, the faint one a third of it (almost detected)."
    )


def _evidence(
    s: Any,
    i: int,
    row: objects.Row,
    image: np.ndarray,
    asked: Asked,
    method: str,
    drawn: dict[str, Any],
    question: Question,
) -> None:
    key = (
        s.manifest.detector.weights_hash,
        s.run.manifest.identity,
        s.run.sample_ids[i],
        asked.key,
        method,
        question.rival,
        question.side,
    )
    place, words = st.empty(), st.empty()
    stopped = st.session_state.get("heat-stopped") == key
    progress = _finished.get(key) or st.session_state.get("_heat_partial", {}).get(key)
    if progress is None or progress.stage != "done":
        if stopped:
            st.button(
                "Go on",
                icon=":material/play_arrow:",
                on_click=lambda: st.session_state.pop("heat-stopped", None),
            )
        else:
            bar = st.progress(0.0, "Loading the detector" if progress is None else "Going on")
            stop = st.empty()
            stop.button(
                "Stop",
                icon=":material/stop:",
                on_click=lambda: st.session_state.update({"heat-stopped": key}),
            )
            try:
                progress = _run(s, i, image, asked, method, key, drawn, (place, words, bar), question)
            except BoxscopeError as error:
                say_error(error)
            else:
                if question == Question():  # the others are no label that a push can take
                    heat_map_files.write(
                        heat_map_files.kept_of(s.run),
                        s.run,
                        i,
                        row,
                        asked,
                        question,
                        image,
                        progress.heat,
                        progress.verdict,
                        s.cut_of(row.name),
                    )
            bar.empty()
            stop.empty()
    _draw(
        image,
        progress,
        drawn,
        place,
        words,
        stopped=stopped,
        name=s.run.class_map.names[asked.class_id],
        rival=question.rival,
    )
    if progress is not None and progress.stage == "done" and progress.heat is not None:
        heat_found, threshold = progress.heat, s.cut_of(row.name)
        st.download_button(
            "Save the picture",
            lambda: heat_map_files.png_of(
                heat_map_files.drawn(s.run, row, asked, question, image, heat_found, threshold)
            ),
            f"{heat_map_files.stem(s.run, i, row, method, question)}.png",
            "image/png",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            help="The whole picture with the map, its figures and its operating point.",
        )


def _run(
    s: Any,
    i: int,
    image: np.ndarray,
    asked: Asked,
    method: str,
    key: tuple,
    drawn: dict[str, Any],
    places: tuple,
    question: Question,
) -> Progress:
    """Step by step until it is done. Streamlit ends it between two steps where the user does something
    else.
    """
    place, words, bar = places
    spec, process = spec_of(s.manifest), model_process()
    if process.info(spec).weights_hash != s.manifest.detector.weights_hash:
        raise CapabilityError(
            "The detector at the run's source has changed since, so its evidence is not this run's."
        )
    request = {
        "key": key,
        "picture": key[1:3],
        "ask": asked.arguments,
        "method": method,
        "settings": {},
        "check": True,
        "image": image,
        "seen": None,
        "rival": rival_of(s, question.rival) if question.rival else None,
        "side": question.side,
    }
    partial = st.session_state.setdefault("_heat_partial", {})
    latest: Progress | None = None
    while True:
        progress = process.evidence(spec, request)
        if progress is None:  # another process than the one that began, or it forgot: begin anew
            request |= {"image": image, "seen": None}
            continue
        if progress.heat is None and latest is not None:
            progress = replace(progress, heat=latest.heat)
        fresh = progress.heat is not None and (latest is None or latest.heat is not progress.heat)
        request |= {"image": None, "seen": progress.heat.forwards if progress.heat is not None else None}
        latest = progress
        partial.clear()
        partial[key] = progress
        if progress.stage == "done":
            _finished[key] = progress
            while len(_finished) > KEPT:
                _finished.popitem(last=False)
            return progress
        if fresh:
            _draw(
                image,
                progress,
                drawn,
                place,
                words,
                name=s.run.class_map.names[asked.class_id],
                rival=question.rival,
            )
        what = (
            "Hiding parts of the picture"
            if progress.stage == "map"
            else "Holding it against random, edges and a Gaussian on the box"
        )
        bar.progress(progress.share, what)


def _share(part: float) -> str:
    return "less than 1 %" if part < 0.005 else f"{100 * part:.0f} %"


def _draw(
    image: np.ndarray,
    progress: Progress | None,
    drawn: dict[str, Any],
    place: Any,
    words: Any,
    *,
    stopped: bool = False,
    name: str = "it",
    rival: str = "",
) -> None:
    if progress is None or progress.heat is None:
        if stopped:
            place.caption("Stopped before the first picture.")
        return
    found = progress.heat
    if found.target is not None and found.target.sides is not None:
        drawn = drawn | {"box": found.target.box}  # the network's own, also where the object was missed
    place.image(heat_picture(image, found, **drawn), width="stretch")
    lines = [reading(found, name, rival), figures(found)]
    if stopped and progress.stage != "done":
        lines.insert(0, "Stopped on the way.")
    lines += found.notes
    verdict = progress.verdict
    if verdict is not None:
        if verdict.inside_gain is not None:
            what = (
                "evidence"
                if found.target is not None and found.target.sides is not None
                else "evidence for it"
            )
            lines.append(
                f"{100 * verdict.inside:.0f} % of the {what} lies in its box, which is {_share(verdict.area)}"
                " of the picture."
            )
        mark = ":material/check_circle:" if not verdict.lost_to else ":material/error:"
        lines.append(f"{mark} {verdict.sentence()}")
    words.caption("  \n".join(lines))
