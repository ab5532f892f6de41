"""The Parquet files of a run directory: their columns, and reading and writing them whole or not at all.

    RUN/manifest.json       what was run on what (analysis.runs.manifest); written last, so a folder without
        it is no run
    RUN/samples.parquet     one row an image, in the order of the data set: its position is its `row`
    RUN/truth.parquet       one row a ground-truth object
    RUN/problems.parquet    what the data set's reader found odd
    RUN/parts/detections-<worker>-<number>.parquet    one row a detection
    RUN/parts/images-<worker>-<number>.parquet        one row an image that is done

An image is done when an images part holds it. The detections part of the same worker and number is written
first, so one without its partner is unfinished work: readers pass it by, its writer removes it.

Detections name their image by `row`, the int32 position in samples.parquet: 4 bytes instead of a string
that repeats a hundred times, and an array index as it is. `open_scan` joins nothing and streams.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from detector.core import FLAGS
from detector.data.dataset import Dataset, ObjectTable, Problem
from detector.errors import RunError
from detector.paths import write_atomically

BOX = ("x1", "y1", "x2", "y2")
ROW_GROUP = 131_072


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(
        [
            pa.field(name, kind, nullable=name in ("split", "error", "line", "sample_id"))
            for name, kind in columns.items()
        ]
    )


_BOX = dict.fromkeys(BOX, pa.float32())
SAMPLES = _schema(
    sample=pa.string(),
    file=pa.string(),
    width=pa.int32(),
    height=pa.int32(),
    split=pa.string(),
    labelled=pa.bool_(),
)
TRUTH = _schema(
    row=pa.int32(),
    **_BOX,
    class_id=pa.int32(),
    id=pa.int64(),
    area=pa.float32(),
    **dict.fromkeys(FLAGS, pa.bool_()),
)
PROBLEMS = _schema(
    kind=pa.string(),
    message=pa.string(),
    path=pa.string(),
    line=pa.int64(),
    sample_id=pa.string(),
    left_out=pa.bool_(),
)
DETECTIONS = _schema(row=pa.int32(), **_BOX, score=pa.float32(), class_id=pa.int32(), anchor_id=pa.int32())
IMAGES = _schema(
    row=pa.int32(), width=pa.int32(), height=pa.int32(), detections=pa.int32(), error=pa.string()
)

DETECTOR_FAILED = "The detector failed on it: "
"""How the `error` of an image begins that was read, but made the detector fail."""

PART = re.compile(r"(detections|images)-([A-Za-z0-9_.]+)-(\d{6,})\.parquet")


def texts(values: Sequence[str | None]) -> pa.Array:
    """Strings for Parquet; file names that are not UTF-8 go in as their bytes."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        return pa.array(
            [None if v is None else v.encode("utf-8", "surrogateescape") for v in values], pa.binary()
        )


def as_texts(column: pa.ChunkedArray) -> list[str | None]:
    values = column.to_pylist()
    if pa.types.is_binary(column.type):
        return [None if v is None else v.decode("utf-8", "surrogateescape") for v in values]
    return values


def write_table(path: Path, columns: dict[str, object], schema: pa.Schema) -> None:
    """Write columns as Parquet, seen by readers whole or not at all."""
    arrays, fields = [], []
    for field in schema:
        values = columns[field.name]
        array = texts(values) if pa.types.is_string(field.type) else pa.array(values, field.type)
        arrays.append(array)
        fields.append(pa.field(field.name, array.type, field.nullable))
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=pa.schema(fields)),
        sink,
        compression="zstd",
        row_group_size=ROW_GROUP,
    )
    write_atomically(path, sink.getvalue().to_pybytes())


def write_samples(path: Path, dataset: Dataset) -> None:
    """samples.parquet of a data set, a row group at a time: a list that stays in its file is never
    gathered.
    """
    columns: dict[str, Sequence] = {
        "sample": dataset.sample_ids,
        "file": dataset.files,
        "split": dataset.splits,
        "labelled": dataset.labelled,
    }
    columns |= {"width": dataset.sizes[:, 0], "height": dataset.sizes[:, 1]}
    try:
        _stream(path, columns, len(dataset), SAMPLES)
    except UnicodeEncodeError:  # as in `texts`: the whole column goes in as bytes
        binary = pa.schema(
            [
                pa.field(f.name, pa.binary() if pa.types.is_string(f.type) else f.type, f.nullable)
                for f in SAMPLES
            ]
        )
        _stream(path, columns, len(dataset), binary)


