"""Batch detection on a Ray cluster: the run that `detect_run` makes, row for row, by many workers on many
machines.

    positions to do -> Ray Data: blocks of file names -> actor pool: read, decode, detect -> this process:
        parts, manifest

Ray gives the blocks of a lost worker to another, brings the worker back, and holds the flow where this
process is slow. A block comes back whole or not at all and is stored once, as a part of its own, by this
process alone: so the lock, the manifest, resuming and cancelling are those of `analysis.runs.detect`.
Pictures must be readable under the same paths or addresses on every machine, and so must the detector.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from analysis.runs.detect import BATCH_SIZE, check_counts, store_run
from analysis.runs.files import DETECTOR_FAILED
from analysis.runs.pipeline import HOPELESS
from analysis.runs.progress import Progress
from analysis.runs.ray_worker import DetectWorker, found_columns, look_at
from analysis.runs.writer import FoundColumns
from detector.core import Detector, DetectorInfo
from detector.data.dataset import Dataset
from detector.data.indexed.columns import take
from detector.errors import BoxscopeError, InputError, ModelError, UnavailableError

if TYPE_CHECKING:
    from analysis.runs.store import Run
    from analysis.runs.streamed import StreamedRun

ABSENT = 'Detection on a cluster needs Ray, which is not installed: `pip install "ray[data]"`.'
BLOCK_IMAGES = 512
WAVE_IMAGES = 1_000_000
"""File names handed to Ray at a time; between waves the workers start anew."""
GPU_BATCH = 64
PIXELS = 640 * 480
"""Taken for a picture's size where nobody stated one."""
ACTIVATIONS = 64
"""Memory a network holds at work, in multiples of its float32 input: an assumption on the safe side for SSD
networks.
"""


def detect_on_ray(
    load: Callable[..., Detector],
    dataset: Dataset,
    out: str | Path | None = None,
    *,
    address: str | None = None,
    workers: int | None = None,
    cpus: float = 1,
    gpus: float = 0,
    floor: float = 0.01,
    batch_size: int | None = None,
    limit: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    name: str | None = None,
    told: Callable[[DetectorInfo], object] | None = None,
) -> Run | StreamedRun:
    """Run a detector over every image on a Ray cluster and store what it found.

    Args:
        load: makes the detector, called once in each worker; a `.tflite` is loaded with num_threads.
        address: of a running cluster ("auto", "10.0.0.1:6379", "ray://..."); None starts one on this machine
            and ends it.
        workers: how many; None for as many as the cluster's processors (or GPUs, where `gpus` is given) hold.
        cpus, gpus: what each worker takes; half a GPU lets two share one.
        batch_size: images handed to a detector at a time; None chooses: 8, with a GPU 64, less where memory
            is short.
        told: called with the detector's info as soon as a worker has loaded it.

    The other arguments, what is returned and what is raised are `analysis.runs.detect.detect_run`'s.

    Raises:
        UnavailableError: Ray is not installed, or the cluster does not answer.
        InputError: the data set's pictures live in memory, or the cluster has no room for one worker.
    """
    check_counts(batch_size=batch_size, limit=limit, workers=workers)
    if cpus <= 0 or gpus < 0:
        raise InputError(f"expected more than 0 CPUs and 0 or more GPUs a worker, got {cpus} and {gpus}.")
    if not len(dataset) or not dataset.files[0]:
        raise InputError(
            f"{dataset.name}: its pictures live in this process' memory, where no other worker can read them;"
            " use the local engine."
        )
    with _Cluster(address, workers, cpus, gpus) as cluster:
        info = cluster.info(load)
        if told is not None:
            told(info)

        def pool(rows: np.ndarray, proven: bool, shown: Dataset) -> RayPool:
            size = batch_size or batch_for(cluster.memory_each, shown.sizes, info, gpus > 0)
            return RayPool(cluster, load, info, shown, rows, floor=floor, batch_size=size, proven=proven)

        return store_run(
            pool,
            dataset,
            info,
            out,
            floor=floor,
            limit=limit,
            progress=progress,
            should_stop=should_stop,
            name=name,
            worker="ray",
        )


def batch_for(memory: float, sizes: np.ndarray, info: DetectorInfo, gpu: bool) -> int:
    """Images per batch: 8 on a CPU (as the local engine has it) and 64 with a GPU, halved until a quarter of
    a worker's memory holds them.

    Args:
        memory: bytes that one worker may use.
        sizes: int [N, 2] (W, H) as stated, zeros where unknown.
    """
    largest = max(int(np.prod(sizes[:10_000].astype(np.int64), axis=1).max(initial=0)), PIXELS)
    width, height = info.input_size or (640, 640)
    each = 2 * 3 * largest + ACTIVATIONS * 4 * 3 * width * height
    size = GPU_BATCH if gpu else BATCH_SIZE
    while size > 1 and size * each > memory / 4:
        size //= 2
    return size


def _ray() -> Any:
    # Before Ray is imported: it reports its use over the network unless told not to, and a GPU worker must
    # see its GPU alone.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError:
        raise UnavailableError(ABSENT) from None
    return ray


