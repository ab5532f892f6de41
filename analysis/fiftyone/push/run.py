"""From a run to the push: judge it, measure it, write it. For a process that may import FiftyOne."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from analysis.fiftyone.push.dataset import push
from analysis.fiftyone.push.evidence_maps import EvidenceMaps
from analysis.fiftyone.push.options import PushOptions
from analysis.fiftyone.push.report import PushProgress, PushReport
from analysis.fiftyone.push.verdicts import judge
from analysis.fiftyone.service import plugin
from analysis.fiftyone.service.failures import as_unavailable
from analysis.fiftyone.service.server import state_file
from analysis.metrics.evaluate import evaluate
from analysis.runs.store import Run
from detector.errors import BoxscopeError


def push_run(
    run: Run,
    options: PushOptions,
    *,
    detection_columns: Mapping[str, Any] | None = None,
    truth_columns: Mapping[str, Any] | None = None,
    progress: Callable[[PushProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    stage: Callable[[str], None] | None = None,
) -> PushReport:
    """See `analysis.fiftyone_bridge.push_to_fiftyone`; the database of this process's FiftyOne is used.

    Two pushes at once wait for each other.
    """
    report_stage = stage or (lambda message: None)
    maps = EvidenceMaps(run, options.evidence) if options.evidence is not None else None
    report_stage("Matching detections with objects")
    judged = judge(
        run, options.threshold, options.iou, det_columns=detection_columns, truth_columns=truth_columns
    )
    figures = _figures(run) if options.figures else None
    report_stage("Opening FiftyOne")
    try:
        # Connects to the database; a failure is reported here, not in the middle of the push.
        import fiftyone  # noqa: F401
    except BoxscopeError:
        raise
    except Exception as error:
        raise as_unavailable(error) from error
    plugin.install()
    with state_file().lock("push", wait=600.0):
        return push(
            run, judged, options, figures=figures, evidence=maps, progress=progress, should_stop=should_stop
        )


def _figures(run: Run) -> dict[str, float | None] | None:
    """AP, AP50 and AP75 over every score, or None where there is nothing to measure."""
    if not run.usable.any() or not len(run.truth):
        return None
    measured = evaluate(run)
    return {name: measured[name] for name in ("AP", "AP50", "AP75")}