def _stream(path: Path, columns: dict[str, Sequence], count: int, schema: pa.Schema) -> None:
    def array(field: pa.Field, values: Sequence) -> pa.Array:
        if pa.types.is_binary(field.type):
            values = [None if v is None else v.encode("utf-8", "surrogateescape") for v in values]
        return pa.array(values, field.type)

    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for first in range(0, count, ROW_GROUP):
                part = slice(first, min(first + ROW_GROUP, count))
                arrays = [array(field, columns[field.name][part]) for field in schema]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema), row_group_size=ROW_GROUP)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_table(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table that `write_table` wrote, or only these columns of it.

    Raises:
        RunError: the file is missing, broken, or has other columns.
    """
    try:
        # One thread: these files are small, and a page may open a run while a detector holds the cores.
        with pa.OSFile(str(path)) as file:
            stored = pq.ParquetFile(file)
            table = stored.read(columns=None if columns is None else list(columns), use_threads=False)
            names = stored.schema_arrow.names
    except FileNotFoundError:
        raise RunError(
            "This file of the run is missing; detect again into an empty folder, or bring the file back.",
            path=path,
        ) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RunError(
            f"This file of the run is broken or half there ({str(error).splitlines()[0][:120]});"
            f" {_remedy(path)}.",
            path=path,
        ) from error
    if names != schema.names:
        raise RunError(
            f"Expected the columns {', '.join(schema.names)}, found {', '.join(names)}.", path=path
        )
    for have in table.schema:
        want = schema.field(have.name)
        text = pa.types.is_string(want.type) and pa.types.is_binary(have.type)
        if have.type != want.type and not text:
            raise RunError(f"Expected column {want.name} as {want.type}, found {have.type}.", path=path)
    return table


def _remedy(path: Path) -> str:
    found = PART.fullmatch(path.name)
    if found:
        return (
            f"delete it together with the other *-{found[2]}-{found[3]}.parquet and detect again: only its"
            " images are done anew"
        )
    return "detect again into an empty folder, or bring the file back"


def numbers(table: pa.Table, *names: str) -> np.ndarray:
    """One column as [N], or several as [N, k]."""
    columns = [table.column(name).to_numpy() for name in names]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def part_path(folder: Path, kind: str, worker: str, number: int) -> Path:
    return folder / "parts" / f"{kind}-{worker}-{number:06d}.parquet"


def list_parts(folder: Path) -> dict[tuple[str, int], set[str]]:
    """(worker, number) -> which of "detections" and "images" are there, in the order of name and number."""
    found: dict[tuple[str, int], set[str]] = {}
    try:
        entries = os.listdir(folder / "parts")
    except FileNotFoundError:
        return {}
    for entry in entries:
        if match := PART.fullmatch(entry):
            found.setdefault((match[2], int(match[3])), set()).add(match[1])
    return dict(sorted(found.items()))


def finished_parts(folder: Path) -> list[tuple[str, int]]:
    """(worker, number) of the parts that count: those with an images part."""
    return [key for key, kinds in list_parts(folder).items() if "images" in kinds]


def open_scan(folder: str | Path):
    """The finished detections as a `pyarrow.dataset`, for work that streams instead of loading the run."""
    import pyarrow.dataset as ds

    folder = Path(folder)
    files = [str(part_path(folder, "detections", *key)) for key in finished_parts(folder)]
    return ds.dataset(files, schema=DETECTIONS, format="parquet")


def write_truth(path: Path, truth: ObjectTable) -> None:
    columns = dict(zip(BOX, truth.xyxy.T)) | {flag: getattr(truth, flag) for flag in FLAGS}
    write_table(
        path,
        {"row": truth.rows, "class_id": truth.class_ids, "id": truth.ids, "area": truth.area, **columns},
        TRUTH,
    )


def read_truth(path: Path) -> ObjectTable:
    table = read_table(path, TRUTH)
    flags = {flag: numbers(table, flag) for flag in FLAGS}
    return ObjectTable(
        rows=numbers(table, "row"),
        xyxy=numbers(table, *BOX),
        class_ids=numbers(table, "class_id"),
        ids=numbers(table, "id"),
        area=numbers(table, "area"),
        **flags,
    )


def write_problems(path: Path, problems: Sequence[Problem]) -> None:
    write_table(path, {name: [getattr(p, name) for p in problems] for name in PROBLEMS.names}, PROBLEMS)


def read_problems(path: Path) -> list[Problem]:
    table = read_table(path, PROBLEMS)
    text = ("kind", "message", "path", "sample_id")
    columns = [
        as_texts(table.column(n)) if n in text else table.column(n).to_pylist() for n in PROBLEMS.names
    ]
    return [Problem(*row) for row in zip(*columns)]