class _Cluster:
    """A Ray cluster, joined or started, and how many workers of one size it holds."""

    def __init__(self, address: str | None, workers: int | None, cpus: float, gpus: float):
        self.ray = _ray()
        self.cpus, self.gpus = cpus, gpus
        self._ours = not self.ray.is_initialized()
        if self._ours:
            self._start(address, workers)
        try:
            have = self.ray.cluster_resources()
            room = int(have.get("GPU", 0) // gpus) if gpus else int(have.get("CPU", 0) // cpus)
            if room < 1:
                held = f"{have.get('CPU', 0):g} CPUs and {have.get('GPU', 0):g} GPUs"
                raise InputError(
                    f"A worker of {cpus:g} CPUs and {gpus:g} GPUs finds no room in this cluster of {held};"
                    " ask for less."
                )
            self.workers = min(workers or room, room)
            self.memory_each = have.get("memory", 0) / self.workers
        except BaseException:
            self.__exit__()
            raise

    def _start(self, address: str | None, workers: int | None) -> None:
        options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
        if address is None:
            cores = max(1, round((workers or max(1, int(_usable_cores() // self.cpus))) * self.cpus))
            options |= {"num_cpus": cores, "include_dashboard": False, "object_store_memory": 200 << 20}
        else:
            options["address"] = address
        # Ray gives a machine of its own 30 seconds to start, which a busy one may miss.
        for tries in reversed(range(3 if address is None else 1)):
            try:
                self.ray.init(**options)
                return
            except Exception as error:  # Ray raises ConnectionError, ValueError, RuntimeError and others
                self.ray.shutdown()
                if not tries:
                    where = f"at {address}" if address else "on this machine"
                    raise UnavailableError(
                        f"No Ray cluster answers {where} ({_first_line(error)})."
                    ) from None

    def info(self, load: Callable[..., Detector]) -> DetectorInfo:
        """What the detector is, from a worker that loads it."""
        task = self.ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=2)(look_at)
        found = self.ray.get(task.remote(load, self.cpus))
        if isinstance(found, BoxscopeError):
            raise found
        return found

    def __enter__(self) -> _Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ours:
            self.ray.shutdown()


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


class RayPool:
    """The engine for `analysis.runs.detect.store_run`: blocks out to an actor pool, columns back."""

    def __init__(
        self,
        cluster: _Cluster,
        load: Callable[..., Detector],
        info: DetectorInfo,
        dataset: Dataset,
        rows: np.ndarray,
        *,
        floor: float,
        batch_size: int,
        proven: bool,
    ):
        self.cluster, self.dataset, self.rows = cluster, dataset, rows
        self._arguments = {
            "load": load,
            "weights_hash": info.weights_hash,
            "floor": floor,
            "batch_size": batch_size,
            "cpus": cluster.cpus,
        }
        # Several blocks a worker at least, so that none waits long for the last.
        self.block = int(np.clip(-(-len(rows) // (8 * cluster.workers)), min(16, batch_size), BLOCK_IMAGES))
        self._proven, self._failures, self._held = proven, [], []
        self._stop = threading.Event()
        self._results: queue.Queue = queue.Queue(maxsize=4)

    def stop(self) -> None:
        """Wait for no further block; those that came are still given out."""
        self._stop.set()

    def results(self, idle: Callable[[], object] = lambda: None) -> Iterator[FoundColumns]:
        """The columns of one block after another, in any order; `idle` is called about five times per second.

        Raises:
            ModelError: the detector fails, and not on a single odd picture, or the job breaks down.
        """
        thread = threading.Thread(target=self._run, name="ray-blocks", daemon=True)
        thread.start()
        try:
            while True:
                try:
                    result = self._results.get(timeout=0.2)
                except queue.Empty:
                    idle()
                    if self._stop.is_set():
                        return
                    continue
                if result is None:
                    return
                if isinstance(result, BaseException):
                    raise result
                yield result
                idle()
        finally:
            self._stop.set()
            while thread.is_alive():
                with contextlib.suppress(queue.Empty):
                    self._results.get(timeout=0.05)

    def _run(self) -> None:
        try:
            for first in range(0, len(self.rows), WAVE_IMAGES):
                for table in self._wave(self.rows[first : first + WAVE_IMAGES]):
                    if self._stop.is_set():
                        return
                    self._judge(found_columns(table))
            for held in self._held:
                self._put(held)
            self._put(None)
        except BoxscopeError as error:  # reaches the caller through `results`
            self._put(error)
        except BaseException as error:
            self._put(
                ModelError(
                    f"The work on the cluster broke off ({_first_line(error)}); the same command goes on"
                    " where it stopped."
                )
            )

    def _judge(self, found: FoundColumns) -> None:
        """Hand a block on; until the detector succeeded once, blocks wait, and a few failures end the run."""
        if not self._proven:
            self._proven = any(error is None for error in found.errors)
            self._failures += [e for e in found.errors if e is not None and e.startswith(DETECTOR_FAILED)]
            if not self._proven:
                self._held.append(found)
                if len(self._failures) >= min(HOPELESS, len(self.rows)):
                    raise ModelError(self._failures[0].removeprefix(DETECTOR_FAILED))
                return
        for held in [*self._held, found]:
            self._put(held)
        self._held.clear()

    def _put(self, item: object) -> None:
        while not self._stop.is_set():
            try:
                self._results.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def _wave(self, rows: np.ndarray) -> Iterator[pa.Table]:
        ray, cluster = self.cluster.ray, self.cluster
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        blocks = [
            pa.table(
                {
                    "row": pa.array(part, pa.int32()),
                    "file": pa.array(take(self.dataset.files, part), pa.string()),
                    **_sizes(self.dataset.sizes[part]),
                }
            )
            for part in np.split(rows, range(self.block, len(rows), self.block))
        ]
        found = ray.data.from_arrow(blocks).map_batches(
            DetectWorker,
            batch_size=None,
            batch_format="pyarrow",
            fn_constructor_kwargs=self._arguments,
            num_cpus=cluster.cpus,
            num_gpus=cluster.gpus or None,
            compute=ray.data.ActorPoolStrategy(size=min(cluster.workers, len(blocks))),
        )
        yield from found.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)


def _sizes(sizes: Sequence) -> dict[str, pa.Array]:
    width, height = np.asarray(sizes, np.int32).reshape(-1, 2).T
    return {"width": pa.array(width), "height": pa.array(height)}
