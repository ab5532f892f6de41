"""The LiteRT (XNNPACK) build of a network: several times faster than Keras on a CPU, and it needs no
TensorFlow to run.

It is made once, in a process of its own (TensorFlow's 700 MB go when that ends), checked against Keras, and
kept under a hash of network and weights.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import queue
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from detector.errors import ModelError, UnavailableError
from detector.paths import DEMO_DETECTOR, ROOT, data_dir

if TYPE_CHECKING:
    from detector.ssd.config import SSDConfig

T = TypeVar("T")
log = logging.getLogger(__name__)

SHIPPED = DEMO_DETECTOR
"""Holds the build of the demo's detector, so that the first start needs no TensorFlow."""

BUILD = 1
"""Raised when the same network and weights would make a different file."""

TOLERANCE = 1e-3
"""Largest difference from Keras in any raw output that a fresh build may have on noise; a wrong one has 0.1
and more.
"""


def weights_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 over names, shapes and values; 64 hex digits."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(f"{key}\0{arrays[key].shape}\0".encode())
        digest.update(np.ascontiguousarray(arrays[key]).data)
    return digest.hexdigest()


def network_digest(config: SSDConfig, digest: str) -> str:
    """The weights' digest joined with what else decides raw outputs; settings of training and NMS do not."""
    parts = (
        BUILD,
        config.architecture,
        config.num_classes,
        config.height,
        config.width,
        config.alpha,
        config.min_depth,
        config.depth,
        config.predictor_depth,
        config.tower_layers,
        config.anchors,
        config.batch_norm.epsilon,
        config.predictor_batch_norm.epsilon,
        digest,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def litert_file(config: SSDConfig, arrays: Mapping[str, np.ndarray], digest: str) -> Path:
    """The build that came with Boxscope or the cached one, made now if need be (about half a minute).

    Raises:
        UnavailableError: LiteRT or TensorFlow is not installed, or the conversion failed; says why.
    """
    name = f"{config.architecture}-{network_digest(config, digest)[:24]}.tflite"
    if (SHIPPED / name).is_file():
        return SHIPPED / name
    path = data_dir("models", "litert") / name
    if path.is_file():
        return path
    log.info("The LiteRT build of this network is made on first use; that takes about a minute.")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".build-") as folder:
        job = Path(folder) / "job.npz"
        np.savez(job, __config__=np.frombuffer(pickle.dumps(config), np.uint8), **arrays)
        built = Path(folder) / "network.tflite"
        paths = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH")) if p)
        environment = {
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "PYTHONPATH": paths,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",
        }
        done = subprocess.run(
            [sys.executable, "-m", "detector.ssd.litert_build", str(job), str(built)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not built.is_file():
            last = (done.stderr.strip().splitlines() or ["it ended without an error message"])[-1]
            raise UnavailableError(f"The LiteRT build of the network could not be made: {last}")
        # Renamed within one folder: another process sees no file or a whole one.
        os.replace(built, path)
    return path


def output_indices(interpreter) -> list[int]:
    """Tensor numbers of (box_encodings, class_logits) by their names in the file's signature."""
    outputs = interpreter.get_signature_runner("serving_default").get_output_details()
    return [outputs[name]["index"] for name in ("box_encodings", "class_logits")]


class LiteRTRunner:
    """Runs a build on a pool of one-thread interpreters (two of one thread beat one of two by a third).

    Args:
        path: the .tflite, batch 1.
        workers: how many images are worked on at once.

    Raises:
        ModelError: the file is none of Boxscope's builds.
    """

    def __init__(self, path: Path, workers: int):
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  LiteRT costs a second

        self._path, self._make, self.workers = path, Interpreter, max(1, workers)
        self._free: queue.SimpleQueue = queue.SimpleQueue()
        for _ in range(self.workers):
            self._free.put(None)
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="litert")
        self._wide_lock = queue.SimpleQueue()
        self._wide_lock.put(None)

    def _interpreter(self, threads: int):
        try:
            made = self._make(str(self._path), num_threads=threads)
            made.allocate_tensors()
            outputs = output_indices(made)
        except (ValueError, RuntimeError, KeyError) as error:
            raise ModelError(
                f"the cached LiteRT build cannot be loaded ({error}); delete the file, it will be made"
                " again.",
                path=self._path,
            ) from None
        return made, made.get_input_details()[0]["index"], outputs

    @staticmethod
    def _run(interpreter, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        made, source, (codes, logits) = interpreter
        made.set_tensor(source, image[None])
        made.invoke()
        return made.get_tensor(codes)[0], made.get_tensor(logits)[0]

    def map(
        self,
        work: Callable[[T, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]], object],
        items: Sequence[T],
    ) -> list:
        """`[work(item, forward), ...]` in order; `forward` takes one preprocessed image to (codes, logits).

        One item alone has all threads to itself.
        """
        if len(items) == 1 and self.workers > 1:
            slot = self._wide_lock.get()
            try:
                slot = slot or self._interpreter(self.workers)
                return [work(items[0], lambda image: self._run(slot, image))]
            finally:
                self._wide_lock.put(slot)

        def one(item: T):
            slot = self._free.get()
            try:
                slot = slot or self._interpreter(1)
                return work(item, lambda image: self._run(slot, image))
            finally:
                self._free.put(slot)

        return list(self._pool.map(one, items)) if len(items) > 1 else [one(item) for item in items]
