"""A TF2 Object Detection API SavedModel (TF Hub, zoo archive, own export) as a detector.

The interface is that of https://tfhub.dev/tensorflow/ssd_mobilenet_v2/2: one picture in, RGB, and by name
`detection_boxes` (normalised ymin, xmin, ymax, xmax), `detection_scores`, `detection_classes` (1-based
floats), `num_detections`; where there are `raw_detection_boxes` and `raw_detection_scores`, `candidates()`
works. Nothing is assumed about the network inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector import boxes
from detector.core import Candidates, ClassMap, Detections, DetectorInfo, check_images
from detector.errors import CapabilityError, ModelError
from detector.labels import choose_labels, configured_classes
from detector.models.hashing import hash_answers, hash_files
from detector.models.raw_scores import RawScores, read_layout
from detector.models.saved_model_file import OpenedModel, first_line, listed, open_model, sides

NEEDED = ("detection_boxes", "detection_scores", "detection_classes")
RAW = ("raw_detection_boxes", "raw_detection_scores")


class SavedModelDetector:
    """Loads once; safe to call from several threads at once.

    Args:
        folder: holds saved_model.pb and variables/.
        name: shown to people; the folder's name without it.
        classes, labels: the class map, or a label map's path, or the names; else found beside the model.
        signature: which one of several; "serving_default" where there is one.
        threads: TensorFlow's threads inside one operation; settled by the first model a process loads.
        opened: the same folder, where it is loaded already.

    Raises:
        ModelError: not a SavedModel, or not one with these inputs and outputs.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        name: str | None = None,
        source: str | None = None,
        classes: ClassMap | None = None,
        labels: str | Path | Sequence[str] | None = None,
        signature: str | None = None,
        threads: int | None = None,
        opened: OpenedModel | None = None,
    ):
        opened = opened or open_model(folder, signature, threads)
        folder, tf = opened.folder, opened.tf
        self._opened, self._tf, self._call = opened, tf, opened.call
        self._input, self._batch, self._fixed, self._dtype = _read_input(tf, self._call, folder)
        self._outputs = _read_outputs(opened)
        self.left_out = 0  # detections under ids the label map does not name, since loading

        probe = self._run([_probe(self._fixed)])[0]
        self._raw: RawScores | None = read_layout(probe) if set(RAW) <= self._outputs else None
        outputs = self._raw.classes if self._raw else _columns(probe)
        parents = [folder, folder / "assets", *([folder.parent] if folder.name == "saved_model" else [])]
        stated, stated_note = (outputs, ()) if outputs else configured_classes(parents)
        class_map, notes = choose_labels(labels=labels, classes=classes, folders=parents, outputs=stated)
        notes += stated_note
        self._of_external = _lookup(class_map)
        notes += opened.notes + (self._raw.notes if self._raw else ())
        if self._dtype != tf.uint8:
            notes += (
                (
                    "The input is float; it is fed RGB values 0..255, as the exporter's float_image_tensor"
                    " takes them."
                ),
            )
        if self._fixed:
            notes += (
                (
                    f"The input is fixed at {self._fixed[0]}x{self._fixed[1]}; pictures are stretched to it"
                    " (bilinear)."
                ),
            )
        capabilities = {"candidates"} if self._raw and self._raw.usable else set()
        scores = probe["detection_scores"][: _valid(probe)]
        if len(scores) and scores.min() < 0.1:
            capabilities.add("low_scores")
        elif not len(scores):
            notes += ("On an empty picture the model returned nothing; it may cut low scores itself.",)
        settings = {
            "signature": opened.signature,
            "max_detections": int(probe["detection_scores"].shape[0]),
        }
        self.info = DetectorInfo(
            name=name
            or (folder.resolve().parent.name if folder.name == "saved_model" else folder.resolve().name),
            kind="saved_model",
            class_map=class_map,
            weights_hash=hash_answers(
                hash_files(opened.pieces()), class_map, {"signature": opened.signature}
            ),
            input_size=self._fixed,
            capabilities=frozenset(capabilities),
            source=source or str(folder),
            settings=settings,
            notes=notes,
        )

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        check_images(images)
        return [
            self._detections(out, _size(image)).named(self.info.class_map)
            for image, out in zip(images, self._run(images, NEEDED))
        ]

    def candidates(self, images: Sequence[np.ndarray]) -> list[Candidates]:
        """The rows of raw_detection_boxes and raw_detection_scores, one column a class of the label map.

        Raises:
            CapabilityError: the model has no such outputs, or their numbers could not be understood.
        """
        if "candidates" not in self.info.capabilities:
            why = " ".join(self._raw.notes) if self._raw else f"it has no {RAW[0]} and {RAW[1]} outputs."
            raise CapabilityError(f"{self.info.name} does not show its candidates: {why}")
        check_images(images)
        return [self._candidates(out, _size(image)) for image, out in zip(images, self._run(images, RAW))]

    def _run(
        self, images: Sequence[np.ndarray], wanted: Sequence[str] | None = None
    ) -> list[dict[str, np.ndarray]]:
        """The wanted outputs of each image without the batch axis; pictures of one size share a batch where
        it is free.
        """
        results: list[dict[str, np.ndarray] | None] = [None] * len(images)
        for group in _groups(images, self._batch, bool(self._fixed)):
            batch = np.stack([self._fit(images[i]) for i in group])
            if self._batch and len(group) < self._batch:
                batch = np.concatenate([batch, np.repeat(batch[-1:], self._batch - len(group), axis=0)])
            try:  # a concrete function may be called from several threads at once
                out = self._call(**{self._input: self._tf.constant(batch, dtype=self._dtype)})
            except self._tf.errors.OpError as error:
                raise ModelError(
                    "The SavedModel failed on an image of"
                    f" {_size(images[group[0]])[0]}x{_size(images[group[0]])[1]}: {first_line(error)}"
                ) from error
            keys = (
                self._outputs
                if wanted is None
                else [*wanted, *({"num_detections", "detection_anchor_indices"} & self._outputs)]
            )
            arrays = {key: out[key].numpy() for key in keys}
            for place, i in enumerate(group):
                results[i] = {
                    key: value if value.ndim == 0 else value[place] for key, value in arrays.items()
                }
        return results  # type: ignore[return-value]

    def _fit(self, image: np.ndarray) -> np.ndarray:
        if self._fixed and _size(image) != self._fixed:
            import cv2

            return cv2.resize(np.ascontiguousarray(image), self._fixed, interpolation=cv2.INTER_LINEAR)
        return image

    def _detections(self, out: dict[str, np.ndarray], size: tuple[int, int]) -> Detections:
        n = _valid(out)
        xyxy = _to_pixels(out["detection_boxes"][:n], size, "detection_boxes")
        scores = np.clip(out["detection_scores"][:n].astype(np.float32), 0, 1)
        ids = np.rint(out["detection_classes"][:n]).astype(np.int64)
        inside = (ids >= 0) & (ids < len(self._of_external))
        class_ids = np.where(inside, self._of_external[np.where(inside, ids, 0)], -1)
        keep = np.flatnonzero((class_ids >= 0) & (scores > 0))
        self.left_out += int(((class_ids < 0) & (scores > 0)).sum())
        keep = keep[np.argsort(-scores[keep], kind="stable")]
        anchors = out.get("detection_anchor_indices")
        if anchors is not None:
            anchors = np.rint(anchors[:n]).astype(np.int32)[keep]
        xyxy = boxes.clip(xyxy[keep], size)
        return Detections(xyxy, scores[keep], class_ids[keep], size, anchors)

    def _candidates(self, out: dict[str, np.ndarray], size: tuple[int, int]) -> Candidates:
        scores, logits = self._raw.columns(out["raw_detection_scores"], self.info.class_map.external_ids)
        return Candidates(
            _to_pixels(out["raw_detection_boxes"], size, "raw_detection_boxes"), scores, size, logits=logits
        )


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _valid(out: dict[str, np.ndarray]) -> int:
    rows = len(out["detection_scores"])
    return min(rows, int(np.rint(out["num_detections"]))) if "num_detections" in out else rows


