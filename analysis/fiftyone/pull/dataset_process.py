"""Reads a data set that already lives in FiftyOne, in a process of its own, into one JSON file.

`python -m analysis.fiftyone.pull.dataset_process NAME OUT.json [--field F] [--view V]`
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from analysis.fiftyone.fields import FLAG_FIELDS
from analysis.fiftyone.service.child import serve
from detector.errors import InputError
from detector.paths import write_atomically

SPLITS = ("train", "val", "validation", "test")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.fiftyone.pull.dataset_process", description=__doc__
    )
    parser.add_argument("name")
    parser.add_argument("out")
    parser.add_argument("--field")
    parser.add_argument("--view")
    options = parser.parse_args(arguments)

    def job(say: Callable[[str, Mapping[str, Any]], None], should_stop: Callable[[], bool]) -> dict[str, Any]:
        say("stage", {"message": "Opening FiftyOne"})
        content = read(options.name, options.field, options.view)
        write_atomically(options.out, json.dumps(content).encode())
        return {"field": content["field"], "images": len(content["ids"])}

    return serve(job)


def read(name: str, field: str | None, view_name: str | None) -> dict[str, Any]:
    """Plain columns of a data set's images and of the labels of one of its Detections fields."""
    import fiftyone as fo

    if not fo.dataset_exists(name):
        known = ", ".join(fo.list_datasets()[:8]) or "none"
        raise InputError(f"FiftyOne has no data set {name!r}; it has {known}.")
    dataset = fo.load_dataset(name)
    if dataset.media_type != "image":
        raise InputError(
            f"The FiftyOne data set {name!r} holds {dataset.media_type or 'nothing'}; images are needed."
        )
    if view_name is not None and view_name not in dataset.list_saved_views():
        raise InputError(
            f"The FiftyOne data set {name!r} has no saved view {view_name!r}; it has"
            f" {', '.join(dataset.list_saved_views()) or 'none'}."
        )
    view = dataset if view_name is None else dataset.load_saved_view(view_name)
    if view_name is not None and view._is_patches:
        raise InputError(f"The saved view {view_name!r} shows patches; choose one that shows whole images.")
    field = _field(fo, dataset, name, field)
    columns = (
        {"labels": f"{field}.detections.label", "boxes": f"{field}.detections.bounding_box"} if field else {}
    )
    schema = dataset.get_field_schema(flat=True)
    flags = {
        flag: f"{field}.detections.{path}"
        for flag, path in FLAG_FIELDS.items()
        if field and f"{field}.detections.{path}" in schema
    }
    paths = {
        "ids": "id",
        "files": "filepath",
        "width": "metadata.width",
        "height": "metadata.height",
        "tags": "tags",
        **columns,
        **flags,
    }
    if "split" in schema:
        paths["split"] = "split"
    content = dict(zip(paths, view.values(list(paths.values())))) if len(view) else {key: [] for key in paths}
    splits = content.pop("split", None) or [None] * len(content["ids"])
    tags = content.pop("tags")
    content["splits"] = [s or next((t for t in ts or [] if t in SPLITS), None) for s, ts in zip(splits, tags)]
    return content | {
        "field": field,
        "flags": list(flags),
        "classes": dataset.classes.get(field) or dataset.default_classes or [],
    }


def _field(fo: Any, dataset: Any, name: str, field: str | None) -> str | None:
    found = [path for path, kind in dataset.get_field_schema(embedded_doc_type=fo.Detections).items() if kind]
    if field is None and not found:
        return None
    if field is None and "ground_truth" in found:
        return "ground_truth"
    if field is None and len(found) == 1:
        return found[0]
    if field not in found:
        what = "Say which label field to read" if field is None else f"It has no box field {field!r}"
        raise InputError(f"FiftyOne data set {name!r}: {what}; it has {', '.join(found) or 'none'}.")
    return field


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # FiftyOne's exit hooks would wait for a database that may be gone
