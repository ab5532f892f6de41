"""The pull: what people tagged, corrected, added and deleted in FiftyOne, compared with the run's ground
truth.

It reads the documents straight from the database and needs no FiftyOne. A label is known by the id the push
gave it; one without such an id is recognised by its place (IoU) among the objects that are gone, else it was
added.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.fiftyone.fields import INFO, SAMPLE_ID, TRUTH
from analysis.fiftyone.ids import object_ids, owner_key
from analysis.fiftyone.pull.changes import Change, ChangeList, Tagged, Truth
from analysis.fiftyone.service.environment import with_timeout
from analysis.fiftyone.service.failures import as_unavailable
from analysis.runs.store import Run
from detector.boxes import clip, iou
from detector.core import FLAGS
from detector.errors import InputError

SAME_PLACE = 0.5  # IoU from which a redrawn box is the old object
PIXEL = 0.01  # boxes travel as shares of the image in float64; less than this is no change


def pull(run: Run, *, name: str | None = None, uri: str) -> ChangeList:
    """Compare the FiftyOne data set of a run with the run.

    Args:
        run: a Run that was pushed.
        name: the FiftyOne data set; without it, the push's default name.
        uri: where the database answers.

    Raises:
        InputError: there is no such data set, or it belongs to other annotations.
        UnavailableError: the database does not answer.
    """
    import pymongo
    from pymongo.errors import PyMongoError

    name = name or f"{run.manifest.name} {run.manifest.identity[:6]}"
    try:
        with pymongo.MongoClient(with_timeout(uri)) as client:
            return _pull(run, name, client[os.environ.get("FIFTYONE_DATABASE_NAME") or "fiftyone"])
    except PyMongoError as error:
        raise as_unavailable(error) from error


def _pull(run: Run, name: str, base: Any) -> ChangeList:
    doc = base.datasets.find_one({"name": name})
    if doc is None:
        raise InputError(f"FiftyOne has no data set {name!r}; push the run first.")
    note = (doc.get("info") or {}).get(INFO)
    if not note or note["fingerprint"] != run.manifest.dataset.fingerprint:
        raise InputError(f"The FiftyOne data set {name!r} was not pushed from these images and annotations.")
    mine = note["runs"].get(run.manifest.identity)
    field = mine["field"] if mine else "predictions"
    changes: list[Change] = []
    tags: list[Tagged] = []
    reader = _Reader(run, f"FiftyOne data set {name}")
    wanted = {
        SAMPLE_ID: 1,
        "tags": 1,
        "last_modified_at": 1,
        f"{TRUTH}.detections": 1,
        f"{field}.detections": 1,
    }
    for sample in base[doc["sample_collection_name"]].find({}, wanted).sort("_id").batch_size(256):
        if sample.get(SAMPLE_ID) not in run:
            continue  # an image that was added in FiftyOne is not ours to change
        found, marked = reader.sample(sample, field)
        changes += found
        tags += marked
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return ChangeList(
        name, run.manifest.identity, run.manifest.dataset.fingerprint, tuple(changes), tuple(tags), now
    )


class _Reader:
    def __init__(self, run: Run, who: str):
        self.run, self.who = run, who
        self.owner = owner_key(run.manifest.dataset.fingerprint)
        self.names = set(run.class_map.names)
        self.next_id = int(run.truth.ids.max(initial=0)) + 1

    def sample(self, doc: dict, field: str) -> tuple[list[Change], list[Tagged]]:
        run, image = self.run, self.run.position(doc[SAMPLE_ID])
        when = doc["last_modified_at"].isoformat(timespec="seconds") if doc.get("last_modified_at") else ""
        size = run.image_size(image)
        tags = [Tagged("image", doc[SAMPLE_ID], tuple(doc["tags"]), when=when)] if doc.get("tags") else []
        tags += [
            Tagged(
                "detection",
                doc[SAMPLE_ID],
                tuple(label["tags"]),
                label.get("object_id"),
                label.get("label", ""),
                _pixels(label, size),
                when,
            )
            for label in (doc.get(field) or {}).get("detections") or []
            if label.get("tags")
        ]
        there = (doc.get(TRUTH) or {}).get("detections")
        if there is None or not run.labelled[image]:
            return [], tags
        changes, truth_tags = self._objects(image, there, size, when)
        return changes, tags + truth_tags

    def _objects(
        self, image: int, there: list[dict], size: tuple[int, int], when: str
    ) -> tuple[list[Change], list[Tagged]]:
        run, t = self.run, self.run.truth
        rows = np.arange(run.truth_offsets[image], run.truth_offsets[image + 1])
        sample_id, file = run.sample_ids[image], Path(run.files[image]).name
        ids = object_ids("object", self.owner, [sample_id] * len(rows), list(range(len(rows))))
        gone = dict(zip(ids, rows.tolist()))
        pairs: list[tuple[int, dict, str]] = []
        strange = []
        for label in there:
            row = gone.pop(label["_id"].binary, None)
            if row is None:
                strange.append(label)
            else:
                pairs.append((row, label, "id"))
        added = []
        left = list(gone.values())
        for label in strange:
            overlap = iou(np.array([_pixels(label, size)]), t.xyxy[left])[0] if left else np.zeros(0)
            if len(overlap) and overlap.max() >= SAME_PLACE:
                pairs.append((left.pop(int(overlap.argmax())), label, f"IoU {overlap.max():.2f}"))
            else:
                added.append(label)
        changes, tags = [], []
        for row, label, how in pairs:
            change = self._compare(sample_id, row, label, size, how, when)
            changes += [replace(change, file=file)] if change else []
            tags += self._tags(sample_id, label, int(t.ids[row]), size, when)
        for row in left:
            changes.append(Change("deleted", sample_id, self._before(row), None, "id", self.who, when, file))
        for label in added:
            new, self.next_id = (
                Truth(str(label.get("label")), _pixels(label, size), self.next_id),
                self.next_id + 1,
            )
            changes.append(Change("added", sample_id, None, new, "id", self.who, when, file))
            tags += self._tags(sample_id, label, None, size, when)
        return changes, tags

    def _compare(
        self, sample_id: str, row: int, label: dict, size: tuple[int, int], how: str, when: str
    ) -> Change | None:
        before = self._before(row)
        box = _pixels(label, size)
        moved = any(abs(a - b) > PIXEL for a, b in zip(box, before.xyxy))
        renamed = label.get("label") != before.label
        if not moved and not renamed:
            return None
        kind = "class and box" if moved and renamed else "box" if moved else "class"
        after = Truth(
            str(label.get("label")),
            box if moved else before.xyxy,
            before.id,
            before.flags,
            None if moved else before.area,
        )
        return Change(kind, sample_id, before, after, how, self.who, when)

    def _before(self, row: int) -> Truth:
        t = self.run.truth
        flags = tuple(flag for flag in FLAGS if getattr(t, flag)[row])
        area = float(t.area[row])
        return Truth(
            self.run.class_map.names[t.class_ids[row]],
            tuple(t.xyxy[row].tolist()),
            int(t.ids[row]),
            flags,
            None if area != area else area,
        )

    def _tags(
        self, sample_id: str, label: dict, object_id: int | None, size: tuple[int, int], when: str
    ) -> list[Tagged]:
        if not label.get("tags"):
            return []
        return [
            Tagged(
                "truth",
                sample_id,
                tuple(label["tags"]),
                object_id,
                str(label.get("label")),
                _pixels(label, size),
                when,
            )
        ]


def _pixels(label: dict, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """xyxy in pixels, inside the image, as float32 would keep them."""
    x, y, w, h = label.get("bounding_box") or (0.0, 0.0, 0.0, 0.0)
    box = np.array([[x * size[0], y * size[1], (x + w) * size[0], (y + h) * size[1]]])
    return tuple(clip(box, size)[0].astype(np.float32).tolist())
