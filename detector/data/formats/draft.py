"""What a reader gathers from annotation files, and the one way from there to a Dataset.

A reader fills a `Draft` with the numbers as they stand in the files; `assemble` looks whether the pictures
are there, reads their headers, judges the boxes, and names every problem. So each format is judged alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from detector.core import FLAGS, ClassMap
from detector.data.dataset import Dataset, ObjectTable, Problem
from detector.data.files import Listing
from detector.data.formats.box_checks import Place, check_boxes, cut_out
from detector.data.images import Header, read_header, turn_boxes
from detector.errors import ImageError

HEADER_LIMIT = 10_000
"""Up to this many pictures their headers are read when a data set is opened (about 0.1 ms each); beyond it
sizes are taken from the annotation file, and `check_images` compares them."""

BOXES_IGNORED = "boxes ignored"
"""The kind of the one problem of a data set that was read for its classes alone; see `boxes_ignored`."""


def boxes_ignored(dataset: Dataset) -> bool:
    """Whether a data set was read with `boxes="ignore"`: its boxes are whole pictures, and nothing may learn
    from them.
    """
    return any(problem.kind == BOXES_IGNORED for problem in dataset.problems)


@dataclass
class Draft:
    """Samples and objects as files state them.

    Args:
        files: where each picture should be, absolute; "" where nothing is known of it.
        sizes: int [N, 2] (W, H) as stated, 0 where unknown.
        rows: int [M], each object's sample; xyxy: float64 [M, 4], its numbers as corners, NaN where
            unreadable.
        place: object -> where it stands, for messages.
        fractions: True where the format states parts of the image (YOLO), which need the image's size.
        shift, numbers: as for `check_boxes`.
        examined: True where the reader has looked at the pictures itself: `sizes` are upright and true, boxes
            relate to them, and files are not looked for.
        whole_frame: True where the stated boxes are not wanted: each object gets the whole picture for a box.
        annotation_file: sample -> (path, line) of what states it, for messages.
    """

    name: str
    format: str
    source: str
    class_map: ClassMap
    sample_ids: list[str]
    files: list[str]
    sizes: np.ndarray
    labelled: np.ndarray
    splits: list[str | None]
    rows: np.ndarray
    xyxy: np.ndarray
    class_ids: np.ndarray
    place: Callable[[int], Place]
    ids: np.ndarray | None = None
    area: np.ndarray | None = None
    flags: dict[str, np.ndarray] = field(default_factory=dict)
    fractions: bool = False
    shift: tuple[float, float] = (0.0, 0.0)
    numbers: tuple[str, str] = ("x1, y1, x2, y2", "pixels")
    examined: bool = False
    whole_frame: bool = False
    problems: list[Problem] = field(default_factory=list)
    annotation_file: Callable[[int], tuple[str, int | None]] | None = None

    def stated_in(self, row: int) -> tuple[str, int | None]:
        return self.annotation_file(row) if self.annotation_file else (self.source, None)

    def take(self, keep: Sequence[int]) -> Draft:
        """The samples at these positions (ascending), with their objects and problems."""
        keep = np.asarray(keep, np.int64)
        new = np.full(len(self.sample_ids), -1, np.int64)
        new[keep] = np.arange(len(keep))
        objects = np.flatnonzero(new[self.rows] >= 0) if len(self.rows) else np.zeros(0, np.int64)
        ids = {self.sample_ids[i] for i in keep}
        place, stated = self.place, self.stated_in
        return Draft(
            name=self.name,
            format=self.format,
            source=self.source,
            class_map=self.class_map,
            sample_ids=[self.sample_ids[i] for i in keep],
            files=[self.files[i] for i in keep],
            sizes=np.asarray(self.sizes).reshape(-1, 2)[keep],
            labelled=np.asarray(self.labelled, bool)[keep],
            splits=[self.splits[i] for i in keep],
            rows=new[np.asarray(self.rows, np.int64)[objects]],
            xyxy=np.asarray(self.xyxy, np.float64).reshape(-1, 4)[objects],
            class_ids=np.asarray(self.class_ids)[objects],
            place=lambda k: place(int(objects[k])),
            ids=None if self.ids is None else self.ids[objects],
            area=None if self.area is None else self.area[objects],
            flags={flag: np.asarray(values)[objects] for flag, values in self.flags.items()},
            fractions=self.fractions,
            shift=self.shift,
            numbers=self.numbers,
            examined=self.examined,
            whole_frame=self.whole_frame,
            problems=[p for p in self.problems if p.sample_id is None or p.sample_id in ids],
            annotation_file=lambda i: stated(int(keep[i])),
        )


def assemble(draft: Draft, *, headers: bool | None = None) -> Dataset:
    """A Dataset from a draft: pictures looked for, headers compared, boxes judged.

    Args:
        headers: whether to read the pictures' headers; None decides by `HEADER_LIMIT` and by need.
    """
    n = len(draft.sample_ids)
    problems = list(draft.problems)
    present = np.zeros(n, bool) if draft.examined else _present(draft, problems)
    if headers is None:
        headers = draft.fractions or draft.whole_frame or int(present.sum()) <= HEADER_LIMIT
    sizes = np.array(draft.sizes, np.int64).reshape(n, 2)
    sizes[(sizes <= 0).any(axis=1)] = 0
    rows = np.asarray(draft.rows, np.int64).reshape(-1)
    xyxy = np.array(draft.xyxy, np.float64).reshape(-1, 4)
    counts = np.bincount(rows, minlength=n) if n else np.zeros(0, np.int64)
    turned: dict[int, Header] = {}
    if headers:
        for i in np.flatnonzero(present):
            _compare_header(draft, int(i), sizes, bool(counts[i]), turned, problems)
    if draft.fractions:
        xyxy *= np.tile(sizes[rows], 2)
        unknown = (sizes[rows] == 0).any(axis=1)
        xyxy[unknown] = np.nan
    for i, header in turned.items():
        at = rows == i
        if (xyxy[at].max(axis=0, initial=0)[2:] <= np.array(header.stored_size) + 1).all():
            shifted = xyxy[at] + (*draft.shift, 0, 0)
            xyxy[at] = turn_boxes(shifted, header.stored_size, header.orientation) - (*draft.shift, 0, 0)
    labelled = np.array(draft.labelled, bool)
    cropped = cut_out(xyxy, rows, sizes)
    problems += [
        _cropped(draft.place(int(k)), xyxy[k], sizes[rows[k]], draft.whole_frame)
        for k in np.flatnonzero(cropped)
    ]
    if draft.whole_frame:
        xyxy, shift = np.concatenate([np.zeros((len(rows), 2)), sizes[rows]], axis=1), (0.0, 0.0)
        xyxy[(sizes[rows] == 0).any(axis=1)] = np.nan
        problems.append(
            Problem(
                BOXES_IGNORED,
                f"its {len(rows)} boxes are not used, as was asked; the whole picture stands in for each.",
                draft.source,
            )
        )
    else:
        shift = draft.shift
        labelled[rows[cropped]] = False
        xyxy[cropped] = np.concatenate(
            [np.ones((int(cropped.sum()), 2)), sizes[rows[cropped]]], axis=1
        )  # named above already
    boxes, keep, faults = check_boxes(xyxy, sizes[rows], draft.place, shift=shift, numbers=draft.numbers)
    keep &= draft.whole_frame | ~cropped
    problems += faults

    def kept(values):
        return None if values is None else np.asarray(values)[keep]

    objects = ObjectTable.build(
        rows[keep],
        boxes[keep],
        np.asarray(draft.class_ids, np.int64).reshape(-1)[keep],
        ids=kept(draft.ids),
        area=kept(draft.area),
        **{flag: kept(draft.flags.get(flag)) for flag in FLAGS},
    )
    source = np.flatnonzero(keep)[
        np.argsort(rows[keep], kind="stable")
    ]  # the order ObjectTable.build gives them

    def place(k: int) -> tuple[str, int | None]:
        at = draft.place(int(source[k]))
        return at.path, at.line

    return Dataset(
        name=draft.name,
        format=draft.format,
        source=draft.source,
        class_map=draft.class_map,
        sample_ids=draft.sample_ids,
        files=draft.files,
        sizes=sizes,
        labelled=labelled,
        objects=objects,
        splits=draft.splits,
        problems=problems,
        place=place,
    )


def _cropped(place: Place, box: np.ndarray, size: np.ndarray, whole_frame: bool) -> Problem:
    said = "[" + ", ".join(f"{v:g}" for v in box) + "]"
    done = (
        "the class alone is used."
        if whole_frame
        else 'it counts as unlabelled. Read with boxes="ignore" for the classes alone.'
    )
    return Problem(
        "already cropped",
        f"{place.subject}: the picture has {size[0]}x{size[1]} pixels, as many as its box {said}: it was cut"
        f" out along the box, which no longer fits; {done}",
        place.path,
        place.line,
        place.sample_id,
        not whole_frame,
    )


def _present(draft: Draft, problems: list[Problem]) -> np.ndarray:
    listing = Listing()
    present = np.array([bool(f) and listing.has(f) for f in draft.files], bool)
    if len(present) and not present.any():
        sought = next((os.path.dirname(f) for f in draft.files if f), "")
        problems.append(
            Problem(
                "missing image folder",
                f"none of its {len(present)} pictures was found{f' (looked in {sought})' if sought else ''};"
                " name their folder with images= (on the command line: --images FOLDER).",
                draft.source,
            )
        )
        return present
    for i in np.flatnonzero(~present):
        path, line = draft.stated_in(int(i))
        sought = draft.files[i] or draft.sample_ids[i]
        problems.append(
            Problem(
                "missing image",
                f"expected the picture {sought}, there is no such file.",
                path,
                line,
                draft.sample_ids[i],
            )
        )
    return present


def _compare_header(
    draft: Draft,
    i: int,
    sizes: np.ndarray,
    labelled: bool,
    turned: dict[int, Header],
    problems: list[Problem],
) -> None:
    """Put the picture's true size into `sizes[i]`; name what differs from the annotation file."""
    file, sample_id = draft.files[i], draft.sample_ids[i]
    try:
        header = read_header(file)
    except ImageError as error:
        problems.append(Problem("unreadable image", error.message, file, None, sample_id))
        return
    if header.complete is None:
        from detector.data.check import decode_problem

        if (fault := decode_problem(file, sample_id)) is not None:
            problems.append(fault)
    stated, real = tuple(int(v) for v in sizes[i]), header.size
    sizes[i] = real
    path, line = draft.stated_in(i)
    if not labelled:
        if 0 not in stated and stated not in (real, header.stored_size):
            problems.append(_size_lie(stated, real, path, line, sample_id))
    elif 0 not in stated and stated != real:
        if stated == header.stored_size:
            turned[i] = header
            problems.append(
                Problem(
                    "annotated unrotated",
                    f"the boxes relate to the stored {stated[0]}x{stated[1]} pixels, EXIF orientation"
                    f" {header.orientation} shows {real[0]}x{real[1]}; they were turned with the picture.",
                    path,
                    line,
                    sample_id,
                )
            )
        else:
            problems.append(_size_lie(stated, real, path, line, sample_id))
    elif header.orientation != 1 and (header.orientation < 5 or real[0] == real[1]):
        problems.append(
            Problem(
                "ambiguous rotation",
                f"the picture has EXIF orientation {header.orientation} and its size does not tell whether"
                " the boxes relate to the upright picture; that was assumed, look at it once.",
                file,
                None,
                sample_id,
            )
        )


def _size_lie(stated: tuple, real: tuple, path: str, line: int | None, sample_id: str) -> Problem:
    return Problem(
        "wrong size",
        f"it states {stated[0]}x{stated[1]} pixels, the picture has {real[0]}x{real[1]}; the picture's own"
        " size is used.",
        path,
        line,
        sample_id,
    )
