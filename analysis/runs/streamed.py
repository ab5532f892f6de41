"""StreamedRun: a stored run that does not fit in memory, worked on in windows of consecutive images.

    run = open_streamed(path)
    for first, window in run.windows():      # window: an `analysis.runs.store.Run` of a few thousand images

Matching, error kinds and class queries look at one image at a time, so what they say of a window is what they
say of those images in the whole run. `analysis.match`, `evaluate`, `find_errors` and
`find_images_with_classes` take a StreamedRun and give exactly what they give for the run in memory;
`analysis.metrics.streamed` puts windows together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.runs import files
from analysis.runs.manifest import Manifest, read_manifest
from analysis.runs.notebook import run_table
from analysis.runs.parts import PartIndex, read_parts
from analysis.runs.store import Run, class_problems, failures, open_run
from analysis.runs.tables import DetectionTable
from analysis.runs.truth_frames import fit_truth
from detector.core import FLAGS, Annotations, ClassMap, Detections
from detector.data.dataset import ObjectTable, Problem
from detector.data.indexed import columns as lazy
from detector.data.indexed.columns import ParquetTexts
from detector.errors import BoxscopeError, InputError, RunError

MEMORY_DETECTIONS = 5_000_000
MEMORY_IMAGES = 1_000_000
"""A run with more than either is streamed by `open_stored`: about 1 GB as a `Run`, before anything is
computed.
"""
WINDOW_DETECTIONS, WINDOW_IMAGES = 250_000, 16_384


class StreamedRun:
    """A stored run whose detections, objects and names stay on disk; per image a few numbers are in memory.

    Args and attributes that say the same as `Run`'s: path, manifest, class_map, name, sample_ids, files,
    splits, sizes, labelled, done, failed, readable, usable, version, `position`, `image_size`,
    `detections_of`, `annotations`, `load_image`.

    Attributes:
        parts: which part holds which image, and how many detections (`analysis.runs.parts.PartIndex`).
        detection_count, object_count: in all.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        sizes: np.ndarray,
        stated: np.ndarray,
        labelled: np.ndarray,
        parts: PartIndex,
    ):
        self.path, self.manifest, self.parts = path, manifest, parts
        self.class_map: ClassMap = manifest.class_map
        samples = path / "samples.parquet"
        self.sample_ids: Sequence[str] = ParquetTexts(samples, "sample")
        self.files: Sequence[str] = ParquetTexts(samples, "file")
        self.splits: Sequence[str | None] = ParquetTexts(samples, "split")
        self.sizes, self._stated, self.labelled, self.done = sizes, stated, labelled, parts.done
        for array in (sizes, stated, labelled, parts.done):
            array.setflags(write=False)
        self._truth = _TruthFile(path / "truth.parquet")

    def __len__(self) -> int:
        return len(self.done)

    def __contains__(self, sample_id: object) -> bool:
        return self.sample_ids.find(str(sample_id)) is not None

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.class_map.names

    @property
    def labelled_classes(self) -> int:
        """How many of the classes, the first ones, the data set knows."""
        return self.manifest.classes.dataset_classes

    @property
    def detection_count(self) -> int:
        return self.parts.total

    @property
    def object_count(self) -> int:
        return self._truth.count

    @cached_property
    def failed(self) -> dict[str, str]:
        rows = sorted(self.parts.errors)
        return dict(
            zip(lazy.take(self.sample_ids, np.array(rows, np.int64)), (self.parts.errors[r] for r in rows))
        )

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """Of the data set's reader and of the run; those of pictures that decode to another size come with
        their window.
        """
        found = [*files.read_problems(self.path / "problems.parquet"), *class_problems(self.manifest)]
        return (*found, *failures(self.parts.errors, self.sample_ids, self.files, found))

    @cached_property
    def readable(self) -> np.ndarray:
        """bool [N]: done and not failed."""
        readable = self.done.copy()
        readable[list(self.parts.errors)] = False
        readable.setflags(write=False)
        return readable

    @cached_property
    def usable(self) -> np.ndarray:
        """bool [N]: the images that figures count: done, readable and labelled."""
        usable = self.readable & self.labelled
        usable.setflags(write=False)
        return usable

    @cached_property
    def version(self) -> str:
        """As `Run.version`, and the same for the same content."""
        return (
            f"{self.manifest.identity}-{int(self.done.sum())}-{len(self.parts.errors)}-{self.detection_count}"
        )

    @property
    def floor(self) -> float:
        return self.manifest.floor

    def position(self, sample_id: str) -> int:
        """The place of a sample id, found by looking through the names.

        Raises:
            InputError: the run has no such sample.
        """
        i = self.sample_ids.find(str(sample_id))
        if i is None:
            first = self.sample_ids[0] if len(self) else "none"
            raise InputError(
                f"{self.name} has no sample {sample_id!r}; it holds {len(self)}, the first is {first!r}."
            )
        return i

    def window(
        self, first: int, last: int, *, detections: bool = True, boxes: bool = True, truth: bool = True
    ) -> Run:
        """The images `first` to before `last` as a run in memory; its positions count from `first`.

        Args:
            detections: False leaves them unread (none).
            boxes: False leaves the corners of detections unread (zeros): for questions about classes and
                scores.
            truth: False leaves the objects unread (none).

        Raises:
            RunError: a file of the run is missing or broken.
        """
        rows = np.arange(first, last)
        ids, paths = self.sample_ids[first:last], self.files[first:last]
        decoded, done = self.parts.decoded[first:last], self.done[first:last]
        known = done & (decoded > 0).all(axis=1)
        objects = self._truth.rows(first, last) if truth else ObjectTable.empty()
        objects, problems = fit_truth(
            objects, self._stated[first:last], np.where(known[:, None], decoded, 0), ids, paths
        )
        failed = {
            ids[r - first]: self.parts.errors[r]
            for r in rows[done & ~known].tolist()
            if r in self.parts.errors
        }
        found = (
            self.parts.detections(first, last, boxes=boxes)
            if detections
            else DetectionTable.empty(last - first)
        )
        return Run(
            path=None,
            manifest=self.manifest,
            sample_ids=ids,
            files=paths,
            sizes=self.sizes[first:last],
            splits=self.splits[first:last],
            labelled=self.labelled[first:last],
            truth=objects,
            detections=found,
            done=done,
            failed=failed,
            problems=problems,
        )

    def bounds(self) -> list[tuple[int, int]]:
        """Where the windows begin and end: at most `WINDOW_DETECTIONS` each (but at least one image), and
        `WINDOW_IMAGES`.
        """
        ends = np.cumsum(self.parts.counts, dtype=np.int64)
        found, first = [], 0
        while first < len(self):
            before = int(ends[first - 1]) if first else 0
            last = int(np.searchsorted(ends, before + WINDOW_DETECTIONS, side="right"))
            last = min(max(last, first + 1), first + WINDOW_IMAGES, len(self))
            found.append((first, last))
            first = last
        return found

    def windows(
        self, *, detections: bool = True, boxes: bool = True, truth: bool = True
    ) -> Iterator[tuple[int, Run]]:
        """(first image, run in memory) one after another; arguments as for `window`."""
        for first, last in self.bounds():
            yield first, self.window(first, last, detections=detections, boxes=boxes, truth=truth)

    def image_size(self, i: int) -> tuple[int, int]:
        width, height = (int(v) for v in self.sizes[i])
        return (width, height) if width and height else self.window(i, i + 1, detections=False).image_size(0)

    def detections_of(self, i: int) -> Detections:
        return self.window(i, i + 1, truth=False).detections_of(0)

    def annotations(self, i: int) -> Annotations | None:
        return self.window(i, i + 1, detections=False).annotations(0)

    def load_image(self, i: int) -> np.ndarray:
        return self.window(i, i + 1, detections=False, truth=False).load_image(0)

    def __repr__(self) -> str:
        done = int(self.done.sum())
        return (
            f"StreamedRun({self.name!r}, {self.manifest.state}, {done} of {len(self)} images,"
            f" {self.detection_count} detections)"
        )

    def _repr_html_(self) -> str:
        return run_table(self)


