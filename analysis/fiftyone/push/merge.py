"""Write a batch of sample documents: new ones whole, known ones so that what people did in FiftyOne stays."""

from __future__ import annotations

from typing import Any

from analysis.fiftyone.fields import TRUTH, Names
from analysis.misses.run import COLUMNS
from analysis.saliency.methods import EVIDENCE_METHODS


def write_batch(
    collection: Any, documents: list[dict], names: Names, *, may_exist: bool, discard_edits: bool
) -> dict[str, int]:
    """Insert or update documents by `_id`; returns how many samples, labels and kept edits.

    A killed push may have written part of a batch, so the same call completes it.
    """
    from pymongo import UpdateOne

    tally = {"inserted": 0, "updated": 0, "objects": 0, "detections": 0, "kept_edits": 0}
    there = {}
    if may_exist and documents:
        wanted = {TRUTH: 1, names.predictions: 1, "tags": 1}
        there = {
            doc["_id"]: doc
            for doc in collection.find({"_id": {"$in": [d["_id"] for d in documents]}}, wanted)
        }
    fresh, updates = [], []
    for doc in documents:
        old = there.get(doc["_id"])
        if old is None:
            fresh.append(doc)
        else:
            tally["kept_edits"] += _merge(doc, old, names, discard_edits)
            gone = [f for f in owned_fields(names) if f not in doc]
            changed = {k: v for k, v in doc.items() if k not in ("_id", "created_at", "_rand", "tags")}
            updates.append(
                UpdateOne(
                    {"_id": doc["_id"]},
                    {"$set": changed, **({"$unset": dict.fromkeys(gone, "")} if gone else {})},
                )
            )
        tally["objects"] += len(doc.get(TRUTH, {}).get("detections", ()))
        tally["detections"] += len(doc.get(names.predictions, {}).get("detections", ()))
    if fresh:
        collection.insert_many(fresh, ordered=False)
    if updates:
        collection.bulk_write(updates, ordered=False)
    tally["inserted"], tally["updated"] = len(fresh), len(updates)
    return tally


def owned_fields(names: Names) -> list[str]:
    """Sample fields of a run that an update takes away where the new document has none."""
    return [
        names.problem,
        names.predictions,
        names.confidence_map,
        names.missed_map,
        *map(names.evidence_map, EVIDENCE_METHODS),
        *(f"{names.eval_key}_{part}" for part in ("tp", "fp", "fn")),
    ]


def _merge(doc: dict, old: dict, names: Names, discard_edits: bool) -> int:
    """Carry what people did from the old document into the new one; returns the number of kept edits."""
    _keep_prediction_tags(doc, old, names)
    before = (old.get(TRUTH) or {}).get("detections")
    if before is None or TRUTH not in doc:
        return 0
    fresh = {label["_id"]: label for label in doc[TRUTH]["detections"]}
    ours = truth_fields(names, fresh.values())
    kept, edits = [], 0
    for label in before:
        new = fresh.pop(label["_id"], None)
        if new is None:
            edits += not discard_edits
            if not discard_edits:
                kept.append(label)
            continue
        merged = {k: v for k, v in label.items() if k not in ours} | new
        if is_edited(label, new) and not discard_edits:
            edits += 1
            merged |= {"label": label["label"], "bounding_box": label["bounding_box"]}
        for name in ("tags", "attributes", "mask"):
            if name in label:
                merged[name] = label[name]
        kept.append(merged)
    if discard_edits:
        kept += fresh.values()
    else:
        edits += len(fresh)  # deleted in FiftyOne
    doc[TRUTH]["detections"] = kept
    return edits


def truth_fields(names: Names, labels: Any) -> set[str]:
    """Fields on the ground truth that this run owns: they are replaced, not kept."""
    key = names.eval_key
    causes = (names.of_truth(name) for name in COLUMNS)
    return {
        key,
        f"{key}_id",
        f"{key}_iou",
        names.truth_verdict,
        names.truth_error,
        names.seen_at,
        *causes,
        *(k for label in labels for k in label),
    }


def is_edited(label: dict, pushed: dict, tolerance: float = 1e-9) -> bool:
    """Whether a person changed the class or the box of a ground-truth label since it was pushed."""
    if label.get("label") != pushed["label"]:
        return True
    box = label.get("bounding_box") or []
    return len(box) != 4 or any(abs(a - b) > tolerance for a, b in zip(box, pushed["bounding_box"]))


def _keep_prediction_tags(doc: dict, old: dict, names: Names) -> None:
    before = (old.get(names.predictions) or {}).get("detections") or []
    tagged = {label["_id"]: label for label in before if label.get("tags")}
    if not tagged or names.predictions not in doc:
        return
    for label in doc[names.predictions]["detections"]:
        if label["_id"] in tagged:
            label["tags"] = tagged.pop(label["_id"])["tags"]
    for label in tagged.values():  # tagged, and now below the lowest score that is pushed
        fields = {k: v for k, v in label.items() if not k.startswith(names.eval_key)}
        doc[names.predictions]["detections"].append(fields | {"verdict": "below"})
