"""What runs inside a Ray worker: a detector loaded once, and blocks of file names turned into columns.
Imports no Ray.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from analysis.runs.pipeline import Pipeline, Result
from analysis.runs.writer import FoundColumns, above_floor
from detector.core import Detections, Detector, DetectorInfo
from detector.errors import BoxscopeError, ModelError

FAILED = -1
"""The row of an answer that is no image: its `error` says why the detector cannot work at all."""

_FLOATS, _INTS = pa.list_(pa.float32()), pa.list_(pa.int32())
FOUND = pa.schema(
    [
        ("row", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("error", pa.string()),
        ("xyxy", _FLOATS),
        ("score", _FLOATS),
        ("class_id", _INTS),
        ("anchor_id", _INTS),
        ("decode", pa.float64()),
        ("inference", pa.float64()),
    ]
)


def load_here(load: Callable[..., Detector], cpus: float) -> Detector:
    """The detector with as many threads as the worker has processors."""
    threads = max(1, int(cpus))
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
    detector = load()
    return load(num_threads=threads) if detector.info.kind == "tflite" else detector


def look_at(load: Callable[..., Detector], cpus: float) -> DetectorInfo | BoxscopeError:
    """What the detector says of itself, or why it cannot be loaded."""
    try:
        return load_here(load, cpus).info
    except BoxscopeError as error:
        return error


class _Block:
    """The images of one block, as `Pipeline` asks for them."""

    def __init__(self, files: list[str], sizes: np.ndarray):
        self.files, self.sizes = files, sizes

    def load_image(self, i: int) -> np.ndarray:
        from detector.data.images import read_image

        return read_image(self.files[i])


class DetectWorker:
    """One worker: block in (row, file, width, height), block out (`FOUND`).

    Args:
        load: makes the detector; once in the life of this worker.
        weights_hash: of the run; a worker that loads another detector refuses to work.
        floor, batch_size: as for `detect_run`; cpus: decoding threads.
    """

    def __init__(
        self, load: Callable[..., Detector], weights_hash: str, floor: float, batch_size: int, cpus: float
    ):
        self.floor, self.batch_size, self.threads = floor, batch_size, max(1, int(cpus))
        self.detector: Detector | None = None
        self.trouble = ""
        try:
            self.detector = load_here(load, cpus)
            if self.detector.info.weights_hash != weights_hash:
                self.trouble = (
                    f"A worker loaded another {self.detector.info.name} than the run's; its files differ on"
                    " that machine."
                )
        except BoxscopeError as error:
            self.trouble = str(error)

    def __call__(self, block: pa.Table) -> pa.Table:
        if self.trouble:
            return _trouble(self.trouble)
        rows = block.column("row").to_numpy()
        sizes = np.stack([block.column("width").to_numpy(), block.column("height").to_numpy()], axis=1)
        # Whether failing on a picture is the detector's fault is for the driver to say, who sees every block.
        pipeline = Pipeline(
            [self.detector],
            _Block(block.column("file").to_pylist(), sizes),
            np.arange(len(rows)),
            batch_size=self.batch_size,
            decode_threads=self.threads,
            proven=True,
        )
        return _columns(rows, list(pipeline.results()), self.floor)


def _trouble(message: str) -> pa.Table:
    nothing = {name: [None] for name in FOUND.names}
    return pa.table(nothing | {"row": [FAILED], "error": [message]}, schema=FOUND)


def _columns(rows: np.ndarray, results: list[Result], floor: float) -> pa.Table:
    found: dict[int, Detections] = {}
    failed: dict[int, str] = {}
    for result in results:
        found |= result.found
        failed |= result.failed
    order = [*found, *failed]
    kept = [above_floor(found[i], floor) for i in found]
    unknown = [np.full(len(d), -1, np.int32) if d.anchor_ids is None else d.anchor_ids for d in kept]
    offsets = np.concatenate(
        [[0], np.cumsum([len(d) for d in kept]), np.full(len(failed), sum(map(len, kept)))]
    ).astype(np.int32)

    def lists(values: list[np.ndarray], kind: pa.DataType, width: int = 1) -> pa.Array:
        flat = np.concatenate([v.reshape(-1) for v in values]) if values else np.zeros(0)
        return pa.ListArray.from_arrays(pa.array(offsets * width), pa.array(flat, kind.value_type))

    seconds = np.zeros((2, len(order)))
    if order:
        seconds[:, 0] = sum(r.decode for r in results), sum(r.inference for r in results)
    sizes = np.array([d.image_size for d in kept] + [(0, 0)] * len(failed), np.int32).reshape(-1, 2)
    texts = [m.encode("utf-8", "backslashreplace").decode() for m in failed.values()]
    return pa.Table.from_arrays(
        [
            pa.array(rows[order], pa.int32()),
            pa.array(sizes[:, 0]),
            pa.array(sizes[:, 1]),
            pa.array([None] * len(kept) + texts, pa.string()),
            lists([d.xyxy for d in kept], _FLOATS, 4),
            lists([d.scores for d in kept], _FLOATS),
            lists([d.class_ids for d in kept], _INTS),
            lists(unknown, _INTS),
            pa.array(seconds[0]),
            pa.array(seconds[1]),
        ],
        schema=FOUND,
    )


def found_columns(table: pa.Table) -> FoundColumns:
    """A worker's answer for the run's writer.

    Raises:
        ModelError: the detector cannot work.
    """
    rows = table.column("row").to_numpy()
    if (rows == FAILED).any():
        raise ModelError(table.column("error")[int(np.argmax(rows == FAILED))].as_py())

    def flat(name: str) -> np.ndarray:
        return table.column(name).combine_chunks().flatten().to_numpy()

    scores = table.column("score").combine_chunks()
    return FoundColumns(
        rows=rows,
        sizes=np.stack([table.column("width").to_numpy(), table.column("height").to_numpy()], axis=1),
        errors=table.column("error").to_pylist(),
        counts=scores.value_lengths().to_numpy().astype(np.int32),
        xyxy=flat("xyxy").reshape(-1, 4),
        scores=flat("score"),
        class_ids=flat("class_id"),
        anchor_ids=flat("anchor_id"),
        decode=float(np.sum(table.column("decode").to_numpy())),
        inference=float(np.sum(table.column("inference").to_numpy())),
    )