class _TruthFile:
    """truth.parquet, read a few row groups at a time."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self._metadata = pq.read_metadata(path)
            names = self._metadata.schema.to_arrow_schema().names
        except (OSError, pa.ArrowException) as error:
            raise RunError(
                f"This file of the run is broken or not there ({str(error).splitlines()[0][:120]}).",
                path=path,
            ) from None
        if names != files.TRUTH.names:
            raise RunError(
                f"Expected the columns {', '.join(files.TRUTH.names)}, found {', '.join(names)}.", path=path
            )
        self.count = self._metadata.num_rows
        groups = [
            self._metadata.row_group(g).column(0).statistics for g in range(self._metadata.num_row_groups)
        ]
        self._ranges = (
            [(s.min, s.max) for s in groups if s is not None] if all(groups) else [(0, 1 << 62)] * len(groups)
        )
        self._kept: tuple[tuple[int, ...], dict[str, np.ndarray]] | None = None

    def rows(self, first: int, last: int) -> ObjectTable:
        """The objects of the images `first` to before `last`; rows count from `first`."""
        wanted = tuple(g for g, (low, high) in enumerate(self._ranges) if low < last and high >= first)
        if not wanted:
            return ObjectTable.empty()
        kept = self._kept
        if kept is None or kept[0] != wanted:
            with pq.ParquetFile(self.path, metadata=self._metadata) as file:
                table = file.read_row_groups(list(wanted), use_threads=False)
            columns = {name: files.numbers(table, name) for name in ("row", "class_id", "id", "area", *FLAGS)}
            kept = self._kept = wanted, columns | {"xyxy": files.numbers(table, *files.BOX)}
        part = slice(*np.searchsorted(kept[1]["row"], (first, last)).tolist())
        columns = {name: values[part] for name, values in kept[1].items()}
        return ObjectTable(
            rows=columns.pop("row") - first,
            class_ids=columns.pop("class_id"),
            ids=columns.pop("id"),
            **columns,
        )


def open_streamed(path: str | Path) -> StreamedRun:
    """Open a stored run, finished or not, without its detections; parts in the making are not seen.

    Raises:
        RunError: as `open_run`, as far as the files are looked at now.
    """
    path = Path(path)
    manifest = read_manifest(path)
    samples = files.read_table(path / "samples.parquet", files.SAMPLES, ("width", "height", "labelled"))
    n = len(samples)
    if n != manifest.dataset.count:
        raise RunError(
            f"The manifest speaks of {manifest.dataset.count} images, samples.parquet holds {n}.", path=path
        )
    stated = files.numbers(samples, "width", "height").astype(np.int32).reshape(n, 2)
    labelled = np.array(samples.column("labelled").to_numpy(), bool)
    parts = read_parts(path, n)
    known = parts.done & (parts.decoded > 0).all(axis=1)
    try:
        return StreamedRun(
            path, manifest, np.where(known[:, None], parts.decoded, stated), stated, labelled, parts
        )
    except RunError:
        raise
    except BoxscopeError as error:
        raise RunError(error.message, path=error.path) from None


def is_large(path: str | Path) -> bool:
    """Whether a stored run is one that `open_stored` streams, by the number of its images and the rows of its
    parts.

    Raises:
        RunError: there is no run.
    """
    path = Path(path)
    manifest = read_manifest(path)
    if manifest.dataset.count > MEMORY_IMAGES or manifest.counts.detections > MEMORY_DETECTIONS:
        return True
    if manifest.state == "done":
        return False
    held = 0
    for part in files.finished_parts(path):
        try:
            held += pq.read_metadata(files.part_path(path, "detections", *part)).num_rows
        except (OSError, pa.ArrowException):
            continue  # opening the run says what is wrong with it
    return held > MEMORY_DETECTIONS


def open_stored(path: str | Path) -> Run | StreamedRun:
    """A stored run: in memory where it is small enough, else streamed.

    Raises:
        RunError: as `open_run`.
    """
    return open_streamed(path) if is_large(path) else open_run(path)
