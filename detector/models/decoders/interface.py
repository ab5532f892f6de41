"""What a decoder takes and gives, and what recognition knows of a file before it chooses one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from detector.core import ClassMap
from detector.models.decoders.input_rule import InputRule
from detector.nms import PostprocessSettings


class Tensor(NamedTuple):
    """An input or output of a file: its name and its shape, -1 where a side is free."""

    name: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {list(self.shape)}"


@dataclass(frozen=True)
class Described:
    """What a file says about itself, the same for every container.

    Args:
        path: the file or folder; container: "tflite", "onnx" or "saved_model".
        outputs: in the file's order.
        size: (W, H) of the input.
        said: the exporter's own metadata (names, task, stride, imgsz, ...), empty where there is none.
        labels: packed label map, or None.
        mean, std: of the input for pixels 0..255, as metadata state them, or empty.
        detector_options: MediaPipe's DETECTOR_METADATA as bytes, or None.
        calibrated: whether it carries a score calibration, which Boxscope does not apply.
    """

    path: Path
    container: str
    outputs: tuple[Tensor, ...]
    size: tuple[int, int]
    said: Mapping[str, Any] = field(default_factory=dict)
    labels: ClassMap | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    detector_options: bytes | None = None
    calibrated: bool = False

    def listed(self) -> str:
        return ", ".join(map(str, self.outputs))


class Rows(NamedTuple):
    """Decoded outputs of one image, in the frame of the network's input.

    xyxy: float32 [A, 4], pixels of the input, corners in order, not clipped.
    scores: float32 [A, C] in 0..1, a column per output class of the file.
    logits: float32 [A, C] before the sigmoid, or None where the file holds scores only.
    """

    xyxy: np.ndarray
    scores: np.ndarray
    logits: np.ndarray | None = None


class Decoder(Protocol):
    """One family of networks, set up for one file.

    Attributes:
        family: shown to people.
        unit: what a row of the candidates is: "anchor", "cell" or "query"; "box" where the file has already
            suppressed, so that its rows are detections and no candidates.
        decided_by: what recognition went by, in words.
        classes: class columns of the file; background: how many of the first are no class (0 or 1).
        rule: how an image becomes the input.
        settings: of post-processing, under the names of `PostprocessSettings`.
        class_agnostic: whether boxes of all classes suppress each other and a box has its best class only.
        levels: int32 [A], feature level of each row, or None; cells: float32 [A, 4], the part of the input
            that a row answers for, or None; anchors: float32 [A, 4], or None. Both in pixels of the input.
        notes: sentences a user should read once.
    """

    family: str
    unit: str
    decided_by: str
    classes: int
    background: int
    rule: InputRule
    settings: PostprocessSettings
    class_agnostic: bool
    levels: np.ndarray | None
    cells: np.ndarray | None
    anchors: np.ndarray | None
    notes: tuple[str, ...]

    def rows(self, outputs: Sequence[np.ndarray]) -> Rows:
        """The outputs of one image (with their batch axis of 1), dequantised, in the file's order."""
        ...


@dataclass(frozen=True, kw_only=True)
class DecoderFacts:
    """The attributes of `Decoder`, for a decoder to inherit; see there."""

    family: str
    decided_by: str
    classes: int
    rule: InputRule
    settings: PostprocessSettings
    unit: str = "cell"
    background: int = 0
    class_agnostic: bool = False
    levels: np.ndarray | None = None
    cells: np.ndarray | None = None
    anchors: np.ndarray | None = None
    notes: tuple[str, ...] = ()


COCO = 80


def may_have(file: Described, classes: int) -> bool:
    """Whether a file may have this number of classes: what it names says, else COCO's number excludes its
    neighbours (84 columns are 80 classes and a box, 85 are 80 with objectness)."""
    names = file.said.get("names") or (file.labels.names if file.labels else ())
    if names:
        return len(names) == classes
    return classes not in (COCO - 1, COCO + 1)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """float32, exact at both ends."""
    return (0.5 * (1 + np.tanh(0.5 * np.asarray(x, np.float32)))).astype(np.float32)


def corners(cxcywh: np.ndarray) -> np.ndarray:
    """float32 [A, 4] centre and size to x1, y1, x2, y2."""
    half = cxcywh[:, 2:] * np.float32(0.5)
    return np.concatenate([cxcywh[:, :2] - half, cxcywh[:, :2] + half], axis=1).astype(np.float32, copy=False)


def unit_scores(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """(scores 0..1, logits or None) of class columns: logits where a value leaves 0..1 by more than a
    quantisation step."""
    if values.size and (values.min() < -0.05 or values.max() > 1.05):
        return sigmoid(values), values
    return np.clip(values, 0, 1), None


FRACTION_LIMIT = 4.0
"""Boxes whose centres stay below this are shares of the input, not pixels (an input has 32 pixels and
more).
"""


def box_scale(centres: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, str]:
    """(factor float32 [4] that makes pixels of the input, what the values are, in words)."""
    if np.abs(centres).max(initial=0) <= FRACTION_LIMIT:
        return np.float32([*size, *size]), "shares of the input"
    return np.ones(4, np.float32), "pixels of the input"
