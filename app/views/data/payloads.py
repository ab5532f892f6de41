"""What the page *Data* shows of a data set, as plain values for its parts. Knows no widgets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.datasets.anchor_reach import Part, Reach
from analysis.datasets.doctor import Diagnosis, Finding
from analysis.datasets.summary import Summary
from app.files import crops, pictures
from app.files.sources import open_data
from detector.data.dataset import Dataset
from detector.errors import BoxscopeError

if TYPE_CHECKING:
    from analysis.runs.store import Run

PAIRS = ("labelled twice", "two classes on one box")
"""Findings whose places are pairs of boxes: one crop shows both."""
TILE_BOXES = 60


def dataset_of_run(run: Run) -> Dataset:
    """The data set a run was made over: read again where it lies unchanged, so that files and lines are
    known; else as the run remembers it."""
    m = run.manifest.dataset
    try:
        if m.source and Path(m.source).exists():
            again = open_data(m.source)
            if again.fingerprint == m.fingerprint:
                again.name = m.name
                return again
    except BoxscopeError:
        pass
    return Dataset(
        name=m.name,
        format=m.format,
        source=m.source,
        class_map=run.class_map,
        sample_ids=run.sample_ids,
        files=run.files,
        sizes=run.sizes,
        labelled=run.labelled,
        objects=run.truth,
        splits=run.splits,
        problems=run.problems,
        loader=None if all(run.files) else run.load_image,
    )


def key_of(dataset: Dataset) -> str:
    """Changes when what a page says of the data set could: content, splits, problems, and where it lies."""
    rest = json.dumps([dataset.source, [s or "" for s in dataset.splits], len(dataset.problems)])
    return (
        f"{dataset.fingerprint[:24]}-{hashlib.sha1(rest.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"
    )


def class_rows(summary: Summary, selected: str | None) -> dict[str, Any]:
    """Classes by their number of objects, for `bar_rows`."""
    most = max((c.objects for c in summary.classes), default=0) or 1
    splits = [s for s in summary.splits if s]
    rows = []
    for c in sorted(summary.classes, key=lambda c: (-c.objects, c.name)):
        of_splits = " · ".join(f"{s} {c.splits.get(s, 0):,}" for s in splits)
        rows.append(
            {
                "id": c.name,
                "name": c.name,
                "note": of_splits if len(splits) > 1 else "",
                "count": f"{c.objects:,}",
                "count_note": "",
                "bar": c.objects / most,
                "low": None,
                "verdict": "plain",
                "value": f"{c.images:,}",
                "value_note": "",
                "title": (
                    f"{c.name}: {c.objects:,} objects in {c.images:,} images"
                    + (f", {c.crowds:,} crowds" if c.crowds else "")
                ),
                "disabled": not c.objects,
            }
        )
    return {
        "head": ["Class", "Objects", "", "Images"],
        "rows": rows,
        "selected": selected,
        "line": None,
        "foot": "",
    }


@dataclass(frozen=True)
class ReachRow:
    """One row of the page's table of reach: `name` is a class, a size, or "all"."""

    part: Part
    kind: str


def reach_rows(reach: Reach, kind: str, selected: str | None) -> dict[str, Any]:
    """What anchors reach by "classes" or "sizes", the least reached first (sizes in their order), for
    `bar_rows`.
    """
    parts = (
        sorted(reach.classes, key=lambda p: (p.ceiling or 0, -p.objects))
        if kind == "classes"
        else [p for p in reach.sizes if p.objects]
    )
    rows = [
        {
            "id": p.name,
            "name": p.name,
            "note": "",
            "count": f"{p.objects:,}",
            "count_note": "",
            "bar": p.ceiling or 0,
            "low": None,
            "verdict": "plain",
            "value": percent(p),
            "value_note": "",
            "title": f"{p.reached:,} of {p.objects:,} are reached",
            "disabled": p.reached == p.objects,
        }
        for p in (*([reach.whole] if kind == "classes" and len(parts) > 1 else []), *parts)
    ]
    return {
        "head": ["Class" if kind == "classes" else "Size at the input", "Objects", "", "Reached"],
        "rows": rows,
        "selected": selected,
        "line": None,
        "foot": "",
    }


def percent(part: Part) -> str:
    return "–" if part.ceiling is None else f"{100 * part.ceiling:.1f} %"


def finding_rows(diagnosis: Diagnosis, selected: str | None) -> dict[str, Any]:
    return {
        "findings": [
            {k: getattr(f, k) for k in ("kind", "severity", "count", "sentence", "advice", "fixable")}
            for f in diagnosis.findings
        ],
        "selected": selected,
    }


