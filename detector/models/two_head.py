"""A two-head network as a detector: one box a picture, with the likeliest of its classes.

Its candidates are one row: the box, and the softmax share of every class. The detections are the `top_k`
classes on that box, so a picture has several detections in one place, of which the first is the network's
answer.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.core import Candidates, ClassMap, Detections, DetectorInfo, check_images
from detector.errors import ModelError
from detector.models.hashing import hash_answers
from detector.nms import PostprocessSettings, replay
from detector.ssd.litert import weights_digest
from detector.ssd.weights import load_arrays
from detector.two_head.config import TwoHeadConfig
from detector.two_head.frames import whole
from detector.two_head.gradients import TwoHeadGradients
from detector.two_head.stored import TwoHeadSettings, read_two_head

if TYPE_CHECKING:
    import keras

BATCH = 8  # pictures a call; a smaller rest is filled up, so that one graph serves all

Answer = Callable[[np.ndarray], Mapping[str, Any]]


def postprocess_settings(settings: TwoHeadSettings) -> PostprocessSettings:
    """One detection a class, `top_k` in all, as the rule all detectors share."""
    return PostprocessSettings(
        score_threshold=settings.score_threshold,
        max_detections_per_class=1,
        max_total_detections=settings.top_k,
    )


class TwoHeadDetector(TwoHeadGradients):
    """Safe to call from several threads (one batch at a time goes through the network).

    Args:
        config: the network; classes: K of them, as many as it has outputs.
        arrays: its weights (`detector.two_head.network.arrays_of`).
        settings: how many classes, mirror average.
        name, source, notes: as in `DetectorInfo`.

    Raises:
        ModelError: classes or weights do not fit the network.
    """

    def __init__(
        self,
        config: TwoHeadConfig,
        arrays: Mapping[str, np.ndarray],
        classes: ClassMap,
        settings: TwoHeadSettings | None = None,
        *,
        name: str = "two heads",
        source: str = "",
        notes: Sequence[str] = (),
    ):
        if len(classes) != config.num_classes:
            raise ModelError(
                f"expected names for the network's {config.num_classes} classes, got {len(classes)}:"
                f" {', '.join(classes.names[:8])}."
            )
        self.config, self.settings, self._arrays = config, settings or TwoHeadSettings(), dict(arrays)
        self._lock = threading.Lock()
        self._network: keras.Model | None = None
        self._answering: Answer | None = None
        self.postprocess_settings = postprocess_settings(self.settings)
        notes = (
            *notes,
            "It gives one box a picture, with its likeliest classes on it; further objects are never found.",
        )
        if config.heads == "class":
            notes = (*notes, "It has a class head alone: its box is the whole picture.")
        if config.heads == "box":
            notes = (*notes, "It has a box head alone: its one class is always certain.")
        shown = asdict(self.postprocess_settings) | {
            "flip_average": self.settings.flip_average,
            "resize": config.resize,
        }
        self.info = DetectorInfo(
            name=name,
            kind="two_head",
            class_map=classes,
            input_size=config.input_size,
            source=source,
            settings=shown,
            notes=notes,
            weights_hash=hash_answers(weights_digest(self._arrays), classes, {**shown, **config.as_dict()}),
            capabilities=frozenset({"candidates", "low_scores"} | _gradients(config)),
        )

    @property
    def network(self) -> keras.Model:
        """The Keras model with its weights (`detector.two_head.network.build_two_head`), built when first
        asked for.

        Raises:
            ModelError: the weights are of another network.
        """
        with self._lock:
            return self._built()

    def _built(self) -> keras.Model:
        if self._network is None:
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
            from detector.two_head.network import assign, build_two_head

            network = build_two_head(self.config)
            assign(network, self._arrays)
            self._network = network
        return self._network

    @property
    def weights(self) -> Mapping[str, np.ndarray]:
        """The weights by key (`detector.two_head.network.weights_by_key`)."""
        return dict(self._arrays)

    def answering(self) -> keras.Model:
        """Pixels float32 [B, height, width, 3] in 0..255 to {"boxes", "scores"}, see
        `detector.two_head.network.answering`.
        """
        from detector.two_head.network import answering

        return answering(self.network, self.config, flip_average=self.settings.flip_average)

    def replace_weights(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Other weights in the same graph, for a training that judges itself; `info` keeps the hash it
        had.
        """
        from detector.two_head.network import assign

        with self._lock:
            assign(self._built(), arrays)

    def candidates(self, images: Sequence[np.ndarray]) -> list[Candidates]:
        """One row an image: its box, not clipped, and the share of each class.

        Raises:
            ModelError: the network's answers are not finite numbers.
        """
        check_images(images)
        return self.candidates_resized(
            [self.resized(image) for image in images], [(image.shape[1], image.shape[0]) for image in images]
        )

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """The box of each image with its `top_k` classes, best first."""
        return [
            replay(found, self.postprocess_settings).named(self.info.class_map)
            for found in self.candidates(images)
        ]

    def resized(self, image: np.ndarray) -> np.ndarray:
        """The picture as the network takes it, see `detector.core.Staged`."""
        return (
            whole((image.shape[1], image.shape[0]), self.config.input_size, self.config.resize)
            .pixels(image)
            .astype(np.float32)
        )

    def candidates_resized(
        self, pixels: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]]
    ) -> list[Candidates]:
        return [
            self._candidates(size, box, scores) for size, (box, scores) in zip(sizes, self._answers(pixels))
        ]

    def detect_resized(
        self, pixels: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        return [replay(found, self.postprocess_settings) for found in self.candidates_resized(pixels, sizes)]

    def _candidates(self, size: tuple[int, int], box: np.ndarray, scores: np.ndarray) -> Candidates:
        if not (np.isfinite(box).all() and np.isfinite(scores).all()):
            raise ModelError(
                f"{self.info.name}: the network answered with numbers that are not finite; its weights are"
                " broken."
            )
        xyxy = whole(size, self.config.input_size, self.config.resize).to_picture(box)
        return Candidates(xyxy[None], np.clip(scores, 0, 1)[None], size)

    def _answers(self, pixels: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        answers: list[tuple[np.ndarray, np.ndarray]] = []
        width, height = self.config.input_size
        for start in range(0, len(pixels), BATCH):
            part = pixels[start : start + BATCH]
            batch = np.zeros((1 if len(pixels) == 1 else BATCH, height, width, 3), np.float32)
            batch[: len(part)] = part
            if self._answering is None:
                self._answering = self.answering().predict_on_batch
            with self._lock:
                out = self._answering(batch)
            answers += [(out["boxes"][i], out["scores"][i]) for i in range(len(part))]
        return answers


def _gradients(config: TwoHeadConfig) -> set[str]:
    if not config.has_classes or importlib.util.find_spec("keras") is None:
        return set()
    return {"gradients", "box_gradients"} if config.has_boxes else {"gradients"}


def load_two_head(
    folder: str | os.PathLike,
    *,
    name: str | None = None,
    source: str | None = None,
    classes: ClassMap | None = None,
    labels: str | Path | Sequence[str] | None = None,
    top_k: int | None = None,
    flip_average: bool | None = None,
    score_threshold: float | None = None,
) -> TwoHeadDetector:
    """The detector of a two-head training's folder: its weights so far.

    Args:
        classes, labels: other names for its classes, as many.
        top_k, flip_average, score_threshold: replace the folder's settings, see `TwoHeadSettings`.

    Raises:
        ModelError: no such training, no weights yet, or classes that do not fit. ConfigError: a setting out
            of range.
    """
    stored = read_two_head(folder)
    changes = {
        k: v
        for k, v in (("top_k", top_k), ("flip_average", flip_average), ("score_threshold", score_threshold))
        if v is not None
    }
    notes: tuple[str, ...] = ()
    class_map = classes or stored.classes
    if classes is None and labels is not None:
        from detector.labels import choose_labels

        class_map, notes = choose_labels(
            labels=labels, classes=None, folders=(), outputs=stored.config.num_classes
        )
    if not stored.weights.is_file():
        raise ModelError(
            "expected weights, there are none yet: the training that makes them has not got that far.",
            path=stored.weights,
        )
    arrays, meta = load_arrays(stored.weights)
    if "step" in meta:
        notes = (*notes, f"Weights of step {meta['step']}.")
    return TwoHeadDetector(
        stored.config,
        arrays,
        class_map,
        dataclasses.replace(stored.settings, **changes),
        name=name or stored.name,
        source=source or str(folder),
        notes=notes,
    )
