"""Which decoder reads a file: its own metadata first, then shapes, then the values of a probe image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from detector.errors import InputError, ModelError
from detector.models.decoders import (
    detr,
    end_to_end,
    ssd_anchors,
    yolo,
    yolo_objectness,
    yolox,
)
from detector.models.decoders.interface import Decoder, Described

FAMILIES: dict[str, Any] = {
    "ssd-anchors": ssd_anchors,
    "end-to-end": end_to_end,
    "yolo": yolo,
    "yolov5": yolo_objectness,
    "yolox": yolox,
    "detr": detr,
}
"""By the name that `family=` takes. Each module's `recognise` gives its decoder, or None."""

OTHER_TASKS = {
    "segment": "a segmentation network: boxes with a mask each",
    "pose": "a pose network: boxes with keypoints each",
    "obb": "a network of rotated boxes",
    "classify": "a classifier: it names an image and places no boxes",
}


def probe_image(size: tuple[int, int]) -> np.ndarray:
    """uint8 [H, W, 3] with edges in it, run once at loading: it tells readings apart and warms up."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    parts = [x * 255 // width, y * 255 // height, ((x // 24 + y // 24) % 2) * 200]
    return np.stack(parts, axis=-1).astype(np.uint8)


def find_decoder(file: Described, probe: Sequence[np.ndarray], family: str | None = None) -> Decoder:
    """The one decoder that reads these outputs.

    Args:
        file: what the file says; probe: its outputs for `probe_image`, dequantised.
        family: one of `FAMILIES`, to choose by hand.

    Raises:
        InputError: an unknown family.
        ModelError: no decoder reads them (what the file is, and the way that works), or several do.
    """
    refuse_other_tasks(file, probe)
    if family is not None and family not in FAMILIES:
        raise InputError(f"family: expected one of {', '.join(FAMILIES)}, got {family!r}.")
    wanted = FAMILIES if family is None else {family: FAMILIES[family]}
    found = {
        name: decoder
        for name, module in wanted.items()
        if (decoder := module.recognise(file, probe)) is not None
    }
    if "yolox" in found and "yolo" in found:  # the same table, with objectness or without
        raise ModelError(
            f"found {file.listed()}, which could be a YOLOX ({found['yolox'].classes} classes and objectness)"
            f" or a YOLO without objectness ({found['yolo'].classes} classes); say which with family='yolox'"
            " or family='yolo' (boxscope detect --family).",
            path=file.path,
        )
    if found:
        return next(iter(found.values()))
    if family is not None:
        raise ModelError(f"its outputs {file.listed()} are not those of family {family!r}.", path=file.path)
    raise ModelError(
        f"found {file.listed()}, which no known family of detectors gives (docs/detectors.md lists those that"
        " open); export it again without changes to its head, write a `python:` entry of the catalogue for"
        " it, or give its results as a COCO .json.",
        path=file.path,
    )


def refuse_other_tasks(file: Described, probe: Sequence[np.ndarray]) -> None:
    """Refuse what is no detector of upright boxes.

    Raises:
        ModelError: says what it is, and the way that works.
    """
    task = str(file.said.get("task", "detect"))
    if task == "detect":
        if len(probe) == 2 and sorted(p.ndim for p in probe) == [3, 4]:
            task = "segment"
        elif len(probe) == 1 and probe[0].ndim == 2 and probe[0].shape[0] == 1 and probe[0].shape[1] != 6:
            task = "classify"
    if task == "detect":
        return
    what = OTHER_TASKS.get(task, f"a network for the task {task!r}")
    way = (
        "; train or take a detector instead, a classifier can also be scanned over an image (`boxscope"
        " convert`)."
        if task == "classify"
        else (
            "; Boxscope reads detectors of upright boxes: export the detect model of the same family, or give"
            " its boxes as a COCO results .json."
        )
    )
    raise ModelError(f"this is {what} ({file.listed()}){way}", path=file.path)
