"""The figures a training is judged by while it runs: the ones the finished detector will be evaluated
with.
"""

from __future__ import annotations

from detector.core import Detector
from detector.data.dataset import Dataset

BATCH = 8


def average_precision(detector: Detector, dataset: Dataset) -> dict[str, float]:
    """AP and AP50 of a detector on labelled images, by COCO's rule; AP comes first, so it decides which
    weights are best.

    Raises:
        ImageError: an image cannot be read.
    """
    from analysis.metrics.evaluate import evaluate
    from analysis.runs.in_memory import run_from_detections

    found = []
    for start in range(0, len(dataset), BATCH):
        found += detector.detect(
            [dataset.load_image(i) for i in range(start, min(start + BATCH, len(dataset)))]
        )
    figures = evaluate(run_from_detections(dataset, found, detector.info)).figures
    return {name: 0.0 if figures[name] is None else float(figures[name]) for name in ("AP", "AP50")}
