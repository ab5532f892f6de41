"""A push in its own process: `python -m analysis.fiftyone.push.process RUN [--name ...]`, JSON lines on
standard output.

Lines: {"event": "stage", "message"}, {"event": "progress", "done", "total", "stage", "rate", "seconds_left"},
and at the end {"event": "done", "report"} or {"event": "error", "kind", "message"}.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from analysis.fiftyone.service.child import serve
from analysis.fiftyone.service.links import DEFAULT_PAGES


def _threshold(text: str) -> Any:
    """A number, or a JSON object {class name: number}."""
    value = json.loads(text)
    if not isinstance(value, (int, float, dict)) or isinstance(value, bool):
        raise ValueError
    return value


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="python -m analysis.fiftyone.push.process", description="Push a stored run to FiftyOne."
    )
    out.add_argument("run", help="folder of a stored run")
    out.add_argument(
        "--name", help="the FiftyOne data set; without it, the run's name and six digits of its identity"
    )
    out.add_argument(
        "--threshold", type=_threshold, default=0.5, help='confidence, or a JSON object {"car": 0.4, ...}'
    )
    out.add_argument("--iou", type=float, default=0.5)
    out.add_argument(
        "--lowest", type=float, default=0.05, help="detections with a lower score are not pushed"
    )
    out.add_argument(
        "--pages", default=DEFAULT_PAGES, help="where Boxscope's app answers, for links back; '' for none"
    )
    out.add_argument("--eval-key", default="eval")
    out.add_argument("--no-figures", action="store_true", help="leave AP out")
    out.add_argument(
        "--discard-edits", action="store_true", help="overwrite ground truth that was edited in FiftyOne"
    )
    out.add_argument("--heatmaps", action="store_true", help="write confidence maps as Heatmap labels")
    out.add_argument(
        "--evidence", help="a folder of maps that boxscope explain wrote, to go along as Heatmap labels"
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
            name=options.name,
            threshold=options.threshold,
            iou=options.iou,
            lowest=options.lowest,
            pages=options.pages,
            eval_key=options.eval_key,
            figures=not options.no_figures,
            discard_edits=options.discard_edits,
            heatmaps=options.heatmaps,
            evidence=options.evidence,
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
