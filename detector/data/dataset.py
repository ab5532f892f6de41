"""Dataset: images by reference, ground truth in columns.

Reading never touches pixels. The objects of all images lie in one columnar `ObjectTable`, so that a
query over 118,000 images is array arithmetic; a `Sample` is made when it is asked for.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from detector.core import FLAGS, Annotations, ClassMap, frozen_array
from detector.errors import DataError, InputError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that was wrong or odd in a data set, named so that a person can find and fix it.

    Args:
        kind: short machine name, e.g. "unreadable image", "zero-area box"; counted in summaries.
        message: one sentence: what was expected, what came, what was done about it.
        path: the file to look into.
        line: 1-based line in that file, where there is one.
        sample_id: the sample it belongs to, if any.
        left_out: True where something (an image, a box) is missing from the data set because of it.
    """

    kind: str
    message: str
    path: str = ""
    line: int | None = None
    sample_id: str | None = None
    left_out: bool = False

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self.message}" if where else self.message


def no_sample(name: str, sample_id: object, sample_ids: Sequence[str], files: Sequence[str]) -> InputError:
    """The error for an id that a data set or run of this name lacks; a file name, with or without its ending,
    is answered with its id.

    Args:
        sample_ids, files: of its N samples.
    """
    wanted = os.path.basename(str(sample_id))
    for known, file in zip(sample_ids, files):
        if wanted and wanted in ((base := os.path.basename(file)), os.path.splitext(base)[0]):
            return InputError(
                f"{name} has no sample {sample_id!r}, which is the file name of the sample {known!r}; ids and"
                " file names differ here, give the id."
            )
    first = sample_ids[0] if len(sample_ids) else "none"
    return InputError(
        f"{name} has no sample {sample_id!r}; it holds {len(sample_ids)}, the first is {first!r}."
    )


def count_problems(problems: Iterable[Problem]) -> dict[str, int]:
    """How many of each kind, the most frequent first."""
    return dict(Counter(p.kind for p in problems).most_common())


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """All ground-truth objects of a data set, grouped by image in the order of its samples.

    Args:
        rows: int32 [M], the sample's position in the data set, ascending.
        xyxy: float32 [M, 4]; class_ids: int32 [M]; ids: int64 [M]; area: float32 [M], NaN where unstated.
        crowd, difficult, truncated, occluded: bool [M].
    """

    rows: np.ndarray
    xyxy: np.ndarray
    class_ids: np.ndarray
    ids: np.ndarray
    crowd: np.ndarray
    difficult: np.ndarray
    truncated: np.ndarray
    occluded: np.ndarray
    area: np.ndarray

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "rows", frozen_array(self.rows, np.int32, (None,), "ObjectTable.rows"))
        m = len(self.rows)
        put(self, "xyxy", frozen_array(self.xyxy, np.float32, (m, 4), "ObjectTable.xyxy"))
        put(self, "class_ids", frozen_array(self.class_ids, np.int32, (m,), "ObjectTable.class_ids"))
        put(self, "ids", frozen_array(self.ids, np.int64, (m,), "ObjectTable.ids"))
        for flag in FLAGS:
            put(self, flag, frozen_array(getattr(self, flag), bool, (m,), f"ObjectTable.{flag}"))
        area = np.array(self.area, np.float32)
        area.setflags(write=False)
        put(self, "area", area)
        if m and (np.diff(self.rows) < 0).any():
            raise InputError("ObjectTable.rows: expected objects grouped by image in ascending order.")

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def build(
        cls,
        rows,
        xyxy,
        class_ids,
        *,
        ids=None,
        area=None,
        crowd=None,
        difficult=None,
        truncated=None,
        occluded=None,
    ) -> ObjectTable:
        """From columns in any order; objects are grouped by image, keeping their order within one.

        `ids` default to the position within the image.
        """
        rows = np.asarray(rows, np.int64).reshape(-1)
        m = len(rows)
        order = np.argsort(rows, kind="stable")
        rows = rows[order]

        def column(values, default, dtype):
            values = np.full(m, default, dtype) if values is None else np.asarray(values, dtype).reshape(-1)
            return values[order]

        if ids is None:
            starts = np.searchsorted(rows, rows, side="left")
            ids = np.arange(m) - starts
        else:
            ids = np.asarray(ids, np.int64)[order]
        return cls(
            rows=rows,
            xyxy=np.asarray(xyxy, np.float32).reshape(-1, 4)[order],
            class_ids=column(class_ids, 0, np.int32),
            ids=ids,
            area=column(area, np.nan, np.float32),
            crowd=column(crowd, False, bool),
            difficult=column(difficult, False, bool),
            truncated=column(truncated, False, bool),
            occluded=column(occluded, False, bool),
        )

    @classmethod
    def empty(cls) -> ObjectTable:
        return cls.build([], np.zeros((0, 4)), [])

    def take(self, mask: np.ndarray, new_rows: np.ndarray | None = None) -> ObjectTable:
        """The masked objects; `new_rows` [N] maps old sample positions to new ones, which must ascend too."""
        rows = self.rows[mask] if new_rows is None else new_rows[self.rows[mask]]
        rest = {name: getattr(self, name)[mask] for name in ("xyxy", "class_ids", "ids", "area", *FLAGS)}
        return ObjectTable(rows=rows, **rest)


