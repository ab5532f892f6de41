"""From a run to the push: judge it, measure it, write it. For a process that may import FiftyOne."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from analysis.fiftyone.push.dataset import default_name, push
from analysis.fiftyone.push.evidence_maps import EvidenceMaps
from analysis.fiftyone.push.report import PushProgress, PushReport
from analysis.fiftyone.push.verdicts import judge
from analysis.fiftyone.service import plugin
from analysis.fiftyone.service.links import DEFAULT_PAGES
from analysis.fiftyone.service.server import state_file
from analysis.runs.store import Run
from detector.errors import BoxscopeError


def push_run(
    run: Run,
    *,
    name: str | None = None,
    threshold: Any = 0.5,
    iou: float = 0.5,
    lowest: float = 0.05,
    pages: str = DEFAULT_PAGES,
    run_name: str | None = None,
    eval_key: str = "eval",
    figures: bool = True,
    discard_edits: bool = False,
    heatmaps: bool = False,
    evidence: str | Path | None = None,
    detection_columns: Mapping[str, Any] | None = None,
    truth_columns: Mapping[str, Any] | None = None,
    progress: Callable[[PushProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    stage: Callable[[str], None] | None = None,
) -> PushReport:
    """See `analysis.fiftyone_bridge.push_to_fiftyone`; the database of this process's FiftyOne is used.

    Two pushes at once wait for each other.
    """
    say = stage or (lambda message: None)
    maps = EvidenceMaps(run, evidence) if evidence is not None else None
    say("Matching detections with objects")
    judged = judge(run, threshold, iou, det_columns=detection_columns, truth_columns=truth_columns)
    measured = _figures(run) if figures else None
    say("Opening FiftyOne")
    from analysis.fiftyone.service.failures import as_unavailable

    try:
        import fiftyone  # noqa: F401 (connects to the database; its failure is told here, not in the middle of the push)
    except BoxscopeError:
        raise
    except Exception as error:
        raise as_unavailable(error) from error
    plugin.install()
    with state_file().lock("push", wait=600.0):
        return push(
            run,
            judged,
            name=name or default_name(run),
            lowest=lowest,
            pages=pages,
            run_name=run_name,
            eval_key=eval_key,
            figures=measured,
            discard_edits=discard_edits,
            heatmaps=heatmaps,
            evidence=maps,
            progress=progress,
            should_stop=should_stop,
        )


def _figures(run: Run) -> dict[str, float | None] | None:
    """AP, AP50 and AP75 over every score, or None where there is nothing to measure."""
    if not run.usable.any() or not len(run.truth):
        return None
    from analysis.metrics.evaluate import evaluate

    measured = evaluate(run)
    return {name: measured[name] for name in ("AP", "AP50", "AP75")}
