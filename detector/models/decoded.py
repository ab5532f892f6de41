"""A network whose outputs one of `detector.models.decoders` reads, in whatever container it comes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector.boxes import clip
from detector.core import Candidates, ClassMap, Detections, DetectorInfo, check_images
from detector.errors import CapabilityError, ModelError
from detector.labels import choose_labels
from detector.models.decoders.input_rule import FITS, InputRule, fitted, place
from detector.models.decoders.interface import Decoder
from detector.models.decoders.recognition import find_decoder, probe_image
from detector.models.hashing import hash_answers, hash_files
from detector.models.network import Network
from detector.nms import PostprocessSettings, replay

GENERIC_NAMES = {
    "detect",
    "detect_quant",
    "model",
    "model_quant",
    "model_float",
    "best",
    "last",
    "export",
    "saved_model",
}
"""File names that say nothing: the folder's name says more."""
PROBE_RULE = InputRule()


class DecodedDetector:
    """Loads once; safe to call from several threads. Follows `Detector` and `Staged`.

    Args:
        network: the file, opened by its runtime.
        classes, labels: the class map, or a label map's path, or the names; else from the file's metadata,
            else found beside it, else COCO's where the number of classes fits.
        family: one of `recognition.FAMILIES`; None lets the file decide.
        fit: one of `input_rule.FITS`; channels: "RGB" or "BGR"; input_range: (low, high) of the real input.
            Each None takes what the family is trained on.
        postprocess: settings of `PostprocessSettings` by name, to change the family's.

    Raises:
        ModelError: no known family reads its outputs; says what it is, and what works instead.
    """

    def __init__(
        self,
        network: Network,
        *,
        name: str | None = None,
        source: str | None = None,
        classes: ClassMap | None = None,
        labels: str | Path | Sequence[str] | None = None,
        family: str | None = None,
        fit: str | None = None,
        channels: str | None = None,
        input_range: tuple[float, float] | None = None,
        postprocess: dict[str, Any] | None = None,
    ):
        self._network, file = network, network.file
        self.input_size = file.size
        decoder = find_decoder(file, network.run(probe_image(file.size), PROBE_RULE), family)
        self._decoder: Decoder = decoder
        self._rule = _changed(decoder.rule, fit, channels, input_range)
        self._settings = _settled(decoder.settings, postprocess or {})
        folders = [file.path.parent] if file.path.is_file() else [file.path, file.path / "assets"]
        class_map, label_notes = choose_labels(
            labels=labels, classes=classes, folders=folders, outputs=decoder.classes, packed=file.labels
        )
        self._columns = np.array(class_map.external_ids, np.int64) - 1 + decoder.background
        self.left_out = 0  # detections of classes that the label map does not name: they get no column
        shown = decoder.unit != "box"
        settings = {
            "family": decoder.family,
            "decided_by": decoder.decided_by,
            "input": f"{network.input_words}, {self._rule.words()}",
            "resize": FITS[self._rule.fit],
            **dataclasses.asdict(self._settings),
        }
        if shown:
            settings |= {"class_agnostic": decoder.class_agnostic, "candidates": decoder.unit}
        stem = file.path.stem
        self.info = DetectorInfo(
            name=name or (file.path.parent.resolve().name if stem in GENERIC_NAMES else stem),
            kind=file.container,
            class_map=class_map,
            weights_hash=hash_answers(hash_files(network.pieces), class_map, _deciding(settings)),
            input_size=file.size,
            capabilities=frozenset({"candidates", "low_scores"} if shown else {"low_scores"}),
            source=source or str(file.path),
            settings=settings,
            notes=network.notes + decoder.notes + label_notes,
        )

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        check_images(images)
        return [self._detected(self._fitted(image), (image.shape[1], image.shape[0])) for image in images]

    def candidates(self, images: Sequence[np.ndarray]) -> list[Candidates]:
        """A row per cell, anchor or query, a column per class of the label map.

        Raises:
            CapabilityError: the file suppresses inside.
        """
        self._needs_candidates()
        check_images(images)
        return [self._shown(self._fitted(image), (image.shape[1], image.shape[0])) for image in images]

    def resized(self, image: np.ndarray) -> np.ndarray:
        """One picture at the input's size, float32 RGB 0..255 (`detector.core.Staged`)."""
        return self._fitted(image).astype(np.float32)

    def detect_resized(
        self, pixels: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        """`detect` from `resized` pictures of originals of these (W, H)."""
        return [self._detected(p, size) for p, size in zip(pixels, sizes)]

    def candidates_resized(
        self, pixels: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]]
    ) -> list[Candidates]:
        """`candidates` from `resized` pictures."""
        self._needs_candidates()
        return [self._shown(p, size) for p, size in zip(pixels, sizes)]

    def _needs_candidates(self) -> None:
        if "candidates" not in self.info.capabilities:
            raise CapabilityError(f"{self.info.name} does not show its candidates. {self._decoder.notes[0]}")

    def _fitted(self, image: np.ndarray) -> np.ndarray:
        return fitted(image, self.input_size, self._rule)

    def _detected(self, pixels: np.ndarray, size: tuple[int, int]) -> Detections:
        agnostic = self._decoder.class_agnostic
        found = replay(self._decoded(pixels, size), self._settings, class_agnostic=agnostic)
        found = found.named(self.info.class_map)
        if "candidates" in self.info.capabilities:
            return found
        return dataclasses.replace(found, anchor_ids=None)

    def _decoded(self, pixels: np.ndarray, size: tuple[int, int]) -> Candidates:
        xyxy, scores, logits = self._decoder.rows(self._network.run(pixels, self._rule))
        if not np.isfinite(xyxy).all() or not np.isfinite(scores).all():
            raise ModelError(
                "the network returned boxes or scores that are not finite numbers; its weights or its input"
                " are broken.",
                path=self._network.file.path,
            )
        at = place(size, self.input_size, self._rule.fit)
        return Candidates(at.to_image(xyxy), self._pick(scores), size, logits=self._pick(logits, -100.0))

    def _shown(self, pixels: np.ndarray, size: tuple[int, int]) -> Candidates:
        c, d = self._decoded(pixels, size), self._decoder
        at = place(size, self.input_size, self._rule.fit)
        anchors = None if d.anchors is None else at.to_image(d.anchors)
        cells = None if d.cells is None else clip(at.to_image(d.cells), size)
        return dataclasses.replace(c, levels=d.levels, anchors=anchors, cells=cells)

    def _pick(self, table: np.ndarray | None, absent: float = 0.0) -> np.ndarray | None:
        """Columns in class map order; a class the file has no column for gets `absent`."""
        if table is None or np.array_equal(self._columns, np.arange(table.shape[1])):
            return table
        inside = self._columns < table.shape[1]
        picked = table[:, np.where(inside, self._columns, 0)]
        picked[:, ~inside] = absent
        return picked


def _changed(
    rule: InputRule, fit: str | None, channels: str | None, input_range: tuple[float, float] | None
) -> InputRule:
    if channels not in (None, "RGB", "BGR"):
        raise ModelError(f"channels: expected RGB or BGR, got {channels!r}.")
    changes: dict[str, Any] = {} if fit is None else {"fit": fit}
    if channels is not None:
        changes["bgr"] = channels == "BGR"
    if input_range is not None:
        low, high = input_range
        step = (high - low) / 255
        changes |= {"mean": (-low / step,), "std": (1 / step,)}
    return dataclasses.replace(rule, **changes)


def _settled(settings: PostprocessSettings, changes: dict[str, Any]) -> PostprocessSettings:
    total = int(changes.get("max_total_detections", settings.max_total_detections))
    per_class = min(changes.get("max_detections_per_class", settings.max_detections_per_class), total)
    return dataclasses.replace(settings, **{**changes, "max_detections_per_class": per_class})


def _deciding(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that change answers; how they were found out does not."""
    return {key: value for key, value in settings.items() if key != "decided_by"}
