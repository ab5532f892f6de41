"""The door to FiftyOne: push a run, open the App, see what runs, end it.

FiftyOne runs as its own processes with its own database under the data directory (`analysis.fiftyone`).
Nothing here imports it into the calling process, except `push_to_fiftyone` of a run that lives in memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.fiftyone.ids import owner_key, sample_ids_of
from analysis.fiftyone.pull.changes import ChangeList
from analysis.fiftyone.pull.dataset import dataset_from_fiftyone
from analysis.fiftyone.pull.run import pull
from analysis.fiftyone.push.client import push_in_process
from analysis.fiftyone.push.options import PushOptions
from analysis.fiftyone.push.report import PushProgress, PushReport
from analysis.fiftyone.push.run import push_run
from analysis.fiftyone.service.environment import child_environment, with_timeout
from analysis.fiftyone.service.links import app_link, page_link
from analysis.fiftyone.service.server import Connection, start_app, start_database, status, stop
from analysis.runs.store import Run, open_run

__all__ = [
    "ChangeList",
    "Connection",
    "PushOptions",
    "PushProgress",
    "PushReport",
    "app_link",
    "dataset_from_fiftyone",
    "launch",
    "page_link",
    "pull_from_fiftyone",
    "push_in_process",
    "push_to_fiftyone",
    "sample_link",
    "start_app",
    "start_database",
    "status",
    "stop",
]


def push_to_fiftyone(
    run: Run | str | os.PathLike,
    options: PushOptions | None = None,
    *,
    detection_columns: Mapping[str, Any] | None = None,
    truth_columns: Mapping[str, Any] | None = None,
    progress: Callable[[PushProgress], None] | None = None,
    stage: Callable[[str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> PushReport:
    """Write images, ground truth and detections of a run into a persistent FiftyOne data set.

    The data set gets an evaluation that FiftyOne's Model Evaluation panel opens, verdict, IoU and class
    confusion on each label, saved views of the mistakes, and links back to our pages. Pushing the same run
    again updates it and doubles nothing; tags and ground truth edited in FiftyOne stay. Another run over the
    same images, pushed under the same name, lies beside the first ("predictions_2", "eval_2").

        push_to_fiftyone(run, name="cars", threshold={"car": 0.4}, heatmaps=True)

    Args:
        run: a Run or the folder of a stored one. A run in memory is pushed by this process, which then
            imports FiftyOne; if it already did, the database FiftyOne is connected to is used.
        options: what to write, as `PushOptions`; `settings` are its fields by name (name, threshold, iou,
            lowest, pages, eval_key, figures, discard_edits, heatmaps, evidence) and win over `options`.
        detection_columns, truth_columns: more values for the labels, by field name, one per row of
            `run.detections` and `run.truth` (error kind, miss cause, ...).
        progress: called after each batch.
        stage: called with one sentence when another step begins.
        should_stop: asked between batches; once it returns True the report says `cancelled`.

    Raises:
        UnavailableError: FiftyOne or its database is not available, or stopped; the reason in one sentence.
        InputError: a value or the name cannot be used.
    """
    options = replace(options or PushOptions(), **settings)
    callbacks: dict[str, Any] = dict(
        detection_columns=detection_columns,
        truth_columns=truth_columns,
        progress=progress,
        stage=stage,
        should_stop=should_stop,
    )
    path = run.path if isinstance(run, Run) else run
    if path is not None:
        return push_in_process(Path(path), options, **callbacks)
    if "fiftyone" not in sys.modules:
        changed = child_environment(with_timeout(start_database(stage)))
        os.environ.update({k: v for k, v in changed.items() if k.startswith(("FIFTYONE_", "BOXSCOPE_"))})
    assert isinstance(run, Run)
    return push_run(run, options, **callbacks)


def pull_from_fiftyone(
    run: Run | str | os.PathLike, *, name: str | None = None, say: Callable[[str], None] | None = None
) -> ChangeList:
    """What people tagged, corrected, added and deleted in FiftyOne since the run was pushed.

    Reads the database directly; FiftyOne is not imported, and nothing is changed. `ChangeList.save`, and
    `analysis.fiftyone.pull.changes` (`write_changed`, `rescore`) and `analysis.fiftyone.pull.expectations` go
    on from there.

    Args:
        run: a Run or the folder of a stored one.
        name: the FiftyOne data set; without it, the push's default name.

    Raises:
        UnavailableError: FiftyOne or its database cannot be had.
        InputError: no such data set, or it belongs to other annotations.
    """
    uri = start_database(say)
    return pull(open_run(run) if isinstance(run, (str, os.PathLike)) else run, name=name, uri=uri)


def launch(
    dataset: str | None = None,
    *,
    port: int | None = None,
    sample: str | None = None,
    view: str | None = None,
    workspace: str | None = None,
    say: Callable[[str], None] | None = None,
) -> str:
    """Start FiftyOne's App if need be; the address of a data set in it, or of one sample or saved view.

    Args:
        dataset: the FiftyOne data set's name; port: the App must have this port.
        sample: a sample's FiftyOne id (`sample_link` makes it); view: a saved view's name;
            workspace: a saved workspace's (each push saves "Model evaluation").

    Raises:
        UnavailableError: FiftyOne, its database or the App cannot start; the port is taken.
    """
    connection = start_app(port=port, say=say)
    assert connection.app_port is not None
    return app_link(connection.app_port, dataset, sample=sample, view=view, workspace=workspace)


def sample_link(run: Run, sample_id: str, *, name: str | None = None, port: int | None = None) -> str | None:
    """The address of one image of a pushed run in FiftyOne's App; None while the App is not running.

    Needs no FiftyOne: the id of a sample follows from the data set and the image's place in it.
    """
    if port is None:
        port = status().app_port
    if port is None:
        return None
    place = run.position(sample_id)
    object_id = sample_ids_of(owner_key(run.manifest.dataset.fingerprint), run.sample_ids, place, place + 1)[
        0
    ].hex()
    return app_link(port, name or f"{run.manifest.name} {run.manifest.identity[:6]}", sample=object_id)
