"""A fully convolutional patch classifier over an image pyramid, as a detector.

Each scale of the pyramid looks for windows of one size in the original image. A cell of the confidence map is
a window; windows above the threshold go through NMS, and each survivor is moved to the mean of the windows
near it, weighted by their odds (refinement).
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from detector import boxes
from detector.core import Candidates, ClassMap, Detections, DetectorInfo, check_images
from detector.data.formats.uiuc import to_grey
from detector.errors import ModelError
from detector.models.hashing import hash_answers
from detector.sliding.convert import WindowGeometry
from detector.sliding.gradients import SlidingGradients
from detector.sliding.scan import ConfidenceMap, Network, probability, scan
from detector.sliding.settings import SlidingWindowSettings
from detector.sliding.stored import read_folder

_MOST_ODDS = 1000.0  # above, differences between windows are the classifier's overconfidence, not evidence


@dataclass(frozen=True)
class FoundWindows:
    """What a picture's detections are before they are clipped to it: the UIUC rule is about whole windows.

    Args:
        xyxy: float32 [N, 4], refined, over the border too; scores: float32 [N], best first.
        rows: int64 [N], the candidate each came from.
    """

    xyxy: np.ndarray
    scores: np.ndarray
    rows: np.ndarray


class SlidingWindow(SlidingGradients):
    """A detector of one class from a fully convolutional patch classifier.

    Args:
        network: float32 grey [B, H, W, C] in 0..1 to logits [B, rows, columns, 2] (background, object).
        geometry: of its windows, from `to_fully_convolutional`.
        classes: one class.
        settings: scales, thresholds, refinement.
        name, weights_hash, source, notes: for `info`; the hash is joined with classes and settings.
        model: the same network as a Keras model, where it is at hand: gradients are taken from it.

    Raises:
        ModelError: more than one class.
    """

    def __init__(
        self,
        network: Network,
        geometry: WindowGeometry,
        classes: ClassMap,
        settings: SlidingWindowSettings | None = None,
        *,
        name: str = "sliding window",
        weights_hash: str = "",
        source: str = "",
        notes: Sequence[str] = (),
        model: Any = None,
    ):
        if len(classes) != 1:
            raise ModelError(
                f"a sliding-window detector finds one class, got {len(classes)}: {', '.join(classes.names)}."
            )
        self._network, self.geometry, self.model = network, geometry, model
        self.settings = settings or SlidingWindowSettings()
        self._lock = threading.Lock()
        if not geometry.exact:
            notes = (
                *notes,
                (
                    "Its convolutions are padded: inside an image a window sees its real neighbours, so the"
                    " map differs a little from the classifier on cut-out patches."
                ),
            )
        self.info = DetectorInfo(
            name=name,
            kind="sliding_window",
            class_map=classes,
            input_size=None,
            source=source,
            settings=asdict(self.settings),
            weights_hash=hash_answers(weights_hash, classes, asdict(self.settings)),
            notes=tuple(notes),
            capabilities=frozenset(
                {"candidates", "anchors", "low_scores"} | ({"gradients"} if model is not None else set())
            ),
        )

    def confidence_maps(self, image: np.ndarray) -> list[ConfidenceMap]:
        """One map a window width, in the order of `settings.window_widths`; image RGB uint8 [H, W, 3]."""
        check_images([image])
        grey = to_grey(image)
        with self._lock:
            return [
                scan(self._network, self.geometry, grey, width, self.settings.pad)
                for width in self.settings.window_widths
            ]

    def candidates(self, images: Sequence[np.ndarray]) -> list[Candidates]:
        """Every window of every scale; the level is the scale's place, the anchor the window itself."""
        check_images(images)
        return [self._candidates(image) for image in images]

    def _candidates(self, image: np.ndarray) -> Candidates:
        maps = self.confidence_maps(image)
        xyxy = np.concatenate([m.xyxy for m in maps])
        margins = np.concatenate([m.margins.reshape(-1, 1) for m in maps])
        levels = np.repeat(np.arange(len(maps)), [m.margins.size for m in maps])
        size = (image.shape[1], image.shape[0])
        return Candidates(xyxy, probability(margins), size, anchors=xyxy, levels=levels, logits=margins)

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        check_images(images)
        return [
            windows_to_detections(self._candidates(image), self.settings).named(self.info.class_map)
            for image in images
        ]

    def windows(self, images: Sequence[np.ndarray]) -> list[FoundWindows]:
        """The detections before clipping, see `FoundWindows`."""
        check_images(images)
        return [find_windows(self._candidates(image), self.settings) for image in images]


