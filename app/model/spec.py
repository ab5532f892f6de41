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
    # A sliding-window detector's settings may differ from those in its folder, and decide its hash.
    options = dict(detector.settings) if detector.kind == "sliding_window" else {}
    return {"model": detector.source, "data": None, "options": options}