def boxes_of_finding(finding: Finding) -> list[tuple[int, ...]]:
    """Groups of object rows, one a crop: a pair, or a box."""
    if finding.kind in PAIRS:
        return [place.objects for place in finding.places if place.objects]
    return [(k,) for place in finding.places for k in place.objects]


def images_of_finding(dataset: Dataset, finding: Finding) -> list[tuple[int, str]]:
    """(image, note) in the order of the places; copies of one picture stand beside each other, numbered."""
    groups = [place.rows for place in finding.places if place.rows]
    if not any(word in finding.kind for word in ("copy", "copies", "leak")):
        return [(i, dataset.splits[i] or "") for i in finding.rows]
    return [
        (i, " · ".join(x for x in (f"#{n}", dataset.splits[i] or "") if x))
        for n, rows in enumerate(groups, 1)
        for i in rows
    ]


def tiles_payload(dataset: Dataset, shown: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """Whole images with their objects for the grid; ids are places in `shown`, as an image may stand there
    twice.
    """
    urls, errors, tiles = [], [], []
    for (i, note), content in zip(shown, pictures.tiles(dataset, [i for i, _ in shown])):
        broken = isinstance(content, str)
        urls.append("" if broken else pictures.publish(content, "image/jpeg", f"data-{len(urls)}"))
        errors.append(content if broken else "")
        t, rows = dataset.objects, range(dataset.offsets[i], dataset.offsets[i + 1])
        rows = list(rows)[:TILE_BOXES]
        width, height = (int(v) for v in dataset.sizes[i])
        tiles.append(
            json.dumps(
                {
                    "id": str(len(tiles)),
                    "name": pictures.name_of(dataset, i),
                    "width": width or 1,
                    "height": height or 1,
                    "judged": False,
                    "note": note,
                    "truth": {
                        "judged": False,
                        "box": [[round(float(v)) for v in t.xyxy[k]] for k in rows],
                        "cls": [int(t.class_ids[k]) for k in rows],
                    },
                },
                separators=(",", ":"),
            )
        )
    return {
        "tiles": tiles,
        "urls": urls,
        "errors": errors,
        "threshold": 0.5,
        "cuts": None,
        "shown": None,
        "picked": [],
        "plain": True,
    }


def crops_payload(
    dataset: Dataset, groups: Sequence[tuple[int, ...]], first: int = 0, values: dict[int, str] | None = None
) -> dict[str, Any]:
    """Crops around boxes for the strip; `id` is the place in `groups`.

    Args:
        values: by object, what stands beside its class instead of its size in pixels.
    """
    t, names = dataset.objects, dataset.class_map.names
    drawn = []
    for n, objects in enumerate(groups[first : first + crops.PAGE], first):
        i = int(t.rows[objects[0]])
        width, height = (int(v) for v in dataset.sizes[i])
        boxes = t.xyxy[list(objects)]
        size = (
            (width, height)
            if width and height
            else (max(1, int(boxes[:, 2].max())), max(1, int(boxes[:, 3].max())))
        )
        drawn.append((n, i, objects, boxes, crops.window(boxes, size)))
    files = crops.crop_files(dataset, [(i, place) for _, i, _, _, place in drawn])
    out = []
    for (n, i, objects, boxes, place), content in zip(drawn, files):
        left, top, right, bottom = place
        x1, y1, x2, y2 = (float(v) for v in boxes[0])
        name = " / ".join(dict.fromkeys(names[t.class_ids[k]] for k in objects))
        beside = (values or {}).get(int(objects[0])) or f"{x2 - x1:.0f}x{y2 - y1:.0f}"
        out.append(
            {
                "id": n,
                "url": (
                    pictures.publish(content, "image/jpeg", f"data-crop-{n}")
                    if isinstance(content, bytes)
                    else ""
                ),
                "error": "" if isinstance(content, bytes) else content,
                "width": right - left,
                "height": bottom - top,
                "where": pictures.name_of(dataset, i),
                "name": name,
                "score": beside,
                "title": f"{name}, {x2 - x1:.0f}x{y2 - y1:.0f} pixels",
                "boxes": [
                    {
                        "box": [
                            round(float(b[0]) - left, 1),
                            round(float(b[1]) - top, 1),
                            round(float(b[2] - b[0]), 1),
                            round(float(b[3] - b[1]), 1),
                        ],
                        "verdict": "object",
                        "dashed": True,
                        "quiet": k > 0,
                    }
                    for k, b in enumerate(boxes)
                ],
            }
        )
    return {"crops": out}
