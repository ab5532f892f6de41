"""The push from a page or a command: FiftyOne stays in its own process."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from analysis.fiftyone.push.report import PushProgress, PushReport
from analysis.fiftyone.service.child import run_job
from analysis.fiftyone.service.links import DEFAULT_PAGES
from analysis.fiftyone.service.server import start_database
from detector.errors import InputError


def push_in_process(
    run: str | Path,
    *,
    name: str | None = None,
    threshold: Any = 0.5,
    iou: float = 0.5,
    lowest: float = 0.05,
    pages: str = DEFAULT_PAGES,
    eval_key: str = "eval",
    figures: bool = True,
    discard_edits: bool = False,
    heatmaps: bool = False,
    evidence: str | Path | None = None,
    detection_columns: Mapping[str, Any] | None = None,
    truth_columns: Mapping[str, Any] | None = None,
    progress: Callable[[PushProgress], None] | None = None,
    stage: Callable[[str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> PushReport:
    """Push a stored run in a process of its own, so that the caller never imports FiftyOne.

    Starts the database where none runs. `stage` is told what is going on, `progress` how far it is;
    `should_stop` ends it after the batch in hand, and the report then says `cancelled`.

    Raises:
        UnavailableError: FiftyOne or its database cannot be had, or went away; the reason in one sentence.
        InputError: a value or the name cannot be used; the run lives in memory only.
        RunError: the folder is no run.
    """
    path = Path(run)
    if not path.is_dir():
        raise InputError("Expected the folder of a stored run to push.", path=path)
    if not isinstance(threshold, (int, float, Mapping)):
        from analysis.runs.manifest import read_manifest

        threshold = dict(zip(read_manifest(path).classes.names, (float(v) for v in threshold)))
    elif isinstance(threshold, Mapping):
        threshold = {str(k): float(v) for k, v in threshold.items()}
    uri = start_database(stage)
    arguments = [
        str(path.resolve()),
        "--threshold",
        json.dumps(threshold),
        "--iou",
        repr(float(iou)),
        "--lowest",
        repr(float(lowest)),
    ]
    arguments += [f"--pages={pages}", f"--eval-key={eval_key}"]
    arguments += [f"--name={name}"] if name else []
    arguments += ["--no-figures"] if not figures else []
    arguments += ["--heatmaps"] if heatmaps else []
    arguments += ["--evidence", str(Path(evidence).resolve())] if evidence is not None else []
    arguments += ["--discard-edits"] if discard_edits else []

    def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "stage" and stage is not None:
            stage(event["message"])
        elif event["event"] == "progress" and progress is not None:
            progress(PushProgress(**{k: v for k, v in event.items() if k != "event"}))

    with tempfile.TemporaryDirectory(prefix="boxscope-push-") as folder:
        if detection_columns or truth_columns:
            import numpy as np

            columns = {f"detections.{k}": np.asarray(v) for k, v in (detection_columns or {}).items()}
            columns |= {f"truth.{k}": np.asarray(v) for k, v in (truth_columns or {}).items()}
            np.savez(Path(folder, "columns.npz"), **columns)
            arguments += ["--columns", str(Path(folder, "columns.npz"))]
        report = run_job(
            "analysis.fiftyone.push.process", arguments, uri=uri, on_event=on_event, should_stop=should_stop
        )
    return PushReport(**report | {"views": tuple(report["views"]), "problems": tuple(report["problems"])})