def _to_pixels(yxyx: np.ndarray, size: tuple[int, int], what: str) -> np.ndarray:
    """Normalised ymin, xmin, ymax, xmax to xyxy pixels, not clipped, corners in order."""
    if not np.isfinite(yxyx).all():
        raise ModelError(f"The model returned {what} that are not finite numbers; its weights are broken.")
    if what == "detection_boxes" and yxyx.size and np.abs(yxyx).max() > 4:
        raise ModelError(
            f"expected {what} normalised to 0..1, the model returned values up to {np.abs(yxyx).max():.0f};"
            " export it with the Object Detection API's exporter_main_v2.py."
        )
    xyxy = boxes.denormalise(boxes.yxyx_to_xyxy(yxyx), size).astype(np.float32)
    return boxes.ordered(xyxy)


def _lookup(class_map: ClassMap) -> np.ndarray:
    """int [max id + 1], class id of each external id, -1 where the map names none."""
    table = np.full(max(class_map.external_ids, default=0) + 1, -1, np.int64)
    table[list(class_map.external_ids)] = np.arange(len(class_map))
    return table


def _columns(probe: dict[str, np.ndarray]) -> int | None:
    """Classes without background, from detection_multiclass_scores (background first), where there is one."""
    multi = probe.get("detection_multiclass_scores")
    return multi.shape[-1] - 1 if multi is not None and multi.ndim == 2 and multi.shape[-1] > 1 else None


