"""What people decided in FiftyOne, as a list of changes that can be looked at, applied, undone and kept in a
file.

A change names what was before and what is after; applying a list to the ground truth it was made from and
then its inverse gives the ground truth back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.runs.store import Run
from detector.core import FLAGS, ClassMap
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import DataError, InputError
from detector.paths import write_atomically

KINDS = ("class", "box", "class and box", "added", "deleted")


@dataclass(frozen=True)
class Truth:
    """A ground-truth object as a change sees it: class name, [x1, y1, x2, y2] in pixels, id, flags that are
    set.
    """

    label: str
    xyxy: tuple[float, float, float, float]
    id: int
    flags: tuple[str, ...] = ()
    area: float | None = None


@dataclass(frozen=True)
class Change:
    """One correction of the ground truth.

    Args:
        kind: one of `KINDS`.
        sample_id: the image.
        before, after: the object, None where it was added or deleted.
        how: "id" where the object was known by our id, "IoU 0.83" where it was recognised by its place.
        who: FiftyOne's open-source App has no users, so this names the data set it was read from.
        when: last change of the sample in FiftyOne, UTC, ISO 8601.
        file: the picture's name, by which the image is known where written annotations gave it another id.
    """

    kind: str
    sample_id: str
    before: Truth | None
    after: Truth | None
    how: str = "id"
    who: str = ""
    when: str = ""
    file: str = ""

    def __str__(self) -> str:
        if self.before is None:
            what = f"added a {self.after.label} at {_box(self.after)}"
        elif self.after is None:
            what = f"deleted the {self.before.label} at {_box(self.before)}"
        else:
            parts = (
                [f"{self.before.label} -> {self.after.label}"]
                if self.before.label != self.after.label
                else [self.before.label]
            )
            if self.before.xyxy != self.after.xyxy:
                parts.append(f"{_box(self.before)} -> {_box(self.after)}")
            what = ", ".join(parts)
        return f"{self.sample_id}: {what}"

    def inverse(self) -> Change:
        kind = {"added": "deleted", "deleted": "added"}.get(self.kind, self.kind)
        return replace(self, kind=kind, before=self.after, after=self.before)


@dataclass(frozen=True)
class Tagged:
    """Tags that people set: on an image (`side` "image"), a ground-truth object ("truth") or a detection.

    `object_id` is the annotation's id, or the detection's place in its image; None for an image or an added
    object.
    """

    side: str
    sample_id: str
    tags: tuple[str, ...]
    object_id: int | None = None
    label: str = ""
    xyxy: tuple[float, float, float, float] | None = None
    when: str = ""


@dataclass(frozen=True)
class ChangeList:
    """What a pull found.

    Args:
        dataset: the FiftyOne data set; run: the run's identity; fingerprint: of the annotations it compares
            with.
        changes: corrections of the ground truth; tags: what is tagged now.
        pulled: when, UTC.
    """

    dataset: str
    run: str
    fingerprint: str
    changes: tuple[Change, ...] = ()
    tags: tuple[Tagged, ...] = ()
    pulled: str = ""

    def counts(self) -> dict[str, int]:
        """Corrections by kind, and how many things carry each tag ("tag must-detect")."""
        tags = Counter(f"tag {tag}" for t in self.tags for tag in t.tags)
        return dict(Counter(c.kind for c in self.changes)) | dict(sorted(tags.items()))

    def inverse(self) -> ChangeList:
        """The list that undoes this one."""
        return replace(self, changes=tuple(c.inverse() for c in reversed(self.changes)))

    def save(self, path: str | Path) -> None:
        write_atomically(path, json.dumps(asdict(self), indent=1, ensure_ascii=False).encode())

    @classmethod
    def load(cls, path: str | Path) -> ChangeList:
        """Read a saved list.

        Raises:
            DataError: the file is missing or no change list.
        """
        try:
            content = json.loads(Path(path).read_text())
            changes = tuple(
                Change(**c | {"before": _truth(c["before"]), "after": _truth(c["after"])})
                for c in content.pop("changes")
            )
            tags = tuple(
                Tagged(**t | {"tags": tuple(t["tags"]), "xyxy": _four(t["xyxy"])})
                for t in content.pop("tags")
            )
            return cls(**content, changes=changes, tags=tags)
        except OSError as error:
            raise DataError(f"The change list cannot be read ({error.strerror}).", path=path) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"This is not a change list ({error}); pull again.", path=path) from None


@dataclass
class Applied:
    """The data set after a list, and the changes that found nothing to change (one sentence each)."""

    dataset: Dataset
    done: int = 0
    skipped: list[str] = field(default_factory=list)


def apply_changes(dataset: Dataset, changes: ChangeList | Iterable[Change]) -> Applied:
    """A data set with the changes made to its ground truth; the one given stays as it is.

    An image is known by its id, else by its file's name; an object by its id, else by class and box. A change
    whose object is not there as `before` describes it is left out and named; so is one to a class that the
    data set lacks. Objects stay in their order, added ones come last in their image.
    """
    t = dataset.objects
    rows: list[dict[str, Any]] = [
        {
            "row": int(t.rows[k]),
            "xyxy": t.xyxy[k].tolist(),
            "class_id": int(t.class_ids[k]),
            "id": int(t.ids[k]),
            "area": float(t.area[k]),
            **{flag: bool(getattr(t, flag)[k]) for flag in FLAGS},
        }
        for k in range(len(t))
    ]
    where = {(r["row"], r["id"]): k for k, r in enumerate(rows)}
    next_id = max((r["id"] for r in rows), default=0) + 1
    out = Applied(dataset)
    dead: set[int] = set()
    by_file = {Path(file).name: i for i, file in enumerate(dataset.files)}
    by_file = by_file if len(by_file) == len(dataset) else {}  # names that occur twice tell nothing
    labelled = np.array(dataset.labelled)
    for change in changes.changes if isinstance(changes, ChangeList) else changes:
        image = (
            dataset.position(change.sample_id) if change.sample_id in dataset else by_file.get(change.file)
        )
        if image is None:
            out.skipped.append(f"{change}: the data set has no such image")
            continue
        if change.after is not None and change.after.label not in dataset.class_map:
            out.skipped.append(f"{change}: the data set has no class {change.after.label!r}")
            continue
        if change.before is None:
            new, object_id = change.after, change.after.id
            if (image, object_id) in where and where[image, object_id] not in dead:
                object_id, next_id = next_id, next_id + 1
            where[image, object_id] = len(rows)
            rows.append({"row": image, "id": object_id, **_columns(new, dataset)})
            labelled[image] = True
            out.done += 1
            continue
        k = where.get((image, change.before.id))
        if (
            k is None or k in dead or not _is(rows[k], change.before, dataset)
        ):  # written as YOLO or VOC, ids are new
            alike = (
                j
                for j in range(len(rows))
                if rows[j]["row"] == image and j not in dead and _is(rows[j], change.before, dataset)
            )
            k = next(alike, None)
        if k is None:
            out.skipped.append(f"{change}: the annotation is no longer as it was when this was pulled")
        elif change.after is None:
            dead.add(k)
            out.done += 1
        else:
            moved = tuple(change.after.xyxy) != tuple(change.before.xyxy)
            rows[k] |= {"class_id": dataset.class_map.index(change.after.label)}
            if moved:  # a mask's area does not fit a new box
                rows[k] |= {"xyxy": list(change.after.xyxy), "area": _area(change.after)}
            out.done += 1
    kept = [r for k, r in enumerate(rows) if k not in dead]
    table = ObjectTable.build(
        [r["row"] for r in kept],
        np.array([r["xyxy"] for r in kept], np.float32).reshape(-1, 4),
        [r["class_id"] for r in kept],
        ids=[r["id"] for r in kept],
        area=[r["area"] for r in kept],
        **{flag: [r[flag] for r in kept] for flag in FLAGS},
    )
    out.dataset = Dataset(
        name=dataset.name,
        format=dataset.format,
        source=dataset.source,
        class_map=dataset.class_map,
        sample_ids=dataset.sample_ids,
        files=dataset.files,
        sizes=dataset.sizes,
        labelled=labelled,
        objects=table,
        splits=dataset.splits,
        problems=dataset.problems,
        loader=dataset._loader,
    )
    return out


def write_changed(
    dataset: Dataset, changes: ChangeList, path: str | Path, *, pictures: str = "copy"
) -> Applied:
    """Apply the list and write the annotations to a new place, in the format they came in (COCO where that
    has no writer).

    Raises:
        InputError: the place already holds something.
    """
    from detector.data.formats import writing as writers

    path = Path(path)
    if path.exists() and (path.is_file() or any(path.iterdir())):
        raise InputError(
            "Corrected annotations are written to a new place, never over the old ones; this one is taken.",
            path=path,
        )
    applied = apply_changes(dataset, changes)
    writer = {"voc": writers.write_voc, "yolo": writers.write_yolo, "csv": writers.write_csv}.get(
        dataset.format, writers.write_coco
    )
    applied.skipped += [str(problem) for problem in writer(applied.dataset, path, pictures=pictures)]
    return applied


def rescore(run: Run, changes: ChangeList | Sequence[Change]) -> tuple[Any, Any, Any]:
    """(evaluation before, evaluation after, the run with the corrected ground truth): what the fixes are
    worth.

    The detections stay as they are; only the ground truth changes.
    """
    from analysis.metrics.evaluate import evaluate

    corrected = with_truth(run, apply_changes(as_dataset(run), changes).dataset)
    return evaluate(run), evaluate(corrected), corrected


def as_dataset(run: Run) -> Dataset:
    """The run's images and ground truth as a data set; enough to apply changes and to write annotations."""
    known = run.manifest.classes.dataset_classes  # the classes after these are the detector's
    names = ClassMap(run.class_map.names[:known], run.class_map.external_ids[:known])
    return Dataset(
        name=run.manifest.dataset.name,
        format=run.manifest.dataset.format,
        source=run.manifest.dataset.source,
        class_map=names,
        sample_ids=run.sample_ids,
        files=run.files,
        sizes=run.sizes,
        labelled=run.labelled,
        objects=run.truth,
        splits=run.splits,
    )


