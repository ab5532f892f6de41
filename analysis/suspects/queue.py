"""Suspects as a queue for a labelling tool: COCO for CVAT and FiftyOne, tasks for Label Studio, CSV for
anything.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.csv_text import csv_text
from analysis.suspects.decisions import DECISIONS
from analysis.suspects.finding import Suspect
from detector.errors import InputError
from detector.paths import write_atomically

FORMATS = ("csv", "coco", "labelstudio")
COLUMNS = (
    "key",
    "kind",
    "suspicion",
    "sample",
    "label_class",
    "seen_class",
    "x1",
    "y1",
    "x2",
    "y2",
    "score",
    "iou",
    "counts",
    "worth",
    "decision",
    "reason",
)


def write_queue(
    run: Any,
    suspects: Sequence[Suspect],
    decisions: Mapping[str, Mapping[str, Any]],
    path: str | Path,
    how: str,
) -> None:
    """Write suspects, the most suspicious first.

    Args:
        how: "csv"; "coco" (one annotation per suspect: category is the kind, with the label's and the
            detector's name in `attributes`; CVAT and FiftyOne read it); "labelstudio" (one task per image,
            boxes as predictions).

    Raises:
        InputError: another format.
    """
    if how not in FORMATS:
        raise InputError(f"queue: expected one of {', '.join(FORMATS)}, got {how!r}.")
    text = {"csv": _csv, "coco": _coco, "labelstudio": _label_studio}[how](run, suspects, decisions)
    write_atomically(path, text.encode())


def _decision(s: Suspect, decisions: Mapping[str, Mapping[str, Any]]) -> str:
    return decisions[s.key]["decision"] if s.key in decisions else ""


def _csv(run: Any, suspects: Sequence[Suspect], decisions: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for s in suspects:
        row = {name: getattr(s, name) for name in COLUMNS if hasattr(s, name)}
        corners = dict(zip(("x1", "y1", "x2", "y2"), (round(v, 2) for v in s.xyxy)))
        line = {**row, **corners, "decision": _decision(s, decisions)}
        rows.append([line.get(name) for name in COLUMNS])
    return csv_text(COLUMNS, rows)


def _coco(run: Any, suspects: Sequence[Suspect], decisions: Mapping[str, Mapping[str, Any]]) -> str:
    rows = list(dict.fromkeys(s.row for s in suspects))
    kinds = list(dict.fromkeys(s.kind for s in suspects))
    images = []
    for i, row in enumerate(rows, 1):
        w, h = (int(v) for v in run.sizes[row])
        images.append({"id": i, "file_name": _file(run, row), "width": w, "height": h})
    annotations = [
        {
            "id": n,
            "image_id": rows.index(s.row) + 1,
            "category_id": kinds.index(s.kind) + 1,
            "bbox": [s.xyxy[0], s.xyxy[1], s.xyxy[2] - s.xyxy[0], s.xyxy[3] - s.xyxy[1]],
            "area": (s.xyxy[2] - s.xyxy[0]) * (s.xyxy[3] - s.xyxy[1]),
            "iscrowd": 0,
            "attributes": {
                "key": s.key,
                "label": s.label_class,
                "seen": s.seen_class,
                "suspicion": round(s.suspicion, 4),
                "decision": _decision(s, decisions),
            },
        }
        for n, s in enumerate(suspects, 1)
    ]
    categories = [{"id": i, "name": name} for i, name in enumerate(kinds, 1)]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories}, indent=1)


def _label_studio(run: Any, suspects: Sequence[Suspect], decisions: Mapping[str, Mapping[str, Any]]) -> str:
    tasks = []
    for row in dict.fromkeys(s.row for s in suspects):
        w, h = (max(1, int(v)) for v in run.sizes[row])
        results = [
            {
                "id": s.key,
                "type": "rectanglelabels",
                "from_name": "label",
                "to_name": "image",
                "original_width": w,
                "original_height": h,
                "score": s.suspicion,
                "value": {
                    "x": 100 * s.xyxy[0] / w,
                    "y": 100 * s.xyxy[1] / h,
                    "width": 100 * (s.xyxy[2] - s.xyxy[0]) / w,
                    "height": 100 * (s.xyxy[3] - s.xyxy[1]) / h,
                    "rotation": 0,
                    "rectanglelabels": [s.kind],
                },
                "meta": {"text": [s.reason]},
            }
            for s in suspects
            if s.row == row
        ]
        tasks.append({"data": {"image": _file(run, row)}, "predictions": [{"result": results}]})
    return json.dumps(tasks, indent=1, ensure_ascii=False)


def _file(run: Any, row: int) -> str:
    return run.files[row] or run.sample_ids[row]


def read_queue(path: str | Path) -> dict[str, str]:
    """Decisions that come home in the CSV: key -> decision; rows without one are left out.

    Raises:
        InputError: a column is missing, or a decision is none of the known ones; the line is named.
    """
    out: dict[str, str] = {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"key", "decision"} <= set(reader.fieldnames or ()):
            raise InputError(f"{path}: expected the columns key and decision, got {reader.fieldnames}.")
        for row in reader:
            decision = (row["decision"] or "").strip()
            if decision and decision not in DECISIONS:
                raise InputError(
                    f"{path}, line {reader.line_num}: expected one of {', '.join(DECISIONS)}, got"
                    f" {decision!r}."
                )
            if decision:
                out[row["key"]] = decision
    return out
