"""Heat maps as files: a PNG with its operating point, the numbers (.npy) and the facts (.json) of each.

What `boxscope explain --out` writes; the Image page keeps its finished maps of an object's class alike, so
that a push to FiftyOne can take them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.runs.store import Run
from app.model.questions import Asked, Question
from detector.paths import data_dir

if TYPE_CHECKING:
    from analysis.saliency.faithfulness import Faithfulness
    from analysis.saliency.heatmap import HeatMap
    from app.model.objects import Row


def kept_of(run: Run) -> Path:
    """The folder under the data directory for maps of a run that were made on the page; made if need be."""
    return data_dir("evidence", run.manifest.identity)


def kept_maps(run: Run) -> int:
    """How many maps the page has kept of a run."""
    return sum(1 for _ in kept_of(run).glob("*.json"))


def object_name(run: Run, i: int, row: Row) -> str:
    """How commands and links call a line of the objects' table: t17 the ground-truth object 17, d3 the
    detection at place 3.
    """
    if row.verdict == "missed":
        return f"t{int(run.truth.ids[run.truth_offsets[i] + row.truth])}"
    return f"d{row.det}"


def stem(run: Run, i: int, row: Row, method: str, question: Question) -> str:
    """The file's name without its ending."""
    about = (
        f"-rather-than-{_safe(question.rival)}"
        if question.rival
        else f"-box-{question.side}"
        if question.side
        else ""
    )
    return f"{_safe(run.sample_ids[i])}-{object_name(run, i, row)}-{method}{about}"


def drawn(
    run: Run, row: Row, asked: Asked, question: Question, picture: np.ndarray, heat: HeatMap, threshold: float
) -> np.ndarray:
    """RGB uint8: the map over its whole picture with a caption that says what it is."""
    from analysis.saliency.picture import figures, heat_picture

    about = (
        f" rather than {question.rival}"
        if question.rival
        else f", {question.side} of its box"
        if question.side
        else ""
    )
    caption = (
        f"{heat.method} | {row.name}{about} {row.verdict} | {figures(heat)} | threshold {threshold:g} |"
        f" {run.manifest.detector.name}"
    )
    box = heat.target.box if question.side and heat.target is not None else np.asarray(asked.arguments["box"])
    return heat_picture(picture, heat, box=box, verdict=asked.verdict, threshold=threshold, caption=caption)


def facts_of(
    run: Run,
    i: int,
    row: Row,
    question: Question,
    heat: HeatMap,
    verdict: Faithfulness | None,
    threshold: float,
) -> dict[str, Any]:
    """Everything about a map but its values, as JSON has it."""
    return heat.facts() | {
        "image": run.sample_ids[i],
        "object": object_name(run, i, row),
        "class": row.name,
        "verdict": row.verdict,
        "rather_than": question.rival or None,
        "side": question.side,
        "threshold": threshold,
        "detector": run.manifest.detector.name,
        "weights_hash": run.manifest.detector.weights_hash,
        "faithfulness": verdict.to_dict() if verdict else None,
    }


def write(
    folder: Path,
    run: Run,
    i: int,
    row: Row,
    asked: Asked,
    question: Question,
    picture: np.ndarray,
    heat: HeatMap,
    verdict: Faithfulness | None,
    threshold: float,
) -> Path:
    """Write a map's three files; returns the .json's path, which is written last."""
    name = stem(run, i, row, heat.method, question)
    (folder / f"{name}.png").write_bytes(png_of(drawn(run, row, asked, question, picture, heat, threshold)))
    np.save(folder / f"{name}.npy", heat.full())
    facts = facts_of(run, i, row, question, heat, verdict, threshold)
    (folder / f"{name}.json").write_text(
        json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return folder / f"{name}.json"


def png_of(picture: np.ndarray) -> bytes:
    """A picture RGB uint8 as PNG."""
    import io

    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return content.getvalue()


def _safe(text: str) -> str:
    """A name for files; two ids never get the same one."""
    plain = "".join(c if c.isalnum() or c in "._-" else "_" for c in str(text))[:80]
    return plain if plain == str(text) else f"{plain}-{hashlib.sha256(str(text).encode()).hexdigest()[:8]}"
