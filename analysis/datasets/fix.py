"""The mechanical half of fixing a data set: a written copy without its faults, and every change said.

What needs a person stays as it is: objects nobody drew, boxes off by a little, near-duplicates, copies that
are labelled differently. The data set that was read is never written to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.datasets.doctor import Diagnosis
from analysis.datasets.duplicates import describe_rows
from analysis.datasets.findings import Finding
from analysis.datasets.kinds import kind_of
from analysis.datasets.rules.boxes import overlapping
from analysis.datasets.rules.copies import same_labels
from analysis.datasets.rules.places import object_words
from detector.core import ClassMap
from detector.data.dataset import Dataset
from detector.data.formats import writing as writers
from detector.data.formats.class_names import plain_name
from detector.errors import InputError
from detector.paths import write_atomically

FORMATS = ("coco", "voc", "yolo", "csv")
RECORD = "FIXES.json"
GONE = ("missing image", "unreadable image", "truncated image")
_KEPT_FIRST = {"test": 0, "val": 1}


@dataclass(frozen=True)
class Change:
    """One thing that the copy has otherwise: what kind of fault it fixes, one sentence, file and line of the
    original.
    """

    kind: str
    message: str
    path: str = ""
    line: int | None = None

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self.message}" if where else self.message


def fix(
    dataset: Dataset, diagnosis: Diagnosis, *, label_map: ClassMap | None = None
) -> tuple[Dataset, list[Change]]:
    """The data set with its mechanical faults fixed, and each change.

    Boxes that its reader left out or clipped are so in the copy. Beyond that: pictures that cannot be read
    are taken out, class names that differ only by case, blanks, - or _ become one (the label map's spelling,
    else the commonest), exact repeats of a box are dropped, of exact copies of a picture with the same
    objects one is kept (that of test before that of val before that of train), and sizes become the pictures'
    own, boxes clipped to them.
    """
    changes = [
        Change(f.kind, place.message, place.path, place.line)
        for f in diagnosis.findings
        if f.fixable and f.kind not in GONE and f.kind in _reader_kinds(dataset)
        for place in f.places
    ]
    dataset = _own_sizes(dataset, diagnosis, changes)
    dataset = _one_spelling(dataset, label_map, changes)
    repeats = _repeats(dataset, changes)
    gone = {
        i
        for kind in GONE
        if (finding := diagnosis.find(kind))
        for i in _said(finding, "taken out: ", changes)
    }
    gone |= _copies(dataset, diagnosis, gone, changes)
    keep = ~np.isin(np.arange(len(dataset.objects)), list(repeats))
    whole = _with(dataset, kept=np.flatnonzero(keep), objects=dataset.objects.take(keep))
    rows = np.array([i for i in range(len(dataset)) if i not in gone], np.int64)
    return (whole.subset(rows) if gone else whole), changes


def write_fixed(
    dataset: Dataset,
    diagnosis: Diagnosis,
    out: str | Path,
    *,
    format: str | None = None,
    label_map: ClassMap | None = None,
) -> list[Change]:
    """Write the fixed copy with its pictures, and beside it `FIXES.json` with every change and what is left
    to a person.

    Args:
        out: a folder that is not there yet, or empty, outside the data set.
        format: one of `FORMATS`; None takes the data set's own, else COCO.

    Returns:
        The changes; the last ones name what the format could not carry.

    Raises:
        InputError: nothing is labelled, the folder holds something or lies within the data set, or the format
            is unknown.
    """
    out, source = Path(os.path.abspath(out)), Path(os.path.abspath(dataset.source))
    kind = format or (dataset.format if dataset.format in FORMATS else "coco")
    if kind not in FORMATS:
        raise InputError(f"fix: expected one of {', '.join(FORMATS)}, got {kind!r}.")
    if not dataset.labelled.any():
        raise InputError(
            f"fix: expected a labelled data set; none of the {len(dataset)} images of {dataset.name} is"
            " labelled."
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"fix: expected a folder that is not there yet, or an empty one; {out} holds something."
        )
    if out == source or (source.is_dir() and source in out.parents):
        raise InputError(f"fix: expected a folder outside the data set {source}, got {out}.")
    fixed, changes = fix(dataset, diagnosis, label_map=label_map)
    changes += [
        Change(p.kind, p.message, p.path, p.line) for p in getattr(writers, f"write_{kind}")(fixed, out)
    ]
    left = [
        {"kind": f.kind, "severity": f.severity, "count": f.count, "sentence": f.sentence, "advice": f.advice}
        for f in diagnosis.findings
        if not f.fixable
    ]
    record = {
        "source": str(source),
        "format": kind,
        "images": {"before": len(dataset), "after": len(fixed)},
        "objects": {"before": len(dataset.objects), "after": len(fixed.objects)},
        "changes": [asdict(c) for c in changes],
        "left_to_a_person": left,
    }
    write_atomically(
        out / RECORD,
        (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape"),
    )
    return changes


def _reader_kinds(dataset: Dataset) -> set[str]:
    return {p.kind for p in dataset.problems if kind_of(p.kind).fixable}


def _with(dataset: Dataset, *, kept: np.ndarray | None = None, **changes: Any) -> Dataset:
    """The same data set with some columns replaced; `kept` are the rows of its object table that are left,
    None all.
    """
    same = {
        name: getattr(dataset, name)
        for name in (
            "name",
            "format",
            "source",
            "class_map",
            "sample_ids",
            "files",
            "sizes",
            "labelled",
            "objects",
            "splits",
            "problems",
        )
    }
    place = dataset.place_of if kept is None else lambda k: dataset.place_of(int(kept[k]))
    return Dataset(
        **same | changes, loader=dataset.load_image if not all(dataset.files) else None, place=place
    )


def _said(finding: Finding, words: str, changes: list[Change]) -> list[int]:
    changes += [
        Change(finding.kind, words + place.message, place.path, place.line)
        for place in finding.places
        if place.rows
    ]
    return finding.rows


def _own_sizes(dataset: Dataset, diagnosis: Diagnosis, changes: list[Change]) -> Dataset:
    look = diagnosis.look
    if look is None:
        return dataset
    differ = look.read & (dataset.sizes != look.sizes).any(axis=1) & (dataset.sizes > 0).all(axis=1)
    if not differ.any():
        return dataset
    sizes = np.where(differ[:, None], look.sizes, dataset.sizes)
    t = dataset.objects
    limit = np.tile(np.where(sizes > 0, sizes, np.iinfo(np.int32).max)[t.rows], 2).astype(np.float32)
    clipped = np.where(differ[t.rows][:, None], np.clip(t.xyxy, 0, limit), t.xyxy)
    flat = (clipped[:, 2] <= clipped[:, 0]) | (clipped[:, 3] <= clipped[:, 1])
    for i in np.flatnonzero(differ):
        (w, h), (a, b) = look.sizes[i], dataset.sizes[i]
        changes.append(
            Change(
                "wrong size",
                f"stated as {a}x{b} pixels, written as {w}x{h}; boxes were clipped to it.",
                dataset.files[i],
            )
        )
    for k in np.flatnonzero(flat):
        path, line = dataset.place_of(int(k))
        changes.append(
            Change(
                "box outside",
                f"{object_words(dataset, int(k))} lies outside the picture's own size; dropped.",
                path,
                line,
            )
        )
    return _with(
        dataset,
        kept=np.flatnonzero(~flat),
        sizes=sizes,
        objects=replace(t, xyxy=np.where(flat[:, None], 0, clipped)).take(~flat),
    )


def _one_spelling(dataset: Dataset, label_map: ClassMap | None, changes: list[Change]) -> Dataset:
    old = dataset.class_map
    counts = np.bincount(dataset.objects.class_ids, minlength=len(old))
    wanted = {plain_name(name): name for name in label_map.names} if label_map is not None else {}
    groups: dict[str, list[int]] = {}
    for k, name in enumerate(old.names):
        groups.setdefault(
            name if name in wanted.values() else wanted.get(plain_name(name)) or plain_name(name), []
        ).append(k)
    names: list[str] = []
    ids: list[int] = []
    new = np.zeros(max(len(old), 1), np.int32)
    for key, members in sorted(groups.items(), key=lambda item: item[1][0]):
        first = max(members, key=lambda k: (counts[k], -k))
        name = key if key in wanted.values() else old.names[first]
        new[members] = len(names)
        names.append(name)
        ids.append(old.external_ids[first])
        changes += [
            Change(
                "similar class names",
                f"the class {old.names[k]!r} ({counts[k]:,} objects) is now {name!r}.",
                dataset.source,
            )
            for k in members
            if old.names[k] != name
        ]
    if tuple(names) == old.names:
        return dataset
    return _with(
        dataset,
        class_map=ClassMap(tuple(names), tuple(ids)),
        objects=replace(dataset.objects, class_ids=new[dataset.objects.class_ids]),
    )


def _repeats(dataset: Dataset, changes: list[Change]) -> set[int]:
    t, out = dataset.objects, set()
    for a, b, _ in overlapping(dataset, 1.0):
        if t.class_ids[a] == t.class_ids[b] and b not in out and (t.xyxy[a] == t.xyxy[b]).all():
            out.add(b)
            path, line = dataset.place_of(b)
            changes.append(
                Change(
                    "labelled twice",
                    f"{object_words(dataset, b)} repeats another; dropped.",
                    path or dataset.files[t.rows[b]],
                    line,
                )
            )
    return out


def _copies(dataset: Dataset, diagnosis: Diagnosis, gone: Iterable[int], changes: list[Change]) -> set[int]:
    out: set[int] = set()
    for group in diagnosis.copies:
        if group.kind == "near":
            continue
        rows = sorted(
            (i for i in group.rows if i not in out and i not in gone),
            key=lambda i: (_KEPT_FIRST.get(dataset.splits[i] or "", 2), i),
        )
        for i in rows[1:]:
            if same_labels(dataset, rows[0], i):
                out.add(i)
                changes.append(
                    Change(
                        "copy",
                        f"{describe_rows(dataset, (i,))} is the same picture as"
                        f" {describe_rows(dataset, (rows[0],))}, with the same objects; taken out.",
                        dataset.files[i] or dataset.sample_ids[i],
                    )
                )
    return out
