"""The SSD networks with weights from a zoo archive, a checkpoint or a SavedModel."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector.core import ClassMap
from detector.errors import ModelError
from detector.labels import choose_labels
from detector.models.keras_ssd import KerasSSD
from detector.ssd import postprocess
from detector.ssd.config import SSDConfig
from detector.ssd.zoo.restore import (
    CLASS_BIAS,
    Restored,
    class_outputs,
    restore_checkpoint,
    restore_saved_model,
)

log = logging.getLogger(__name__)


def load_zoo(
    path: str | os.PathLike,
    *,
    name: str | None = None,
    source: str | None = None,
    classes: ClassMap | None = None,
    labels: str | Path | Sequence[str] | None = None,
    verify: bool | None = None,
    runtime: str = "auto",
    threads: int | None = None,
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    max_detections_per_class: int | None = None,
    max_total_detections: int | None = None,
) -> KerasSSD:
    """A zoo archive (folder or .tar.gz) or another folder with `pipeline.config` and a checkpoint, as a
    detector.

    Args:
        classes, labels: the class map, or a label map's path, or the names; else found in the folder, else
            COCO's.
        verify: see `detector.ssd.zoo.restore.restore_checkpoint`.
        source: where it came from, for `info.source`; the path without it.
        score_threshold, ...: replace the pipeline.config's.

    Raises:
        ModelError: no checkpoint, damaged, or not the network its pipeline.config describes; names the
            tensor.
        ConfigError: the pipeline.config says something that is not supported.
    """
    from detector.archive import is_archive, unpack

    folder = unpack(path) if is_archive(path) else Path(path)
    if not (folder / "pipeline.config").is_file():
        inside = [p.parent for p in folder.glob("*/pipeline.config")]
        folder = inside[0] if len(inside) == 1 else folder
    restored = restore_checkpoint(folder, verify=verify)
    changes = _changes(score_threshold, iou_threshold, max_detections_per_class, max_total_detections)
    if restored.record:
        notes = [f"Every tensor is the one published in {restored.record.name} (CRC-32C compared)."]
    else:
        notes = ["Its weights are none of the published zoo's, as after any own training."]
    options = {"name": name, "source": source or str(path), "runtime": runtime, "threads": threads}
    return _detector(
        restored, [folder, folder / "saved_model" / "assets"], classes, labels, changes, notes, options
    )


def try_from_saved_model(
    folder: str | os.PathLike,
    *,
    name: str | None = None,
    source: str | None = None,
    classes: ClassMap | None = None,
    labels: str | Path | Sequence[str] | None = None,
    verify: bool | None = None,
    runtime: str = "auto",
    threads: int | None = None,
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    max_detections_per_class: int | None = None,
    max_total_detections: int | None = None,
) -> KerasSSD | None:
    """A SavedModel (zoo, TF Hub, own export) of one of the three networks, opened; None where it is another
    one.

    Why not is logged and can be asked with `why_not_open`. Published weights are proved by their CRC-32C
    values; others by running both networks on a picture: only where every raw box and score is equal is it
    opened.

    Raises:
        ModelError: the files are damaged, or not the published ones where `verify` asks for them.
    """
    folder = Path(folder)
    changes = _changes(score_threshold, iou_threshold, max_detections_per_class, max_total_detections)
    options = {"name": name, "source": source or str(folder), "runtime": runtime, "threads": threads}
    found = _open_saved_model(folder, classes, labels, verify, changes, options)
    if isinstance(found, str):
        log.info("%s stays a black box: %s.", folder, found)
        return None
    return found


def why_not_open(folder: str | os.PathLike) -> str:
    """A sentence that says why a SavedModel stays a black box; "" where it need not."""
    found = _open_saved_model(Path(folder), None, None, None, {}, {})
    return f"It stays a black box: {found}." if isinstance(found, str) else ""


def _open_saved_model(folder: Path, classes, labels, verify, changes, options) -> KerasSSD | str:
    restored = restore_saved_model(folder, verify=verify)
    if isinstance(restored, str):
        return restored
    folders = [folder, folder / "assets", folder.parent]
    if restored.record:
        notes = [
            "Opened from a SavedModel's variables; every tensor is the one published in"
            f" {restored.record.name} (CRC-32C compared)."
        ]
        return _detector(restored, folders, classes, labels, changes, notes, options)
    notes = [
        "Opened from a SavedModel's variables; on a test picture its raw boxes and scores are equal to the"
        " SavedModel's."
    ]
    detector = _detector(restored, folders, classes, labels, changes, notes, options)
    try:
        difference = _difference(detector, folder)
    except ModelError as error:
        return f"its variables do not fit the network they are named like ({error})"
    if not difference < 1e-3:
        return (
            f"with its variables the network answers differently (by {difference:.3g}), so its inside is"
            " another"
        )
    return detector


def _difference(detector: KerasSSD, folder: Path) -> float:
    """The largest difference between the raw boxes and scores of a SavedModel and of the network opened from
    it.
    """
    from detector.models.saved_model_file import import_tensorflow

    tf = import_tensorflow()
    image = np.random.default_rng(0).integers(0, 256, (211, 307, 3), dtype=np.uint8)
    try:
        serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
        (key, spec), *_ = serve.structured_input_signature[1].items()
        out = serve(**{key: tf.cast(image[None], spec.dtype)})
        boxes, scores = out["raw_detection_boxes"].numpy()[0], out["raw_detection_scores"].numpy()[0]
    except Exception as error:  # TensorFlow raises a dozen types here
        raise ModelError(
            f"it cannot be run for comparison: {str(error).splitlines()[0]}", path=folder
        ) from error
    raw = detector.network(detector.preprocess(image)[None], training=False)
    import keras

    codes, logits = (keras.ops.convert_to_numpy(raw[key])[0] for key in ("box_encodings", "class_logits"))
    ours = detector.coder.decode(codes, detector.anchors.boxes)
    if boxes.shape != ours.shape or scores.shape != logits.shape:
        return float("inf")
    return float(max(np.abs(boxes - ours).max(), np.abs(scores - postprocess.sigmoid(logits)).max()))


def _detector(
    restored: Restored, folders: Sequence[Path], classes, labels, changes, notes, options
) -> KerasSSD:
    config = restored.config
    if changes:
        config = config.with_(postprocess=dataclasses.replace(config.postprocess, **changes))
    if restored.record and not config.name:
        config = config.with_(name=restored.record.name)
    if labels is None and classes is None and restored.pipeline and restored.pipeline.label_map_path:
        beside = folders[0] / Path(restored.pipeline.label_map_path).name
        labels = beside if beside.is_file() else None
    class_map, more = choose_labels(
        labels=labels, classes=classes, folders=folders, outputs=config.num_classes
    )
    detector = KerasSSD(
        config,
        restored.arrays,
        class_map,
        outputs=[i - 1 for i in class_map.external_ids],
        notes=(*notes, *more),
        **options,
    )
    _check_keys(detector, restored)
    return detector


def _check_keys(detector: KerasSSD, restored: Restored) -> None:
    """Refuse weights of another structure now, not when the network is first used.

    Raises:
        ModelError: naming the tensor.
    """
    want = weight_keys(detector.config)
    missing, left = sorted(want - set(restored.arrays)), sorted(set(restored.arrays) - want)
    if missing or left:
        what = f"lacks {missing[0]}" if missing else f"holds {left[0]} besides"
        raise ModelError(
            f"expected a checkpoint of {detector.config.architecture} as its pipeline.config says, it {what}."
        )
    outputs = class_outputs(restored.arrays, detector.config)
    if outputs != detector.config.num_classes:
        raise ModelError(
            f"its pipeline.config says num_classes {detector.config.num_classes}, its class head has"
            f" {outputs} classes (tensor {CLASS_BIAS} ...)."
        )


def weight_keys(config: SSDConfig) -> set[str]:
    """The checkpoint keys of a network. They depend on the architecture (and tower length) only."""
    from detector.ssd.zoo.restore import zoo_records

    record = next(r for r in zoo_records().values() if r.config().architecture == config.architecture)
    if config.tower_layers == record.config().tower_layers:
        return set(record.masked_crcs)
    from detector.ssd.layers import checkpoint_variables
    from detector.ssd.model import build_ssd

    return set(checkpoint_variables(build_ssd(config)))


def _changes(
    score: float | None, iou: float | None, per_class: int | None, total: int | None
) -> dict[str, Any]:
    named = {
        "score_threshold": score,
        "iou_threshold": iou,
        "max_detections_per_class": per_class,
        "max_total_detections": total,
    }
    return {name: value for name, value in named.items() if value is not None}