def with_truth(run: Run, dataset: Dataset) -> Any:
    """The same detections beside another ground truth over the same images; in memory."""
    from analysis.runs.store import Run

    return Run(
        path=None,
        manifest=run.manifest,
        sample_ids=run.sample_ids,
        files=run.files,
        sizes=run.sizes,
        splits=run.splits,
        labelled=dataset.labelled,
        truth=dataset.objects,
        detections=run.detections,
        done=run.done,
        failed=run.failed,
        problems=run.problems,
        loader=run._loader,
    )


def _columns(truth: Truth, dataset: Dataset) -> dict[str, Any]:
    return {
        "xyxy": list(truth.xyxy),
        "class_id": dataset.class_map.index(truth.label),
        "area": truth.area if truth.area is not None else float("nan"),
        **{flag: flag in truth.flags for flag in FLAGS},
    }


def _is(row: dict[str, Any], truth: Truth, dataset: Dataset) -> bool:
    same_class = dataset.class_map.names[row["class_id"]] == truth.label
    return same_class and all(abs(a - b) < 0.01 for a, b in zip(row["xyxy"], truth.xyxy))


def _area(truth: Truth) -> float:
    return truth.area if truth.area is not None else float("nan")


def _box(truth: Truth) -> str:
    return "[" + ", ".join(f"{v:.0f}" for v in truth.xyxy) + "]"


def _four(values: Any) -> Any:
    return None if values is None else tuple(values)


def _truth(content: Any) -> Truth | None:
    return (
        None
        if content is None
        else Truth(**content | {"xyxy": tuple(content["xyxy"]), "flags": tuple(content["flags"])})
    )
