"""Boxscope's own SSD networks as detectors, open inside (opened from files in
`detector.models.restored_ssd`).

On a CPU, pictures go through the network's LiteRT build, made on first use; on a GPU through Keras. Gradients
and anything that looks inside use `network`, the Keras model, which is built when it is first asked for.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.core import Candidates, ClassMap, Detections, DetectorInfo, check_images
from detector.errors import InputError, ModelError, UnavailableError
from detector.models.hashing import hash_answers
from detector.ssd import postprocess
from detector.ssd.anchors import Anchors, anchors
from detector.ssd.coder import BoxCoder
from detector.ssd.config import SSDConfig
from detector.ssd.gradients import SSDGradients
from detector.ssd.litert import LiteRTRunner, litert_file, network_digest, weights_digest
from detector.ssd.preprocess import preprocess, stretch

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

RUNTIMES = ("auto", "litert", "keras")
KERAS_BATCH = 8  # pictures a Keras call; a smaller rest is filled up, so that one graph serves all


class KerasSSD(SSDGradients):
    """A network of the SSD family with its weights. Safe to call from several threads.

    Args:
        config: the network; its `postprocess` settings decide the detections.
        arrays: its weights under their checkpoint keys (`detector.ssd.layers.checkpoint_variables`).
        class_map: the classes.
        outputs: int [K], the network output (0-based, background not counted) of each class. None: in order.
            Outputs of no class take part in suppression and caps, as in the reference, and are then left out.
        name, source, notes: as in `DetectorInfo`.
        runtime: "litert", "keras", or "auto": Keras where there is a GPU, LiteRT where not.
        threads: pictures worked on at once; one a core without it.

    Raises:
        ModelError: classes and outputs do not fit.
        InputError: an unknown runtime.
    """

    def __init__(
        self,
        config: SSDConfig,
        arrays: Mapping[str, np.ndarray],
        class_map: ClassMap,
        *,
        outputs: Sequence[int] | None = None,
        name: str | None = None,
        source: str = "",
        notes: Sequence[str] = (),
        runtime: str = "auto",
        threads: int | None = None,
    ):
        if runtime not in RUNTIMES:
            raise InputError(f"runtime: expected one of {', '.join(RUNTIMES)}, got {runtime!r}.")
        self.config, self._arrays = config, dict(arrays)
        self.outputs = np.arange(len(class_map)) if outputs is None else np.asarray(outputs, np.int64)
        if len(self.outputs) != len(class_map) or (
            len(class_map) and not 0 <= self.outputs.min() <= self.outputs.max() < config.num_classes
        ):
            raise ModelError(
                f"expected a label map for the network's {config.num_classes} classes, got {len(class_map)}"
                f" names with ids up to {int(self.outputs.max(initial=-1)) + 1}; give the label map it was"
                " trained with (labels=...)."
            )
        self._class_of = np.full(config.num_classes, -1, np.int64)
        self._class_of[self.outputs] = np.arange(len(class_map))
        self.anchors: Anchors = anchors(config)
        self.coder = BoxCoder(config.box_scales)
        self._runtime, self._threads = runtime, threads or _cores()
        self._build_lock, self._run_lock = threading.Lock(), threading.Lock()
        self._network: keras.Model | None = None
        self._runner: LiteRTRunner | None = None
        self._digest = weights_digest(self._arrays)
        settings = dataclasses.asdict(config.postprocess)
        capabilities = {"candidates", "anchors"}
        if importlib.util.find_spec("keras"):
            capabilities.add("gradients")
        if config.postprocess.score_threshold < 0.1:
            capabilities.add("low_scores")
        self.info = DetectorInfo(
            name=name or config.name or config.architecture,
            kind="keras_ssd",
            class_map=class_map,
            weights_hash=hash_answers(
                network_digest(config, self._digest),
                class_map,
                {
                    **settings,
                    "outputs": self.outputs.tolist(),
                    "box_scales": config.box_scales,
                    "anchors": config.anchors,
                },
            ),
            input_size=(config.width, config.height),
            capabilities=frozenset(capabilities),
            source=source,
            settings=settings,
            notes=tuple(notes),
        )

    @property
    def network(self) -> keras.Model:
        """The Keras model with its weights: preprocessed images to {"box_encodings", "class_logits"}
        (`detector.ssd.model.build_ssd`)."""
        with self._build_lock:
            if self._network is None:
                os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
                from detector.ssd.model import build_ssd
                from detector.ssd.weights import assign_arrays

                network = build_ssd(self.config)
                assign_arrays(network, self._arrays)
                self._network = network
            return self._network

    @property
    def weights(self) -> Mapping[str, np.ndarray]:
        """The weights by checkpoint key."""
        return dict(self._arrays)

    def preprocess(self, image: np.ndarray) -> np.ndarray:
        """One picture as the network takes it: float32 [height, width, 3]."""
        return preprocess(image, self.config)

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Boxes by the settings in `info.settings`, each with the anchor it came from.

        Raises:
            ModelError: the network's answers are not finite numbers.
        """
        return [found.named(self.info.class_map) for found in self._each(images, self._detections)]

    def candidates(self, images: Sequence[np.ndarray]) -> list[Candidates]:
        """Every anchor's decoded box, class scores and logits, one column a class, with anchors and
        levels.
        """
        return self._each(images, self._candidates)

    def resized(self, image: np.ndarray) -> np.ndarray:
        """One picture at the network's size, float32 pixels 0..255 (`detector.core.Staged`)."""
        return stretch(image, (self.config.width, self.config.height))

    def detect_resized(
        self, pixels: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        """`detect` from `resized` pictures of originals of these sizes."""
        return self._each(pixels, self._detections, sizes)

    def candidates_resized(
        self, pixels: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]]
    ) -> list[Candidates]:
        """`candidates` from `resized` pictures."""
        return self._each(pixels, self._candidates, sizes)

    def trace(self, image: np.ndarray) -> postprocess.Trace:
        """The fate of every candidate of one picture above the score threshold; boxes are normalised yxyx and
        `class_ids` are network outputs."""
        return self._each([image], lambda _, codes, logits: self._postprocess(codes, logits, every=True))[0]

    def _postprocess(
        self, codes: np.ndarray, logits: np.ndarray, *, every: bool = False
    ) -> postprocess.Trace:
        return postprocess.postprocess(
            codes, logits, self.anchors.boxes, self.config.postprocess, self.coder, every=every
        )

    def _detections(self, size: tuple[int, int], codes: np.ndarray, logits: np.ndarray) -> Detections:
        return postprocess.to_detections(self._postprocess(codes, logits), size, self._class_of)

    def _candidates(self, size: tuple[int, int], codes: np.ndarray, logits: np.ndarray) -> Candidates:
        return postprocess.candidates(
            codes, logits, self.anchors.boxes, self.anchors.levels, size, self.coder, self.outputs
        )

    def _each(
        self,
        images: Sequence[np.ndarray],
        finish: Callable[..., Any],
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> list:
        """`finish(size, codes [A, 4], logits [A, K + 1])` of each image, or of `resized` pictures where their
        originals' sizes are given.
        """
        if sizes is None:
            check_images(images)
            sizes = [_size(image) for image in images]
        if not len(images):
            return []

        def checked(size: tuple[int, int], codes: np.ndarray, logits: np.ndarray) -> Any:
            # A sum is finite only if all its terms are, and costs a tenth of looking at each.
            if not np.isfinite(codes.sum() + logits.sum()) and not (
                np.isfinite(codes).all() and np.isfinite(logits).all()
            ):
                raise ModelError(
                    f"{self.info.name}: the network answered with numbers that are not finite; its weights"
                    " are broken."
                )
            return finish(size, codes, logits)

        runner = self._litert()
        if runner is not None:
            return runner.map(
                lambda item, forward: checked(item[1], *forward(self.preprocess(item[0]))),
                list(zip(images, sizes)),
            )
        answers = []
        for start in range(0, len(images), KERAS_BATCH):
            part = images[start : start + KERAS_BATCH]
            size = 1 if len(images) == 1 else KERAS_BATCH
            batch = np.zeros((size, self.config.height, self.config.width, 3), np.float32)
            for i, image in enumerate(part):
                batch[i] = self.preprocess(image)
            network = self.network
            with self._run_lock:
                out = network.predict_on_batch(batch)
            answers += [
                checked(sizes[start + i], out["box_encodings"][i], out["class_logits"][i])
                for i in range(len(part))
            ]
        return answers

    def _litert(self) -> LiteRTRunner | None:
        """The LiteRT build where it is to be used; made on the first call."""
        if self._runtime == "keras" or (self._runtime == "auto" and _has_gpu()):
            return None
        with self._build_lock:
            if self._runner is None and self._runtime != "keras":
                try:
                    if not importlib.util.find_spec("ai_edge_litert"):
                        raise UnavailableError("LiteRT is not installed (pip install ai-edge-litert).")
                    self._runner = LiteRTRunner(
                        litert_file(self.config, self._arrays, self._digest), self._threads
                    )
                except UnavailableError as error:
                    if self._runtime == "litert":
                        raise
                    log.warning("%s: %s Keras runs it instead.", self.info.name, error)
                    self._runtime = "keras"
                    note = (
                        f"It runs in Keras, several times slower than it could: {error.message.rstrip('.')}."
                    )
                    self.info = dataclasses.replace(self.info, notes=(*self.info.notes, note))
            return self._runner


@functools.cache
def _has_gpu() -> bool:
    """Whether Keras sees a GPU; asked only where the machine has one, because asking imports the backend."""
    if not any(Path(p).exists() for p in ("/dev/nvidia0", "/dev/dxg", "/dev/kfd")):
        return False
    try:
        import keras

        return bool(keras.distribution.list_devices("gpu"))
    except Exception:  # each backend fails in its own way where a driver is broken
        return False


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]
