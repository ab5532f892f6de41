"""A data set that already lives in FiftyOne, as one of ours: `fiftyone://name`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from analysis.fiftyone.service.child import run_job
from analysis.fiftyone.service.server import start_database
from detector.boxes import clip
from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable, Problem
from detector.errors import BoxscopeError

SCHEME = "fiftyone://"


def dataset_from_fiftyone(
    name: str, *, field: str | None = None, view: str | None = None, say: Callable[[str], None] | None = None
) -> Dataset:
    """Images and the boxes of one label field of a FiftyOne data set.

    Args:
        name: the data set, with or without "fiftyone://" before it.
        field: the Detections field that is the ground truth; without one, `ground_truth`, or the only one
            there is.
        view: a saved view: only its images and labels are taken.

    Returns:
        A Dataset whose sample ids are FiftyOne's. Boxes past the border are cut, those without area and
            images whose
        size nobody can tell are left out, each with a problem. Labelled are the images whose field is set.

    Raises:
        UnavailableError: FiftyOne or its database cannot be had.
        InputError: no such data set, view or field; it holds no images.
    """
    if name.startswith(SCHEME):
        name = unquote(name[len(SCHEME) :])
    uri = start_database(say)
    with tempfile.TemporaryDirectory(prefix="boxscope-source-") as folder:
        out = Path(folder, "columns.json")
        arguments = (
            [name, str(out)] + ([f"--field={field}"] if field else []) + ([f"--view={view}"] if view else [])
        )
        run_job(
            "analysis.fiftyone.pull.dataset_process",
            arguments,
            uri=uri,
            on_event=lambda e: say(e["message"]) if say and e["event"] == "stage" else None,
        )
        content = json.loads(out.read_text())
    return _build(name, content)


def _build(name: str, content: dict) -> Dataset:
    sizes, problems = _sizes(content)
    labels = content.get("labels") or [None] * len(content["ids"])
    boxes = content.get("boxes") or [None] * len(content["ids"])
    seen = {label for ones in labels for label in ones or [] if label}
    names = [c for c in content["classes"] if c] + sorted(seen - set(content["classes"]))
    if not names and content["field"]:
        names = ["object"]
    class_map = ClassMap(tuple(dict.fromkeys(names)))
    rows, xyxy, class_ids = [], [], []
    flags: dict[str, list[bool]] = {flag: [] for flag in content["flags"]}
    for i, (ones, places) in enumerate(zip(labels, boxes)):
        width, height = sizes[i].tolist()
        if ones and not width:
            continue
        for k, (label, place) in enumerate(zip(ones or [], places or [])):
            x, y, w, h = place
            box = clip(
                np.array([[x * width, y * height, (x + w) * width, (y + h) * height]]), (width, height)
            )[0]
            if label is None or box[2] <= box[0] or box[3] <= box[1]:
                problems.append(
                    Problem(
                        "zero-area box" if label else "unnamed box",
                        f"Box {k} is left out.",
                        sample_id=content["ids"][i],
                        left_out=True,
                    )
                )
                continue
            rows.append(i)
            xyxy.append(box)
            class_ids.append(class_map.index(label))
            for flag, values in flags.items():
                values.append(bool((content[flag][i] or [None] * len(ones))[k]))
    table = ObjectTable.build(rows, np.array(xyxy, np.float32).reshape(-1, 4), class_ids, **flags)
    labelled = np.array([ones is not None for ones in labels], bool) & (
        (sizes[:, 0] > 0) | np.array([not ones for ones in labels], bool)
    )
    return Dataset(
        name=name,
        format="fiftyone",
        source=SCHEME + name,
        class_map=class_map,
        sample_ids=content["ids"],
        files=content["files"],
        sizes=sizes,
        labelled=labelled,
        objects=table,
        splits=content["splits"],
        problems=problems,
    )


def _sizes(content: dict) -> tuple[np.ndarray, list[Problem]]:
    """int32 [N, 2]: FiftyOne's metadata, else the image's header; zeros and a problem where neither says."""
    from detector.data.images import image_size

    out, problems = np.zeros((len(content["ids"]), 2), np.int32), []
    for i, (file, width, height) in enumerate(zip(content["files"], content["width"], content["height"])):
        if width and height:
            out[i] = width, height
            continue
        try:
            out[i] = image_size(file)
        except (BoxscopeError, OSError) as error:
            problems.append(
                Problem(
                    "unreadable image",
                    f"Its size is unknown, so its boxes are left out ({error}).",
                    file,
                    sample_id=content["ids"][i],
                    left_out=True,
                )
            )
    return out, problems
