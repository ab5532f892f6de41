"""A push in its own process: `python -m analysis.fiftyone.push.process RUN [--options JSON]`, JSON lines on
standard output.

Lines: {"event": "stage", "message"}, {"event": "progress", "done", "total", "stage", "rate", "seconds_left"},
and at the end {"event": "done", "report"} or {"event": "error", "kind", "message"}.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from analysis.fiftyone.push.options import PushOptions
from analysis.fiftyone.service.child import serve


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="python -m analysis.fiftyone.push.process", description="Push a stored run to FiftyOne."
    )
    out.add_argument("run", help="folder of a stored run")
    out.add_argument(
        "--options", type=PushOptions.from_process, default=PushOptions(), help="PushOptions as JSON"
    )
    out.add_argument("--columns", help="an .npz of more label columns: detections.NAME and truth.NAME")
    return out


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)

    def job(say: Callable[[str, Mapping[str, Any]], None], should_stop: Callable[[], bool]) -> dict[str, Any]:
        from analysis.fiftyone.push.run import push_run
        from analysis.runs.store import open_run

        say("stage", {"message": "Reading the run"})
        columns = _read_columns(options.columns)
        report = push_run(
            open_run(options.run),
            options.options,
            detection_columns=columns["detections"],
            truth_columns=columns["truth"],
            should_stop=should_stop,
            stage=lambda message: say("stage", {"message": message}),
            progress=lambda p: say(
                "progress",
                {
                    "done": p.done,
                    "total": p.total,
                    "stage": p.stage,
                    "rate": p.rate,
                    "seconds_left": p.seconds_left,
                },
            ),
        )
        return report.to_dict()

    return serve(job)


def _read_columns(path: str | None) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {"detections": {}, "truth": {}}
    if path:
        import numpy as np

        with np.load(path, allow_pickle=False) as content:
            for key in content.files:
                side, _, name = key.partition(".")
                out[side][name] = content[key]
    return out


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # FiftyOne's exit hooks would wait for a database that may be gone
