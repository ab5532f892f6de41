"""The result of a training as a detector: the folder `detector.training.ssd.training.train` returned."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from detector.core import ClassMap
from detector.labels import choose_labels
from detector.models.keras_ssd import KerasSSD
from detector.ssd.stored import read_ssd
from detector.ssd.weights import load_arrays


def is_trained(folder: str | os.PathLike) -> bool:
    """Whether a folder is a training's with weights to load."""
    return (Path(folder) / "detector.json").is_file() and (Path(folder) / "weights.npz").is_file()


def load_trained(
    folder: str | os.PathLike,
    *,
    name: str | None = None,
    source: str | None = None,
    classes: ClassMap | None = None,
    labels: str | Path | Sequence[str] | None = None,
    runtime: str = "auto",
    threads: int | None = None,
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    max_detections_per_class: int | None = None,
    max_total_detections: int | None = None,
) -> KerasSSD:
    """The best weights of a training (so far, if it is still running) as a detector.

    Args:
        classes, labels: other names for its classes, as many.
        runtime, threads: as in `KerasSSD`.
        score_threshold, ...: replace the network's post-processing settings.

    Raises:
        RunError: no training lies here. ModelError: it has no weights yet, or was written by another version.
    """
    stored = read_ssd(folder)
    config, class_map = stored.config, stored.classes
    changes = {
        "score_threshold": score_threshold,
        "iou_threshold": iou_threshold,
        "max_detections_per_class": max_detections_per_class,
        "max_total_detections": max_total_detections,
    }
    changes = {key: value for key, value in changes.items() if value is not None}
    if changes:
        config = config.with_(postprocess=dataclasses.replace(config.postprocess, **changes))
    notes: tuple[str, ...] = ()
    if classes is not None or labels is not None:
        class_map, notes = choose_labels(
            labels=labels, classes=classes, folders=(), outputs=config.num_classes
        )
    arrays, meta = load_arrays(stored.weights)
    if meta.get("figure"):
        notes = (
            *notes,
            f"Weights of step {meta['step']}, the best by {meta['figure']} ({meta['value']:.4g}).",
        )
    return KerasSSD(
        config,
        arrays,
        class_map,
        outputs=[i - 1 for i in class_map.external_ids],
        name=name or Path(folder).resolve().name,
        source=source or str(folder),
        notes=notes,
        runtime=runtime,
        threads=threads,
    )
