"""The push from a page or a command: FiftyOne stays in its own process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.fiftyone.push.options import PushOptions
from analysis.fiftyone.push.report import PushProgress, PushReport
from analysis.fiftyone.service.child import run_job
from analysis.fiftyone.service.server import start_database
from analysis.runs.manifest import read_manifest
from detector.errors import InputError


def push_in_process(
    run: str | Path,
    options: PushOptions | None = None,
    *,
    detection_columns: Mapping[str, Any] | None = None,
    truth_columns: Mapping[str, Any] | None = None,
    progress: Callable[[PushProgress], None] | None = None,
    stage: Callable[[str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> PushReport:
    """Push a stored run in a process of its own, so that the caller never imports FiftyOne.

    Starts the database where none runs.

    Args:
        run: the folder of a stored run.
        options: what to write; `settings` are options by name instead (`PushOptions` lists them).
        detection_columns, truth_columns: more values for the labels, by field name, one per row.
        progress: called after each batch.
        stage: called with one sentence when another step begins.
        should_stop: asked between batches; once it returns True the report says `cancelled`.

    Raises:
        UnavailableError: FiftyOne or its database is not available, or stopped; the reason in one sentence.
        InputError: a value or the name cannot be used; the run lives in memory only.
        RunError: the folder is no run.
    """
    path = Path(run)
    if not path.is_dir():
        raise InputError("Expected the folder of a stored run to push.", path=path)
    options = replace(options or PushOptions(), **settings)
    line = options.for_process(read_manifest(path))
    uri = start_database(stage)
    arguments = [str(path.resolve()), "--options", line]

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
