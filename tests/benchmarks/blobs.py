"""Generated pictures of bright rectangles, and a cheap detector that truly looks for them; Ray workers import
it by name.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from detector.core import ClassMap, Detections, DetectorInfo

WIDTH, HEIGHT = 160, 120
CLASSES = ClassMap(("wide", "tall"))


def draw(folder: Path, count: int) -> Path:
    """`count` JPEG files of 160x120 in folders of a thousand, two of them torn; nothing where they are there
    already.
    """
    for i in range(count):
        path = folder / f"{i // 1000:03d}" / f"{i:06d}.jpg"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(i)
        small = rng.integers(0, 90, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
        image = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        for _ in range(int(rng.integers(0, 9))):
            x, y = int(rng.integers(0, WIDTH - 60)), int(rng.integers(0, HEIGHT - 60))
            w, h = (int(v) for v in rng.integers(12, 60, 2))
            cv2.rectangle(image, (x, y), (x + w, y + h), tuple(int(v) for v in rng.integers(150, 255, 3)), -1)
        content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        path.write_bytes(content[: len(content) // 2] if i % 10_000 == 77 else content)
    return folder


class BlobDetector:
    """Bright connected regions as boxes, scored by their mean brightness."""

    def __init__(self) -> None:
        self.info = DetectorInfo("blobs", "blobs", CLASSES, "blobs-1", capabilities=frozenset({"low_scores"}))

    def detect(self, images):
        return [self._one(image) for image in images]

    def _one(self, image: np.ndarray) -> Detections:
        grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (7, 7), 0)
        _, bright = cv2.threshold(grey, 120, 255, cv2.THRESH_BINARY)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(bright)
        keep = np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= 16) + 1
        sums = np.bincount(labels.ravel(), weights=grey.ravel(), minlength=count)
        x, y, w, h = (stats[keep, c].astype(np.float32) for c in range(4))
        scores = np.float32(sums[keep] / stats[keep, cv2.CC_STAT_AREA] / 255)
        order = np.argsort(-scores, kind="stable")
        boxes = np.stack([x, y, x + w, y + h], axis=1)[order]
        return Detections(
            boxes, scores[order], (h > w)[order].astype(np.int32), (image.shape[1], image.shape[0])
        )


def load_blobs() -> BlobDetector:
    cv2.setNumThreads(1)
    return BlobDetector()
