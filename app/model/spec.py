"""How to load again the detector that made a run: what `app.model.process` needs to answer for it."""

from __future__ import annotations

from typing import Any

from analysis.runs.manifest import Manifest


def spec_of(manifest: Manifest) -> dict[str, Any] | None:
    """The spec of the run's detector, or None where its manifest does not say enough (results from a
    file).
    """
    detector = manifest.detector
    if detector.kind == "fake":
        options = {
            k: v
            for k, v in detector.settings.items()
            if k in ("seed", "miss", "faint", "shift", "confuse", "duplicate", "background")
        }
        return {"model": "fake:", "data": manifest.dataset.source, "options": options}
    if not detector.source or detector.kind == "predictions":
        return None
    options = {
        key: tuple(value) if isinstance(value, list) and key != "labels" else value
        for key, value in detector.loaded_with.items()  # JSON has lists where Python has (low, high)
    }
    # A sliding-window detector's settings may differ from those in its folder, and decide its hash.
    if detector.kind == "sliding_window":
        options |= detector.settings
    return {"model": detector.source, "data": None, "options": options}
