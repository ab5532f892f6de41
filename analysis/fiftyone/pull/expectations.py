"""Tags as tests: objects that must be found, may be missed, or are labelled wrongly, kept beside the data
set.

`must-detect`: a run that misses the object breaks a promise. `ok-to-miss` and `label-wrong`: the object is
neither found nor missed when that is asked for; how many is always said.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.fiftyone.pull.changes import ChangeList, as_dataset, with_truth
from analysis.matching.counts import verdicts
from analysis.matching.match import match_run
from analysis.runs.store import Run
from detector.boxes import iou
from detector.core import FLAGS
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import DataError
from detector.paths import data_dir, write_atomically

MUST, MAY_MISS, WRONG_LABEL = "must-detect", "ok-to-miss", "label-wrong"
PROMISES = (MUST, MAY_MISS, WRONG_LABEL)
SAME_PLACE = 0.5


@dataclass(frozen=True)
class Expectation:
    """One tagged object. It is found again by image and id, else by class and place, so that it outlives an
    export.
    """

    promise: str
    sample_id: str
    object_id: int | None
    label: str
    xyxy: tuple[float, float, float, float]


@dataclass(frozen=True)
class Outcome:
    """A promise held against a run: `state` is "kept", "broken", "excused" (ok-to-miss, label-wrong) or
    "lost" (the object is not in this run's ground truth, or its image was not run on); `score` of the best
    fitting detection, -1 without one."""

    promise: Expectation
    state: str
    score: float = -1.0

    def __str__(self) -> str:
        p = self.promise
        seen = f"seen at {self.score:.2f}" if self.score >= 0 else "not seen at all"
        return (
            f"{p.promise}: {p.label} in {p.sample_id} at {[round(v) for v in p.xyxy]} is {self.state}"
            f" ({seen})"
        )


def expectations_of(changes: ChangeList) -> list[Expectation]:
    """The promises among the tags of a pull, on ground-truth objects."""
    return [
        Expectation(tag, t.sample_id, t.object_id, t.label, t.xyxy)
        for t in changes.tags
        if t.side == "truth" and t.xyxy is not None
        for tag in t.tags
        if tag in PROMISES
    ]


def expectations_file(source: str) -> Path:
    """Where the promises about a data set are kept: by its source, so that corrected annotations keep
    them.
    """
    import hashlib

    return (
        data_dir("promises")
        / f"{hashlib.sha256(source.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.json"
    )


def save_expectations(expectations: list[Expectation], path: Path) -> None:
    write_atomically(
        path, json.dumps([asdict(p) for p in expectations], indent=1, ensure_ascii=False).encode()
    )


def load_expectations(path: Path) -> list[Expectation]:
    """[] where there is no file.

    Raises:
        DataError: it is broken.
    """
    if not path.exists():
        return []
    try:
        return [Expectation(**p | {"xyxy": tuple(p["xyxy"])}) for p in json.loads(path.read_text())]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"The promises cannot be read ({error}); pull again.", path=path) from None


def find_objects(run: Run, expectations: list[Expectation]) -> list[int]:
    """The row in `run.truth` of each promise's object, -1 where it is not there."""
    t, out = run.truth, []
    for p in expectations:
        if p.sample_id not in run:
            out.append(-1)
            continue
        i = run.position(p.sample_id)
        rows = np.arange(run.truth_offsets[i], run.truth_offsets[i + 1])
        overlap = iou(np.array([p.xyxy]), t.xyxy[rows])[0] if len(rows) else np.zeros(0)
        same_id = (
            np.flatnonzero((t.ids[rows] == p.object_id) & (overlap >= SAME_PLACE))
            if p.object_id is not None
            else []
        )
        fits = overlap >= SAME_PLACE
        names = np.array([run.class_map.names[c] == p.label for c in t.class_ids[rows]], bool)
        best = np.flatnonzero(fits & names)
        best = best if len(best) else np.flatnonzero(fits)
        row = same_id[0] if len(same_id) else best[overlap[best].argmax()] if len(best) else None
        out.append(-1 if row is None else int(rows[row]))
    return out


def check_expectations(
    run: Run, expectations: list[Expectation], threshold: Any = 0.5, bound: float = 0.5
) -> list[Outcome]:
    """Hold promises against a run at an operating point; in their order."""
    matches = match_run(run, bound)
    verdict = verdicts(matches, threshold).objects
    out = []
    for promise, row in zip(expectations, find_objects(run, expectations)):
        if row < 0 or verdict[row] == "unjudged":
            out.append(Outcome(promise, "lost"))
            continue
        score = float(matches.truth_score[row])
        state = "excused" if promise.promise != MUST else "kept" if verdict[row] == "found" else "broken"
        out.append(Outcome(promise, state, score))
    return out


def excuse(run: Run, expectations: list[Expectation]) -> tuple[Any, int]:
    """The run with objects tagged ok-to-miss or label-wrong neither found nor missed, and how many those are.

    They become regions to ignore, like COCO's crowds: a detection on one is neither correct nor wrong.
    """
    rows = {
        row for p, row in zip(expectations, find_objects(run, expectations)) if p.promise != MUST and row >= 0
    }
    t = run.truth
    crowd = np.array(t.crowd)
    crowd[list(rows)] = True
    columns = {flag: getattr(t, flag) for flag in FLAGS} | {"crowd": crowd}
    table = ObjectTable(rows=t.rows, xyxy=t.xyxy, class_ids=t.class_ids, ids=t.ids, area=t.area, **columns)
    data = as_dataset(run)
    changed = Dataset(
        name=data.name,
        format=data.format,
        source=data.source,
        class_map=data.class_map,
        sample_ids=data.sample_ids,
        files=data.files,
        sizes=data.sizes,
        labelled=data.labelled,
        objects=table,
        splits=data.splits,
    )
    return with_truth(run, changed), len(rows)