def find_windows(windows: Candidates, settings: SlidingWindowSettings) -> FoundWindows:
    """Threshold, suppression, refinement.

    Best first by logit, since scores of sure windows round to 1. Kept boxes are compared as they were found,
    not as refined.
    """
    scores, logits = (
        windows.scores[:, 0],
        (windows.scores[:, 0] if windows.logits is None else windows.logits[:, 0]),
    )
    order = np.flatnonzero(scores >= np.float32(settings.score_threshold))
    order = order[np.argsort(-logits[order], kind="stable")]
    kept, refined = [], []
    while len(order) and len(kept) < settings.max_detections:
        best, others = windows.xyxy[order[0]], windows.xyxy[order]
        overlap = boxes.iou(best, others)[0]
        near = order[overlap >= settings.refine_iou] if settings.refine_iou < 1 else order[:1]
        sure = scores[near].astype(np.float64)
        refined.append(
            np.average(windows.xyxy[near], axis=0, weights=sure / np.maximum(1 - sure, 1 / _MOST_ODDS))
        )
        kept.append(order[0])
        gone = (overlap > settings.iou_threshold) | (_share_inside(best, others) > settings.inside_threshold)
        gone[0] = True
        order = order[~gone]
    rows = np.array(kept, np.int64)
    return FoundWindows(np.array(refined, np.float32).reshape(-1, 4), scores[rows], rows)


def _share_inside(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """float64 [N]: the intersection over the smaller of the two areas."""
    inter = boxes.intersection(box, others)[0]
    smaller = np.minimum(boxes.area(box)[0], boxes.area(others))
    return np.divide(inter, smaller, out=np.zeros_like(inter), where=smaller > 0)


def windows_to_detections(windows: Candidates, settings: SlidingWindowSettings) -> Detections:
    """`find_windows`, clipped to the image. `anchor_ids` are the rows of the surviving windows."""
    found = find_windows(windows, settings)
    xyxy = boxes.clip(found.xyxy, windows.image_size)
    inside = boxes.area(xyxy) > 0
    return Detections(
        xyxy[inside],
        found.scores[inside],
        np.zeros(inside.sum()),
        windows.image_size,
        anchor_ids=found.rows[inside],
    )


def load_sliding_window(
    folder: str | Path,
    *,
    name: str | None = None,
    source: str | None = None,
    classes: ClassMap | None = None,
    labels: str | Path | Sequence[str] | None = None,
    window_widths: Sequence[float] | None = None,
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    inside_threshold: float | None = None,
    refine_iou: float | None = None,
    pad: float | None = None,
    max_detections: int | None = None,
) -> SlidingWindow:
    """The detector of a folder `save_sliding_window` or a training wrote.

    Args:
        classes, labels: another name for its class.
        window_widths, ...: replace the folder's settings, see `SlidingWindowSettings`.

    Raises:
        ModelError: the folder holds no such detector, or its classifier cannot be read or converted.
        ConfigError: a setting out of range.
    """
    from detector.sliding.convert import to_fully_convolutional
    from detector.sliding.scan import compiled

    given = locals()
    stored = read_folder(folder)
    changes = {f.name: given[f.name] for f in fields(SlidingWindowSettings) if given[f.name] is not None}
    if classes is None and labels is not None:
        from detector.labels import choose_labels

        classes, _ = choose_labels(labels=labels, classes=None, folders=(), outputs=1)
    classifier = stored.load_classifier()
    network, geometry = to_fully_convolutional(classifier)
    if network.input_shape[-1] != 1 or network.output_shape[-1] != 2:
        raise ModelError(
            "expected a classifier from grey patches to two logits (background, object), it takes"
            f" {network.input_shape[-1]} channels and gives {network.output_shape[-1]}.",
            path=stored.classifier,
        )
    return SlidingWindow(
        compiled(network),
        geometry,
        classes or stored.classes,
        dataclasses.replace(stored.settings, **changes),
        name=name or stored.name,
        weights_hash=hash_weights(classifier),
        source=source or str(folder),
        notes=stored.notes,
        model=network,
    )


def hash_weights(classifier) -> str:
    """sha256 over a Keras model's weights in order; a .keras file itself differs each time it is written."""
    digest = hashlib.sha256()
    for array in classifier.get_weights():
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
