"""A fully convolutional patch classifier over an image pyramid, as a detector.

Each scale of the pyramid looks for windows of one size in the original image. A cell of the confidence map is
a window; windows above the threshold go through NMS, and each survivor is moved to the mean of the windows it
suppressed, weighted by their odds (refinement).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import cv2
import numpy as np

from detector import boxes
from detector.core import Candidates, ClassMap, Detections, DetectorInfo, check_images
from detector.data.uiuc import to_grey
from detector.errors import ConfigError
from detector.sliding.convert import WindowGeometry


@dataclass(frozen=True)
class SlidingWindowSettings:
    """What decides the answers besides the weights.

    Args:
        window_widths: widths, in pixels of the original image, of the windows looked for; heights follow the patch.
        score_threshold: windows below it are not detections.
        iou_threshold: NMS suppresses a window that overlaps a better one by more.
        refine_iou: windows overlapping a survivor by at least this move it; 1 switches refinement off.
        pad: share of the window by which the border is repeated, so that objects cut by it are found; 0..0.5.
        max_detections: an image.

    Raises:
        ConfigError: a value out of range.
    """

    window_widths: tuple[float, ...] = (100.0,)
    score_threshold: float = 0.01
    iou_threshold: float = 0.2
    refine_iou: float = 0.5
    pad: float = 0.2
    max_detections: int = 100

    def __post_init__(self) -> None:
        object.__setattr__(self, "window_widths", tuple(float(w) for w in self.window_widths))
        if not self.window_widths or min(self.window_widths) <= 0:
            raise ConfigError(f"window_widths: expected at least one positive width in pixels, got {self.window_widths}.")
        for name in ("score_threshold", "iou_threshold", "refine_iou"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: expected 0..1, got {getattr(self, name)}.")
        if not 0 <= self.pad <= 0.5 or self.max_detections < 1:
            raise ConfigError(f"expected pad in 0..0.5 and max_detections of at least 1, got {self.pad} and {self.max_detections}.")


@dataclass(frozen=True)
class ConfidenceMap:
    """One scale's answer: probability of the object in each window.

    Args:
        scores: float32 [rows, columns] in 0..1; [0, 0] where no window of this size fits the image.
        xyxy: float32 [rows * columns, 4], each window in pixels of the original image, not clipped.
        window_width: pixels of the original image.
    """

    scores: np.ndarray
    xyxy: np.ndarray
    window_width: float


class SlidingWindow:
    """A detector of one class from a fully convolutional patch classifier.

    Args:
        network: float32 grey [B, H, W, 1] in 0..1 to logits [B, rows, columns, 2] (background, object).
        geometry: of its windows, from `to_fully_convolutional`.
        classes: one class.
        settings: scales, thresholds, refinement.
        name, weights_hash, source: for `info`.
    """

    def __init__(
        self, network, geometry: WindowGeometry, classes: ClassMap, settings: SlidingWindowSettings | None = None, *,
        name: str = "sliding window", weights_hash: str = "", source: str = "",
    ):
        self._network, self.geometry = network, geometry
        self.settings = settings or SlidingWindowSettings()
        self._lock = threading.Lock()
        exact = () if geometry.exact else ("its convolutions are padded: inside an image a window sees its real neighbours, so the map differs a little from the classifier on cut-out patches",)
        self.info = DetectorInfo(
            name=name, kind="sliding_window", class_map=classes, weights_hash=weights_hash, input_size=None,
            capabilities=frozenset({"candidates", "anchors", "low_scores"}), source=source,
            settings=asdict(self.settings), notes=exact,
        )

    def confidence_maps(self, image: np.ndarray) -> list[ConfidenceMap]:
        """One map a window width, in the order of `settings.window_widths`."""
        check_images([image])
        grey = to_grey(image)
        return [self._one_scale(grey, width) for width in self.settings.window_widths]

    def _one_scale(self, grey: np.ndarray, window_width: float) -> ConfidenceMap:
        patch_width, patch_height = self.geometry.window
        height, width = grey.shape
        scale_x = max(1, round(width * patch_width / window_width)) / width
        scale_y = max(1, round(height * patch_width / window_width)) / height
        size = (round(width * scale_x), round(height * scale_y))
        scaled = grey if size == (width, height) else cv2.resize(
            grey, size, interpolation=cv2.INTER_AREA if scale_x < 1 else cv2.INTER_LINEAR
        )
        pad_x, pad_y = (round(self.settings.pad * side) for side in (patch_width, patch_height))
        padded = cv2.copyMakeBorder(scaled, pad_y, pad_y, pad_x, pad_x, cv2.BORDER_REPLICATE)
        columns, rows = self.geometry.map_size((padded.shape[1], padded.shape[0]))
        if not columns:
            return ConfidenceMap(np.zeros((0, 0), np.float32), np.zeros((0, 4), np.float32), window_width)
        batch = padded[None, :, :, None].astype(np.float32) / 255
        with self._lock:
            logits = np.asarray(self._network(batch))[0]
        margin = np.clip(logits[..., 1] - logits[..., 0], -80, 80)
        scores = (1 / (1 + np.exp(-margin))).astype(np.float32)
        corner = np.array([pad_x, pad_y, pad_x, pad_y])
        xyxy = (self.geometry.boxes(columns, rows) - corner) / np.array([scale_x, scale_y] * 2)
        return ConfidenceMap(scores, xyxy.astype(np.float32), window_width)

    def candidates(self, images: Sequence[np.ndarray]) -> list[Candidates]:
        """Every window of every scale; the level is the scale's place, the anchor the window itself."""
        check_images(images)
        return [self._candidates(image) for image in images]

    def _candidates(self, image: np.ndarray) -> Candidates:
        maps = self.confidence_maps(image)
        xyxy = np.concatenate([m.xyxy for m in maps])
        scores = np.concatenate([m.scores.reshape(-1, 1) for m in maps])
        levels = np.repeat(np.arange(len(maps)), [m.scores.size for m in maps])
        return Candidates(xyxy, scores, (image.shape[1], image.shape[0]), anchors=xyxy, levels=levels)

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        check_images(images)
        return [windows_to_detections(self._candidates(image), self.settings) for image in images]


def windows_to_detections(windows: Candidates, settings: SlidingWindowSettings) -> Detections:
    """Threshold, NMS, refinement, clipping. `anchor_ids` are the rows of the surviving windows."""
    scores = windows.scores[:, 0]
    order = np.flatnonzero(scores >= settings.score_threshold)
    order = order[np.argsort(-scores[order], kind="stable")]
    kept, refined = [], []
    while len(order) and len(kept) < settings.max_detections:
        best = order[0]
        overlap = boxes.iou(windows.xyxy[best], windows.xyxy[order])[0]
        near = order[overlap >= settings.refine_iou] if settings.refine_iou < 1 else order[:1]
        weight = scores[near].astype(np.float64) / np.maximum(1 - scores[near], 1e-3)
        refined.append(np.average(windows.xyxy[near], axis=0, weights=weight))
        kept.append(best)
        order = order[1:][overlap[1:] <= settings.iou_threshold]
    if not kept:
        return Detections.empty(windows.image_size)
    xyxy = boxes.clip(np.array(refined, np.float32), windows.image_size)
    inside = boxes.area(xyxy) > 0
    kept = np.array(kept)[inside]
    return Detections(xyxy[inside], scores[kept], np.zeros(len(kept)), windows.image_size, anchor_ids=kept)
