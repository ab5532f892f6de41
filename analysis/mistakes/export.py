"""A run's detections for other tools: COCO results json, CSV, YOLO text files.

Every export has a file `about.json` (CSV: `<name>.about.json`) beside it with the operating point: detector
and hash, data set and fingerprint, the run's score floor, the confidence threshold of the export, and what
was left out. No matching takes place. Numbers are written with nine digits, which give every float32 back
exactly. Files are seen whole or not at all; a folder appears under its name only when it is complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from analysis.csv_text import csv_text
from analysis.matching.operating_point import Threshold, class_thresholds
from analysis.runs.manifest import now
from analysis.runs.store import Run
from analysis.runs.tables import DetectionTable
from detector.core import FLAGS
from detector.errors import InputError
from detector.paths import write_atomically

FORMATS = ("coco", "csv", "yolo")
CSV_COLUMNS = ("sample", "file", "image_width", "image_height", "class", "score", "x1", "y1", "x2", "y2")


def export_run(
    run: Run,
    out: str | Path,
    format: str,
    *,
    threshold: Threshold = 0.0,
    classes: Sequence[str] | None = None,
) -> Path:
    """Write a run's detections; see `write_coco`, `write_csv`, `write_yolo` for what each makes of `out`.

    Args:
        threshold: scores below it are left out: one number, or one per class.
        classes: only these names; None for all.

    Raises:
        InputError: an unknown format or class, a threshold that is not one, or `out` is there already.
    """
    if format not in FORMATS:
        raise InputError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}.")
    writer = {"coco": write_coco, "csv": write_csv, "yolo": write_yolo}[format]
    return writer(run, out, threshold=threshold, classes=classes)


def chosen(run: Run, threshold: Threshold, classes: Sequence[str] | None) -> DetectionTable:
    """The detections of these classes at or above the threshold, compared in float32 as everywhere."""
    table = run.detections
    keep = table.scores >= class_thresholds(threshold, len(run.class_map))[table.class_ids]
    return table.take(keep & np.isin(table.class_ids, run.class_map.indices(classes)))


def about(
    run: Run, table: DetectionTable, threshold: Threshold, classes: Sequence[str] | None, **more: Any
) -> dict[str, Any]:
    """What a reader of the export must know."""
    m = run.manifest
    thresholds = np.asarray(threshold, float)
    return {
        "run": m.name,
        "state": m.state,
        "detector": m.detector.name,
        "weights_hash": m.detector.weights_hash,
        "simulated": m.detector.simulated,
        "dataset": m.dataset.name,
        "fingerprint": m.dataset.fingerprint,
        "floor": m.floor,
        "floor_note": m.floor_note,
        "threshold": float(thresholds)
        if thresholds.ndim == 0
        else dict(zip(run.class_map.names, thresholds.tolist())),
        "classes": list(run.class_map.names if classes is None else classes),
        "matcher": None,
        "images": int(run.readable.sum()),
        "images_not_done": int((~run.done).sum()),
        "images_failed": dict(run.failed),
        "detections": len(table),
        "detections_left_out": len(run.detections) - len(table),
        "written": now(),
        **more,
    }


def image_ids(run: Run) -> list[int]:
    """The sample ids as numbers where all are whole numbers written plainly (COCO's own), else 1, 2, 3 ..."""
    if all(s.isascii() and s.isdigit() and str(int(s)) == s for s in run.sample_ids):
        return [int(s) for s in run.sample_ids]
    return list(range(1, len(run) + 1))


def _nine(values: np.ndarray) -> list[float]:
    return [float(f"{v:.9g}") for v in values.tolist()]


def _xywh(xyxy: np.ndarray) -> list[list[float]]:
    # The subtraction in float64, so that x + w gives x2 back.
    boxes = xyxy.astype(np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()


def write_coco(
    run: Run, out: str | Path, *, threshold: Threshold = 0.0, classes: Sequence[str] | None = None
) -> Path:
    """A folder with `detections.json` (COCO results) and, where images are labelled, `truth.json` over the
    same images.

    Detections in images that nobody labelled go to `detections_unlabelled.json`, because COCO takes every
    listed image for a labelled one and would count them all as false. Category ids are the class map's
    outside ids; image ids are the sample ids where these are whole numbers, else 1, 2, 3 ... in the run's
    order. Annotation ids are the data set's where they are distinct and above 0 (an id of 0 makes pycocotools
    lose a match), else 1, 2, 3 ...

    Returns:
        The folder.

    Raises:
        InputError: as `export_run`.
    """
    table, ids = chosen(run, threshold, classes), image_ids(run)
    outside = run.class_map.external_ids
    files: dict[str, Any] = {}
    labelled = run.labelled[table.rows]
    parts = (
        [("detections.json", labelled), ("detections_unlabelled.json", ~labelled)]
        if run.usable.any()
        else [("detections.json", np.ones(len(table), bool))]
    )
    for name, mask in parts:
        part = table.take(mask)
        columns = zip(part.rows.tolist(), part.class_ids.tolist(), _xywh(part.xyxy), _nine(part.scores))
        records = [
            {"image_id": ids[row], "category_id": outside[c], "bbox": box, "score": score}
            for row, c, box, score in columns
        ]
        if records or name == "detections.json":
            files[name] = records
    if run.usable.any():
        files["truth.json"] = _truth(run, ids, classes)
    files["about.json"] = about(
        run,
        table,
        threshold,
        classes,
        files=sorted(files),
        sample_of_image_id=None if ids[:1] == run.sample_ids[:1] else dict(zip(ids, run.sample_ids)),
    )

    def fill(folder: Path) -> None:
        for name, content in files.items():
            write_atomically(
                folder / name, json.dumps(content, indent=1 if name == "about.json" else None).encode()
            )

    return _whole_folder(Path(out), fill)


def _truth(run: Run, ids: list[int], classes: Sequence[str] | None) -> dict[str, Any]:
    t = run.truth
    kept = run.class_map.indices(classes)
    rows = np.flatnonzero(run.usable[t.rows] & np.isin(t.class_ids, kept))
    own = t.ids[rows]
    numbers = own if len(np.unique(own)) == len(own) and (own > 0).all() else np.arange(1, len(own) + 1)
    boxes = _xywh(t.xyxy[rows])
    annotations = []
    for k, (row, number, box) in enumerate(zip(rows.tolist(), numbers.tolist(), boxes)):
        area = float(t.area[row])
        annotations.append(
            {
                "id": number,
                "image_id": ids[t.rows[row]],
                "category_id": run.class_map.external_ids[t.class_ids[row]],
                "bbox": box,
                "area": area if np.isfinite(area) else boxes[k][2] * boxes[k][3],
                "iscrowd": int(t.crowd[row]),
            }
            | {flag: True for flag in FLAGS[1:] if getattr(t, flag)[row]}
        )
    images = [
        {
            "id": ids[i],
            "file_name": _plain(run.files[i] or run.sample_ids[i]),
            "width": run.image_size(i)[0],
            "height": run.image_size(i)[1],
        }
        for i in np.flatnonzero(run.usable).tolist()
    ]
    categories = [{"id": run.class_map.external_ids[k], "name": run.class_map.names[k]} for k in kept]
    return {
        "info": {"description": run.manifest.dataset.name},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def write_csv(
    run: Run, out: str | Path, *, threshold: Threshold = 0.0, classes: Sequence[str] | None = None
) -> Path:
    """One row a detection, columns `CSV_COLUMNS`, pixels of the upright picture; `<out>.about.json` beside
    it.

    Raises:
        InputError: as `export_run`.
    """
    out, table = Path(out), chosen(run, threshold, classes)
    _refuse(out)
    boxes, lines = table.xyxy.tolist(), []
    for row, c, score, box in zip(
        table.rows.tolist(), table.class_ids.tolist(), table.scores.tolist(), boxes
    ):
        lines.append(
            [
                run.sample_ids[row],
                run.files[row],
                *run.image_size(row),
                run.class_map.names[c],
                f"{score:.9g}",
                *(f"{v:.9g}" for v in box),
            ]
        )
    write_atomically(
        out.with_name(out.name + ".about.json"),
        json.dumps(about(run, table, threshold, classes), indent=1).encode(),
    )
    write_atomically(out, csv_text(CSV_COLUMNS, lines).encode("utf-8", "surrogateescape"))
    return out


def write_yolo(
    run: Run, out: str | Path, *, threshold: Threshold = 0.0, classes: Sequence[str] | None = None
) -> Path:
    """A folder with `labels/<image>.txt` (class, centre x, centre y, width, height normalised, score) and
    `data.yaml`.

    An image in which nothing was found gets an empty file; one that is not done or could not be read gets
    none. Label files follow the sample ids, sub-folders kept; where two would fall together they are
    numbered.

    Raises:
        InputError: as `export_run`.
    """
    import yaml

    table = chosen(run, threshold, classes)
    names = _label_names(run)

    def fill(folder: Path) -> None:
        for i in np.flatnonzero(run.readable).tolist():
            found = table.of(i)
            frame = np.array(run.image_size(i) * 2, np.float64)
            box = table.xyxy[found].astype(np.float64) / frame
            centre, size = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
            rows = np.concatenate([centre, size, table.scores[found, None]], axis=1)
            lines = [
                f"{c} " + " ".join(f"{v:.9g}" for v in row) + "\n"
                for c, row in zip(table.class_ids[found].tolist(), rows.tolist())
            ]
            path = folder / "labels" / names[i]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(lines))  # the folder as a whole is what appears at once
        settings = {"names": dict(enumerate(run.class_map.names))}
        write_atomically(
            folder / "data.yaml", yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).encode()
        )
        labels = {run.sample_ids[i]: f"labels/{names[i]}" for i in np.flatnonzero(run.readable).tolist()}
        content = about(run, table, threshold, classes, columns="class cx cy w h score", labels=labels)
        write_atomically(folder / "about.json", json.dumps(content, indent=1).encode())

    return _whole_folder(Path(out), fill)


def _label_names(run: Run) -> list[str]:
    names, taken = [], set()
    for sample_id in run.sample_ids:
        parts = [
            p for p in PurePosixPath(_plain(sample_id).replace("\\", "/")).parts if p not in ("/", "..", ".")
        ]
        inner = "/".join(parts) or "image"
        stem = os.path.splitext(inner)[0]
        name, number = stem, 2
        while name.casefold() in taken:
            name, number = f"{stem}_{number}", number + 1
        taken.add(name.casefold())
        names.append(f"{name}.txt")
    return names


def _refuse(out: Path, empty_folder: bool = False) -> None:
    if out.exists() and not (empty_folder and out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} is there already; choose another name, or remove it first.")


def _whole_folder(out: Path, fill: Callable[[Path], None]) -> Path:
    _refuse(out, empty_folder=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        fill(temporary)
        os.replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out
