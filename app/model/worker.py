"""The process that holds detectors, so that TensorFlow never lives in the page's process.

Started by `app.model.process`; speaks (operation, spec, payload) over an authenticated local connection and
ends when the connection does. A spec is {"model": name, path or URL, "data": path or None, "options": {...}}.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from multiprocessing.connection import Client
from typing import Any

KEEP = 2
"""Detectors kept loaded; the one not used for longest goes first."""


def describe(info: Any) -> dict[str, Any]:
    """A DetectorInfo as plain values (its read-only mappings do not pickle)."""
    names = (
        "name",
        "kind",
        "class_map",
        "weights_hash",
        "input_size",
        "capabilities",
        "simulated",
        "source",
        "notes",
    )
    mappings = {"settings": dict(info.settings), "loaded_with": dict(info.loaded_with)}
    return {name: getattr(info, name) for name in names} | mappings


def columns(value: Any) -> dict[str, Any]:
    """Detections or Candidates as their fields."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


class Worker:
    def __init__(self) -> None:
        self.detectors: OrderedDict[str, Any] = OrderedDict()
        self._evidence: Any = None

    def detector(self, spec: dict[str, Any]) -> Any:
        key = repr(sorted(spec.items(), key=str))
        if key not in self.detectors:
            from detector import load_dataset, load_detector

            options = dict(spec.get("options") or {})
            if spec.get("data"):
                options["dataset"] = load_dataset(spec["data"])
            self.detectors[key] = load_detector(spec["model"], **options)
            while len(self.detectors) > KEEP:
                self.detectors.popitem(last=False)
        self.detectors.move_to_end(key)
        return self.detectors[key]

    def handle(self, operation: str, spec: dict[str, Any], images: list | None) -> Any:
        if operation == "pid":
            return os.getpid()
        if operation == "loaded":
            return repr(sorted(spec.items(), key=str)) in self.detectors
        detector = self.detector(spec)
        if operation == "info":
            return describe(detector.info)
        if operation in ("detect", "candidates"):
            return [columns(found) for found in getattr(detector, operation)(images)]
        if operation == "evidence":
            if self._evidence is None:
                from app.model.heat_map_job import HeatMapJobs

                self._evidence = HeatMapJobs()
            return self._evidence.step(detector, images)
        raise ValueError(f"unknown operation {operation!r}")


def main() -> None:
    from detector.errors import BoxscopeError

    address = sys.argv[1]
    connection = Client(address, authkey=sys.stdin.buffer.read())
    worker = Worker()
    while True:
        try:
            operation, spec, images = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer = ("ok", worker.handle(operation, spec, images))
        except BoxscopeError as error:
            answer = ("error", (type(error).__name__, error.message, error.path, error.line))
        except Exception as error:
            answer = ("fault", f"{type(error).__name__}: {error}")
        try:
            connection.send(answer)
        except (BrokenPipeError, OSError):
            return


if __name__ == "__main__":
    main()