@dataclass(frozen=True, eq=False)
class Sample:
    """One image of a data set.

    `image_size` is (W, H) as the annotation file or header states it, or None where nobody said yet;
    `annotations` is None where nobody labelled the image (not the same as labelled and empty).
    """

    id: str
    path: Path | None
    image_size: tuple[int, int] | None
    annotations: Annotations | None
    split: str | None
    _load: Callable[[], np.ndarray] = field(repr=False)

    def load(self) -> np.ndarray:
        """The upright image, RGB uint8 [H, W, 3], read now.

        Raises:
            ImageError: the file is missing, broken or not an image.
        """
        return self._load()


class Dataset:
    """An ordered set of samples with one class map.

    Args:
        name: shown to people.
        format: "coco", "voc", "yolo", "csv", "folder", "demo", ...
        source: the path it was read from.
        class_map: its classes; empty for pictures without labels.
        sample_ids: N distinct strings (COCO: the image id; VOC: the file stem; a folder: the relative path).
        files: N absolute image paths, "" where the image has none (made in memory).
        sizes: int32 [N, 2] (W, H), zeros where unknown.
        labelled: bool [N], whether the image's objects are known (an empty label file counts).
        objects: every object; rows point into `sample_ids`.
        splits: N names or None.
        problems: everything the reader found odd.
        loader: (position) -> RGB uint8, for images that are not files.
        place: (row of the object table) -> (file, line or None) that states it, where the reader knows.
    """

    def __init__(
        self,
        *,
        name: str,
        format: str,
        source: str | Path,
        class_map: ClassMap,
        sample_ids: Sequence[str],
        files: Sequence[str | Path],
        sizes: np.ndarray | None = None,
        labelled: np.ndarray | None = None,
        objects: ObjectTable | None = None,
        splits: Sequence[str | None] | None = None,
        problems: Sequence[Problem] = (),
        loader: Callable[[int], np.ndarray] | None = None,
        place: Callable[[int], tuple[str, int | None]] | None = None,
    ):
        self.name, self.format, self.source = name, format, str(source)
        self.class_map = class_map
        self.sample_ids = [str(s) for s in sample_ids]
        n = len(self.sample_ids)
        self.files = [os.fspath(f) for f in files]
        self.sizes = frozen_array(
            np.zeros((n, 2)) if sizes is None else sizes, np.int32, (n, 2), "Dataset.sizes"
        )
        self.objects = ObjectTable.empty() if objects is None else objects
        if labelled is None:
            labelled = np.ones(n, bool) if objects is not None else np.zeros(n, bool)
        self.labelled = frozen_array(labelled, bool, (n,), "Dataset.labelled")
        self.splits = [None] * n if splits is None else list(splits)
        self.problems = tuple(problems)
        self._loader, self._place = loader, place
        if len(self.files) != n or len(self.splits) != n:
            raise InputError(
                f"Dataset {name}: {n} sample ids, {len(self.files)} files, {len(self.splits)} splits."
            )
        self._position = {s: i for i, s in enumerate(self.sample_ids)}
        if len(self._position) != n:
            twice = next(s for s, c in Counter(self.sample_ids).items() if c > 1)
            raise InputError(f"Dataset {name}: expected distinct sample ids, {twice!r} occurs twice.")
        if len(self.objects) and (
            self.objects.rows[-1] >= n or self.objects.class_ids.max() >= len(class_map)
        ):
            raise InputError(f"Dataset {name}: an object points to an image or a class that is not there.")
        self.offsets = np.searchsorted(self.objects.rows, np.arange(n + 1))

    def __len__(self) -> int:
        return len(self.sample_ids)

    def __contains__(self, sample_id: object) -> bool:
        return sample_id in self._position

    def position(self, sample_id: str) -> int:
        """The place of a sample id.

        Raises:
            InputError: the data set has no such sample.
        """
        try:
            return self._position[str(sample_id)]
        except KeyError:
            raise no_sample(self.name, sample_id, self.sample_ids, self.files) from None

    def __getitem__(self, key: int | str) -> Sample:
        i = self.position(key) if isinstance(key, str) else range(len(self))[key]
        width, height = (int(v) for v in self.sizes[i])
        return Sample(
            id=self.sample_ids[i],
            path=Path(self.files[i]) if self.files[i] else None,
            image_size=(width, height) if width and height else None,
            annotations=self.annotations(i),
            split=self.splits[i],
            _load=lambda: self.load_image(i),
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def load_image(self, i: int) -> np.ndarray:
        if self._loader is not None:
            return self._loader(i)
        from detector.data.images import read_image

        return read_image(self.files[i])

    def place_of(self, k: int) -> tuple[str, int | None]:
        """The file, and the 1-based line where there is one, that states object k; ("", None) where nobody
        knows.
        """
        return ("", None) if self._place is None else self._place(k)

    def annotations(self, i: int) -> Annotations | None:
        """The objects of the i-th sample; None where it is not labelled.

        Where no file states the image's size, the smallest frame that holds its boxes stands in.
        """
        if not self.labelled[i]:
            return None
        t, rows = self.objects, slice(self.offsets[i], self.offsets[i + 1])
        width, height = (int(v) for v in self.sizes[i])
        if not (width and height):
            far = t.xyxy[rows].max(axis=0) if rows.stop > rows.start else np.ones(4)
            width, height = (max(1, int(np.ceil(v))) for v in far[2:])
        flags = {flag: getattr(t, flag)[rows] for flag in FLAGS}
        return Annotations(
            t.xyxy[rows],
            t.class_ids[rows],
            (width, height),
            ids=t.ids[rows],
            area=t.area[rows],
            class_map=self.class_map,
            **flags,
        )

    def subset(self, which: Iterable[str] | np.ndarray, name: str | None = None) -> Dataset:
        """The samples with these ids, or under this mask or these positions, in the data set's own order."""
        which = np.asarray(which if isinstance(which, np.ndarray) else list(which))
        keep = np.zeros(len(self), bool)
        if which.dtype.kind in "US":
            keep[[self.position(s) for s in which]] = True
        elif which.size:
            keep[which] = True
        old = np.flatnonzero(keep)
        new_rows = np.cumsum(keep) - 1
        ids = {self.sample_ids[i] for i in old}
        kept = np.flatnonzero(keep[self.objects.rows])
        return Dataset(
            name=name or self.name,
            format=self.format,
            source=self.source,
            class_map=self.class_map,
            sample_ids=[self.sample_ids[i] for i in old],
            files=[self.files[i] for i in old],
            sizes=self.sizes[old],
            labelled=self.labelled[old],
            objects=self.objects.take(keep[self.objects.rows], new_rows),
            splits=[self.splits[i] for i in old],
            problems=[p for p in self.problems if p.sample_id is None or p.sample_id in ids],
            loader=None if self._loader is None else lambda i: self._loader(int(old[i])),
            place=None if self._place is None else lambda k: self._place(int(kept[k])),
        )

    def split(self, name: str) -> Dataset:
        """The samples of one split ("train", "val", "test").

        Raises:
            InputError: no sample belongs to it; the message lists the splits there are.
        """
        rows = np.array([i for i, s in enumerate(self.splits) if s == name], np.int64)
        if not len(rows):
            known = sorted({s for s in self.splits if s})
            raise InputError(f"{self.name} has no split {name!r}; it has {', '.join(known) or 'none'}.")
        return self.subset(rows, f"{self.name} {name}")

    def with_classes(self, class_map: ClassMap) -> Dataset:
        """The same images and objects under this class map; classes are known by their names.

        Raises:
            DataError: an object's class is none of its names.
        """
        new = np.array(
            [class_map.index(name) if name in class_map else -1 for name in self.class_map.names] or [-1],
            np.int32,
        )
        missing = sorted({self.class_map.names[i] for i in np.unique(self.objects.class_ids) if new[i] < 0})
        if missing:
            raise DataError(
                f"expected objects of the classes {', '.join(class_map.names)}, {self.name} also has"
                f" {', '.join(missing)}.",
                path=self.source or None,
            )
        moved = replace(self.objects, class_ids=new[self.objects.class_ids])
        return Dataset(
            name=self.name,
            format=self.format,
            source=self.source,
            class_map=class_map,
            sample_ids=self.sample_ids,
            files=self.files,
            sizes=self.sizes,
            labelled=self.labelled,
            objects=moved,
            splits=self.splits,
            problems=self.problems,
            loader=self._loader,
            place=self._place,
        )

    @cached_property
    def fingerprint(self) -> str:
        """64 hex digits over ids, file names and byte sizes, classes and objects; independent of where it
        lies.
        """
        digest = hashlib.sha256()
        base = os.path.commonpath(dirs) if (dirs := {os.path.dirname(f) for f in self.files if f}) else ""
        for sample_id, file in zip(self.sample_ids, self.files):
            try:
                size = os.stat(file).st_size if file else 0
            except OSError:
                size = -1
            digest.update(
                f"{sample_id}\0{os.path.relpath(file, base) if file else ''}\0{size}\n".encode(
                    "utf-8", "surrogateescape"
                )
            )
        digest.update("\0".join(self.class_map.names).encode())
        for column in ("rows", "xyxy", "class_ids", "ids", *FLAGS):
            digest.update(np.ascontiguousarray(getattr(self.objects, column)).tobytes())
        digest.update(self.labelled.tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}, {self.format}, {len(self)} images, {len(self.objects)} objects,"
            f" {len(self.class_map)} classes, {len(self.problems)} problems)"
        )
