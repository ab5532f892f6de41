"""The door to FiftyOne: push a run, open the App, see what runs, end it.

FiftyOne runs as its own processes with its own database under the data directory (`analysis.fiftyone`).
Nothing here imports it into the calling process, except `push_to_fiftyone` of a run that lives in memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from analysis.fiftyone.pull.changes import ChangeList
from analysis.fiftyone.pull.dataset import dataset_from_fiftyone
from analysis.fiftyone.push.client import push_in_process
from analysis.fiftyone.push.report import PushProgress, PushReport
from analysis.fiftyone.service.links import DEFAULT_PAGES, app_link, page_link
from analysis.fiftyone.service.server import Connection, start_app, start_database, status, stop
from analysis.runs.store import Run

__all__ = [
    "ChangeList",
    "Connection",
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
    run: Run,
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
    evidence: str | os.PathLike | None = None,
    detection_columns: Mapping[str, Any] | None = None,
    truth_columns: Mapping[str, Any] | None = None,
    progress: Callable[[PushProgress], None] | None = None,
    stage: Callable[[str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> PushReport:
    """Write images, ground truth and detections of a run into a persistent FiftyOne data set.

    The data set gets an evaluation that FiftyOne's Model Evaluation panel opens, verdict, IoU and class
    confusion on each label, saved views of the mistakes, and links back to our pages. Pushing the same run
    again updates it and doubles nothing; tags and ground truth edited in FiftyOne stay. Another run over the
    same images, pushed under the same name, lies beside the first ("predictions_2", "eval_2").

    Args:
        run: a Run or the folder of a stored one. A run in memory is pushed by this process, which then
            imports FiftyOne; if it already did, the database FiftyOne is connected to is used.
        name: the FiftyOne data set; without it, the run's name and six digits of its identity.
        threshold: confidence in 0..1: one number, one a class, or {class name: number}.
        iou: the IoU from which a detection fits an object.
        lowest: detections with a lower score are not written (they are counted in the report).
        pages: where our app answers, for the links; "" for none.
        eval_key: the evaluation's name in FiftyOne.
        figures: compute AP, AP50 and AP75 and show them in the panel.
        heatmaps: write confidence maps too, of every class and of the missed objects' classes, as Heatmap
            labels (PNG files in the data directory, about 5 KB and 5 ms each).
        evidence: a folder of maps that `boxscope explain RUN --out FOLDER` wrote: those of this run's
            detector and images go along, one Heatmap label a method; what is left out is said in the report.
        discard_edits: put our ground truth back where people changed it in FiftyOne.
        detection_columns, truth_columns: more values for the labels, by field name, one a row of
            `run.detections` and `run.truth` (error kind, miss cause, ...).
        progress, stage: told how far it is, and what is going on; should_stop: asked between batches.

    Raises:
        UnavailableError: FiftyOne or its database cannot be had, or went away; the reason in one sentence.
        InputError: a value or the name cannot be used.
    """
    options: dict[str, Any] = dict(
        name=name,
        threshold=threshold,
        iou=iou,
        lowest=lowest,
        pages=pages,
        eval_key=eval_key,
        figures=figures,
        discard_edits=discard_edits,
        heatmaps=heatmaps,
        evidence=evidence,
        detection_columns=detection_columns,
        truth_columns=truth_columns,
        progress=progress,
        stage=stage,
        should_stop=should_stop,
    )
    path = getattr(run, "path", run)
    if path is not None:
        return push_in_process(path, **options)
    if "fiftyone" not in sys.modules:
        from analysis.fiftyone.service.environment import child_environment, with_timeout

        changed = child_environment(with_timeout(start_database(stage)))
        os.environ.update({k: v for k, v in changed.items() if k.startswith(("FIFTYONE_", "BOXSCOPE_"))})
    from analysis.fiftyone.push.run import push_run

    return push_run(run, **options)


def pull_from_fiftyone(
    run: Run, *, name: str | None = None, say: Callable[[str], None] | None = None
) -> ChangeList:
    """What people tagged, corrected, added and deleted in FiftyOne since the run was pushed.

    Reads the database directly; FiftyOne is not imported, and nothing is changed. `ChangeList.save`, and
    `analysis.fiftyone.pull.changes` (`write_changed`, `rescore`) and `analysis.fiftyone.pull.expectations` go on from
    there.

    Args:
        run: a Run or the folder of a stored one.
        name: the FiftyOne data set; without it, the push's default name.

    Raises:
        UnavailableError: FiftyOne or its database cannot be had.
        InputError: no such data set, or it belongs to other annotations.
    """
    from analysis.fiftyone.pull.run import pull
    from analysis.runs.store import open_run

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
    from analysis.fiftyone.ids import owner_key, sample_ids_of

    place = run.position(sample_id)
    object_id = sample_ids_of(owner_key(run.manifest.dataset.fingerprint), run.sample_ids, place, place + 1)[
        0
    ].hex()
    return app_link(port, name or f"{run.manifest.name} {run.manifest.identity[:6]}", sample=object_id)
