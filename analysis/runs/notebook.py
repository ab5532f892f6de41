"""A run as a notebook shows it."""

from __future__ import annotations

from typing import Any

from detector.bridges import notebook


def run_table(run: Any) -> str:
    """HTML of a `RunReader`: what was run on what, how far, and what is in it. (Any: a run's own class calls
    this.)
    """
    m = run.manifest
    rows = [
        ("state", m.state),
        ("images done", f"{int(run.done.sum()):,} of {len(run):,}"),
        ("images that failed", len(run.failed)),
        ("detections", run.detection_count),
        ("objects", run.object_count),
        ("classes", len(run.class_names)),
        ("detector", m.detector.name + (" (simulated)" if m.detector.simulated else "")),
        ("data set", m.dataset.name),
        ("score floor", float(m.floor)),
    ]
    return notebook.table(f"Run {m.name}", (), rows)