def _probe(fixed: tuple[int, int] | None) -> np.ndarray:
    """A picture with edges in it, run once at loading: it shows the outputs' shapes and ranges, and warms
    up.
    """
    width, height = fixed or (224, 160)
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 255 // width, y * 255 // height, ((x // 24 + y // 24) % 2) * 200], axis=-1).astype(
        np.uint8
    )
    image[height // 4 : height * 3 // 4, width // 3 : width // 2] = (200, 40, 40)
    return image


def _groups(images: Sequence[np.ndarray], batch: int | None, fixed: bool) -> list[list[int]]:
    """Positions to run together: `batch` at a time of one size (None: up to 8)."""
    groups: list[list[int]] = []
    open_groups: dict[Any, list[int]] = {}
    for i, image in enumerate(images):
        key = None if fixed else image.shape
        group = open_groups.get(key)
        if group is None or len(group) >= (batch or 8):
            group = open_groups[key] = []
            groups.append(group)
        group.append(i)
    return groups


def _read_input(tf: Any, call: Any, folder: Path):
    """Name, batch size (None: any), fixed (W, H) or None, and dtype of the one image input."""
    specs = call.structured_input_signature[1]
    described = listed(specs)
    want = "expected one input, an RGB image uint8 or float32 [1, height, width, 3]"
    if len(specs) != 1:
        raise ModelError(f"{want}, the SavedModel takes {described}.", path=folder)
    name, spec = next(iter(specs.items()))
    if spec.dtype == tf.string:
        raise ModelError(
            f"{want}, the SavedModel takes {described}: encoded files; export it with --input_type"
            " image_tensor.",
            path=folder,
        )
    shape = sides(spec) or [None] * 4
    if spec.dtype not in (tf.uint8, tf.float32) or len(shape) != 4 or shape[3] not in (3, None):
        raise ModelError(f"{want}, the SavedModel takes {described}.", path=folder)
    fixed = (shape[2], shape[1]) if shape[1] and shape[2] else None
    return name, shape[0], fixed, spec.dtype


def _read_outputs(opened: OpenedModel) -> set[str]:
    have = opened.outputs
    missing = [name for name in NEEDED if name not in have]
    if missing:
        raise ModelError(
            f"expected the Object Detection API's outputs {', '.join(NEEDED)}; {', '.join(missing)} is"
            f" missing, found {listed(have)}. A detector of another kind can be shown through a COCO results"
            " file.",
            path=opened.folder,
        )
    return set(have)
