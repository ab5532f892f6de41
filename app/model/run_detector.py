"""The detector that made a run, loaded in this process: for commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.model.spec import spec_of
from app.terminal import say, without_native_chatter
from detector.errors import BoxscopeError

if TYPE_CHECKING:
    from analysis.runs.store import Run
    from detector.core import Detector


def detector_of(
    stored: Run, otherwise: str = "the verdicts rest on the detections the run kept"
) -> Detector | None:
    """Load the run's own detector. Where that is not possible, print the reason and its consequence and
    return None.

    Args:
        otherwise: what happens without the detector, the end of the printed sentence.
    """
    record, spec = stored.manifest.detector, spec_of(stored.manifest)
    if spec is None:
        say(f"The run does not say how to load its detector: {otherwise}.")
        return None
    from detector import load_dataset, load_detector

    options: dict[str, Any] = dict(spec["options"])
    try:
        if spec["data"]:
            options["dataset"] = load_dataset(spec["data"])
        with without_native_chatter():
            detector = load_detector(spec["model"], **options)
    except BoxscopeError as error:
        say(f"The run's detector cannot be loaded ({error}): {otherwise}.")
        return None
    if detector.info.weights_hash != record.weights_hash:
        say(f"The detector has changed since the run was made: {otherwise}.")
        return None
    return detector
