"""Which output of a .tflite detector is which.

Exporters number the four detection outputs in every order (boxes first, count first, ...) and the names
say nothing. In this order of trust: the TFLite_Detection_PostProcess operation itself, whose outputs are
always boxes, classes, scores, count; names that speak; shapes and the values of a probe picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detector.errors import ModelError
from detector.models.tflite_file import POSTPROCESS

ROLES = ("boxes", "classes", "scores", "count")
_WORDS = {
    "boxes": ("detection_boxes", "location", "box"),
    "classes": ("detection_classes", "category", "class"),
    "scores": ("detection_scores", "score", "confidence"),
    "count": ("num_detections", "number of detections", "num", "count"),
}


@dataclass(frozen=True)
class Layout:
    """Args: kind: "detections" or "raw"; tensors: tensor index of each role ("raw": boxes, scores);
    decided_by: in words; inner: for a post-processing operation, tensor indices of its encodings, class
    predictions and anchors, else None."""

    kind: str
    tensors: Mapping[str, int]
    decided_by: str
    inner: tuple[int, int, int] | None = None


def find_layout(
    interpreter: Any,
    outputs: Sequence[Mapping],
    names: Sequence[str],
    values: Mapping[int, np.ndarray],
    path: str,
) -> Layout:
    """The layout of a loaded model.

    Args:
        outputs: the interpreter's output details, in file order.
        names: the outputs' names from metadata, in file order, or empty.
        values: what a probe picture gave, dequantised, by tensor index.

    Raises:
        ModelError: the outputs are not those of a detector, or cannot be distinguished.
    """
    by_op = _from_operation(interpreter, {int(d["index"]) for d in outputs})
    if by_op:
        return by_op
    shapes = {int(d["index"]): tuple(int(v) for v in d["shape"]) for d in outputs}
    if len(shapes) == 2:
        return _raw(shapes, outputs, names, values, path)
    if len(shapes) in (3, 4):
        spoken = {
            int(d["index"]): " ".join([str(d["name"]), names[i] if i < len(names) else ""]).lower()
            for i, d in enumerate(outputs)
        }
        found = _by_shape_name_value(shapes, spoken, values)
        if found:
            return found
    listed = ", ".join(f"{d['name']} {list(shapes[int(d['index'])])}" for d in outputs)
    raise ModelError(
        "expected the four outputs of a detector (boxes [1, N, 4], classes [1, N], scores [1, N], count) or"
        f" boxes [1, A, 4] with scores [1, A, K], found {listed}; export with the Object Detection API's"
        " export_tflite_graph_tf2.py.",
        path=path,
    )


def _from_operation(interpreter: Any, wanted: set[int]) -> Layout | None:
    try:
        operations = interpreter._get_ops_details()
    except Exception:  # a private call: without it, shapes and values decide
        return None
    for operation in operations:
        if operation["op_name"] == POSTPROCESS and len(operation["outputs"]) >= 4:
            tensors = {role: int(i) for role, i in zip(ROLES, operation["outputs"])}
            if set(tensors.values()) == wanted:
                inner = tuple(int(i) for i in operation["inputs"][:3])
                return Layout(
                    "detections", tensors, f"the {POSTPROCESS} operation", inner if len(inner) == 3 else None
                )
    return None


def _by_shape_name_value(
    shapes: dict[int, tuple], spoken: dict[int, str], values: Mapping[int, np.ndarray]
) -> Layout | None:
    boxes = [i for i, s in shapes.items() if len(s) == 3 and s[2] == 4]
    rows = [i for i, s in shapes.items() if len(s) == 2 and boxes and s[1] == shapes[boxes[0]][1]]
    count = [i for i, s in shapes.items() if int(np.prod(s)) == 1 and i not in rows]
    if len(boxes) != 1 or len(shapes) != 1 + len(rows) + len(count):
        return None
    if len(rows) == 3 and not count:  # a model that returns a single row
        counting = [i for i in rows if any(word in spoken[i] for word in _WORDS["count"])]
        rows, count = [i for i in rows if i not in counting], counting
    if len(rows) != 2 or len(count) > 1:
        return None
    tensors = {"boxes": boxes[0], **({"count": count[0]} if count else {})}
    said = {
        i: {role for role in ("classes", "scores") if any(word in spoken[i] for word in _WORDS[role])}
        for i in rows
    }
    a, b = rows
    if said[a] != said[b] and len(said[a] | said[b]) and len(said[a]) <= 1 and len(said[b]) <= 1:
        a_is_scores = "scores" in said[a] or "classes" in said[b]
        decided = "the outputs' names"
    else:
        fits = {i: _looks_like_classes(values[i]) for i in rows}
        if fits[a] == fits[b]:
            return None
        a_is_scores = fits[b]
        decided = "shapes and values"
    scores, classes = (a, b) if a_is_scores else (b, a)
    return Layout("detections", {**tensors, "scores": scores, "classes": classes}, decided)


def _looks_like_classes(values: np.ndarray) -> bool:
    """Whole numbers throughout. Scores of a probe picture are fractions in at least one row."""
    return bool(np.array_equal(values, np.rint(values)))


def _raw(
    shapes: dict[int, tuple],
    outputs: Sequence[Mapping],
    names: Sequence[str],
    values: Mapping[int, np.ndarray],
    path: str,
) -> Layout:
    threes = {i: s for i, s in shapes.items() if len(s) == 3}
    boxes = [i for i, s in threes.items() if s[2] == 4]
    listed = ", ".join(f"{d['name']} {list(shapes[int(d['index'])])}" for d in outputs)
    if len(boxes) == 2:
        spoken = [f"{d['name']} {names[i] if i < len(names) else ''}".lower() for i, d in enumerate(outputs)]
        named = [d for d, said in zip(outputs, spoken) if "box" in said]
        boxes = (
            [int(named[0]["index"])] if len(named) == 1 else [i for i in boxes if _looks_decoded(values[i])]
        )
    if len(threes) != 2 or len(boxes) != 1 or len({s[1] for s in threes.values()}) != 1:
        raise ModelError(
            f"expected boxes [1, A, 4] and scores [1, A, K], found {listed}; this is no detector Boxscope can"
            " read.",
            path=path,
        )
    (scores,) = set(threes) - set(boxes)
    if not _looks_decoded(values[boxes[0]]):
        raise ModelError(
            f"found {listed}: box encodings without their anchors, which cannot be decoded; export with"
            " export_tflite_graph_tf2.py, which adds the post-processing operation.",
            path=path,
        )
    return Layout("raw", {"boxes": boxes[0], "scores": scores}, "shapes and values")


def _looks_decoded(boxes: np.ndarray) -> bool:
    """Normalised ymin, xmin, ymax, xmax: corners in order and near the picture, in 95 of 100 rows."""
    flat = boxes.reshape(-1, 4)
    ordered = (flat[:, 2] >= flat[:, 0]) & (flat[:, 3] >= flat[:, 1]) & (np.abs(flat) <= 3).all(axis=1)
    return bool(len(flat)) and ordered.mean() >= 0.95 and float((flat[:, 2:] - flat[:, :2]).max()) > 0
