"""Reading, inference and writing side by side.

    decoding threads --chunks--> one thread a detector --results--> the caller's thread, which writes

All queues are bounded, so memory holds a few chunks whatever the length of the data set. Results come in any
order; the store sorts.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from analysis.runs.files import DETECTOR_FAILED
from detector.core import Detections, Detector
from detector.data.dataset import Dataset
from detector.errors import BoxscopeError, ImageError, ModelError

CHUNK_BYTES = 192 << 20
HOPELESS = 3
"""Images the detector may fail on, before one succeeded, until the run is given up."""


@dataclass
class Result:
    """What became of one chunk: row -> detections, row -> why it failed, and the seconds it took."""

    found: dict[int, Detections] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    decode: float = 0.0
    inference: float = 0.0


def chunk_rows(dataset: Dataset, rows: np.ndarray, batch_size: int) -> Iterator[list[int]]:
    """Rows in chunks of at most `batch_size` images and `CHUNK_BYTES` of pixels (but at least one image).

    Sizes nobody stated are looked up in the file's header when their turn comes.
    """
    chunk: list[int] = []
    held = 0
    for row in rows.tolist():
        size = _pixel_bytes(dataset, row)
        if chunk and (len(chunk) == batch_size or held + size > CHUNK_BYTES):
            yield chunk
            chunk, held = [], 0
        chunk.append(row)
        held += size
    if chunk:
        yield chunk


def _pixel_bytes(dataset: Dataset, row: int) -> int:
    width, height = (int(v) for v in dataset.sizes[row])
    if not (width and height) and dataset.files[row]:
        from detector.data.images import image_size

        try:
            width, height = image_size(dataset.files[row])
        except BoxscopeError:
            return 0  # it will fail when it is read, and say why
    return 3 * width * height


class Pipeline:
    """Runs detectors over the rows of a data set; iterate over `results()` in the thread that writes.

    Args:
        detectors: equal detectors, each called from one thread of its own.
        dataset: where pictures come from.
        rows: positions to do.
        batch_size: images handed to a detector at a time.
        decode_threads: how many pictures are decoded at a time; None for the number of cores, at most 8.
        proven: the detector is known to work (it did images of this run before), so that failing on one
            picture is the picture's fault.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        dataset: Dataset,
        rows: np.ndarray,
        *,
        batch_size: int,
        decode_threads: int | None = None,
        proven: bool = False,
    ):
        self.detectors, self.dataset, self.rows, self.batch_size = list(detectors), dataset, rows, batch_size
        self._pool = ThreadPoolExecutor(decode_threads or min(8, os.cpu_count() or 1), "decode")
        self._chunks: queue.Queue = queue.Queue(maxsize=len(self.detectors))
        self._results: queue.Queue = queue.Queue(maxsize=4 * len(self.detectors))
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._succeeded = proven
        self._failures = 0

    def stop(self) -> None:
        """Take no new chunk; those at a detector are finished and still come out of `results()`."""
        self._stop.set()

    def results(self, idle: Callable[[], object] = lambda: None) -> Iterator[Result]:
        """One Result a chunk, until all are done or `stop` was called. `idle` is called about five times a
        second.

        Raises:
            BoxscopeError: the detector fails, and not on a single odd picture.
        """
        workers = [
            threading.Thread(target=self._work, args=(d,), name=f"detect-{i}", daemon=True)
            for i, d in enumerate(self.detectors)
        ]
        threads = [threading.Thread(target=self._feed, name="feed", daemon=True), *workers]
        for thread in threads:
            thread.start()
        running = len(workers)
        try:
            while running:
                try:
                    result = self._results.get(timeout=0.2)
                except queue.Empty:
                    idle()
                    continue
                if result is None:
                    running -= 1
                elif isinstance(result, BaseException):
                    raise result
                else:
                    yield result
                    idle()
        finally:
            self._stop.set()
            while any(thread.is_alive() for thread in threads):
                if not self._drain():
                    time.sleep(0.01)
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _drain(self) -> bool:
        """Make room for threads that wait to hand something over, so that they see the stop."""
        try:
            self._results.get_nowait()
        except queue.Empty:
            return False
        return True

    def _feed(self) -> None:
        try:
            for chunk in chunk_rows(self.dataset, self.rows, self.batch_size):
                job = [(row, self._pool.submit(self._read, row)) for row in chunk]
                if not self._put(self._chunks, job):
                    return
            for _ in self.detectors:
                self._put(self._chunks, None)
        except BaseException as error:  # reaches the caller through `results`
            self._results.put(error)

    def _put(self, where: queue.Queue, item: object) -> bool:
        while not self._stop.is_set():
            try:
                where.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def _read(self, row: int) -> tuple[np.ndarray | None, str, float]:
        start = time.perf_counter()
        try:
            image, message = self.dataset.load_image(row), ""
        except ImageError as error:
            image, message = None, str(error)
        except Exception as error:  # a decoder may raise anything on a broken file; it must not end the run
            image, message = None, f"The picture cannot be read ({type(error).__name__}: {error})."
        return image, message, time.perf_counter() - start

    def _work(self, detector: Detector) -> None:
        try:
            while not self._stop.is_set():
                try:
                    job = self._chunks.get(timeout=0.1)
                except queue.Empty:
                    continue
                if job is None:
                    break
                self._results.put(self._detect(detector, job))
            self._results.put(None)
        except BaseException as error:  # reaches the caller through `results`
            self._results.put(error)

    def _detect(self, detector: Detector, job: list[tuple[int, Future]]) -> Result:
        result, rows, images = Result(), [], []
        for row, future in job:
            image, message, seconds = future.result()
            result.decode += seconds
            if image is None:
                result.failed[row] = message
            else:
                rows.append(row)
                images.append(image)
        start = time.perf_counter()
        try:
            result.found = dict(zip(rows, self._call(detector, images)))
        except BoxscopeError:
            for row, image in zip(rows, images):
                try:
                    result.found[row] = self._call(detector, [image])[0]
                except BoxscopeError as error:
                    self._count_failure(error)
                    result.failed[row] = f"{DETECTOR_FAILED}{error}"
        result.inference = time.perf_counter() - start
        return result

    def _count_failure(self, error: BoxscopeError) -> None:
        with self._lock:
            self._failures += 1
            cannot_match = not self._succeeded and self._failures >= min(HOPELESS, len(self.rows))
        if cannot_match:
            raise error

    def _call(self, detector: Detector, images: list[np.ndarray]) -> list[Detections]:
        if not images:
            return []
        found = detector.detect(images)
        if len(found) != len(images):
            raise ModelError(f"{detector.info.name} answered {len(found)} times for {len(images)} images.")
        for image, detections in zip(images, found):
            if detections.image_size != (image.shape[1], image.shape[0]):
                raise ModelError(
                    f"{detector.info.name} answered for an image of {detections.image_size}, it was given"
                    f" {image.shape[1]}x{image.shape[0]}."
                )
            if len(detections) and detections.class_ids.max() >= len(detector.info.class_map):
                raise ModelError(
                    f"{detector.info.name} answered class {detections.class_ids.max()}, it names"
                    f" {len(detector.info.class_map)} classes."
                )
        self._succeeded = True
        return found
