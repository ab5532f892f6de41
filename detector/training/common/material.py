"""What a training settles about its images before the first step: which split, which files decode, what is
shared.

A file that is missing, empty or damaged is left out, counted and named; it never ends a training half way.
The list is kept in the training's folder, so that a file that is fixed later does not change what a resumed
training sees.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detector.errors import DataError, ImageError, InputError

if TYPE_CHECKING:
    from detector.data.dataset import Dataset
    from detector.training.common.folder import TrainFolder

TRAIN, VALIDATION = ("train", "training"), ("val", "valid", "validation")
IMAGES = "images.json"
NAMED = 3  # files that a sentence names

KEPT = 4  # scans kept in this process: the trials of a sweep share their data

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ChosenSplits:
    """Which splits of a data set a training uses.

    Args:
        train, validation: names of splits; None for the whole set, or for no validation split.
        notes: what was chosen without being asked for, one sentence each.
    """

    train: str | None
    validation: str | None
    notes: tuple[str, ...] = ()


def choose_splits(
    dataset: Dataset, train: str | None, validation: str | None, *, other_validation: bool = False
) -> ChosenSplits:
    """The splits as named; where none is named and the data have a train split, that split and no other
    image.

    Images of an official test split are never trained on unless somebody names it.

    Args:
        train, validation: the recipe's `train_split` and `val_split`.
        other_validation: the recipe names another data set to validate on.
    """
    if train is not None:
        return ChosenSplits(train, validation)
    found = [name for name in dict.fromkeys(dataset.splits) if name]
    own = next((name for name in found if name.lower() in TRAIN), None)
    if own is None or all(name == own for name in dataset.splits):
        return ChosenSplits(None, validation)
    inside = dataset.splits.count(own)
    notes = [
        f"The data have a split {own!r}: only its {inside:,} images are used for training, the other"
        f" {len(dataset) - inside:,} are not; another choice is train_split."
    ]
    judged = None
    if validation is None and not other_validation:
        judged = next((name for name in found if name.lower() in VALIDATION), None)
        if judged:
            notes.append(f"The split {judged!r} of the data is used for validation.")
    return ChosenSplits(own, validation or judged, tuple(notes))


@dataclass(frozen=True)
class ImageScan:
    """What decoding found.

    Args:
        damaged: sample id to the reason it cannot be decoded.
        digests: bytes per sample id over shape and pixels, of images that decode.
    """

    damaged: dict[str, str]
    digests: dict[str, bytes]


_SCANS: dict[str, ImageScan] = {}


def scan_images(dataset: Dataset, progress: Progress | None = None, workers: int | None = None) -> ImageScan:
    """Decode every labelled image once.

    Args:
        progress: called as progress(done, total), now and then and at the end.
        workers: threads; decoding releases the interpreter lock. None is one per core.
    """

    def look(i: int) -> tuple[str, bytes | str]:
        try:
            pixels = dataset.load_image(i)
        except ImageError as error:
            return dataset.sample_ids[i], str(error)
        digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(pixels).data)
        return dataset.sample_ids[i], digest.digest()

    key = _content_key(dataset)
    if key and key in _SCANS:
        return _SCANS[key]
    rows = np.flatnonzero(dataset.labelled).tolist()
    damaged: dict[str, str] = {}
    digests: dict[str, bytes] = {}
    with ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="image-scan") as pool:
        for done, (sample_id, found) in enumerate(pool.map(look, rows), start=1):
            if isinstance(found, str):
                damaged[sample_id] = found
            else:
                digests[sample_id] = found
            if progress is not None and (done % 32 == 0 or done == len(rows)):
                progress(done, len(rows))
    scan = ImageScan(damaged, digests)
    if key:
        _SCANS[key] = scan
        while len(_SCANS) > KEPT:
            _SCANS.pop(next(iter(_SCANS)))
    return scan


def _content_key(dataset: Dataset) -> str:
    """Changes when a file is replaced; empty where an image is not a file, so that nothing tells."""
    digest = hashlib.sha256(dataset.fingerprint.encode())
    for file in dataset.files:
        if not file:
            return ""
        try:
            state = os.stat(file)
            digest.update(
                f"{file}\0{state.st_size}\0{state.st_mtime_ns}\n".encode("utf-8", "surrogateescape")
            )
        except OSError:
            digest.update(f"{file}\0missing\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def without(dataset: Dataset, damaged: Mapping[str, str], purpose: str) -> Dataset:
    """The data set without these images; the same object where there is none to leave out.

    Raises:
        DataError: no image would be left; names some of them with their reasons.
    """
    mine = [sample_id for sample_id in dataset.sample_ids if sample_id in damaged]
    if not mine:
        return dataset
    keep = np.array([sample_id not in damaged for sample_id in dataset.sample_ids], bool)
    if not keep.any():
        raise DataError(
            f"expected images to {purpose} on, none of the {len(dataset)} can be read:"
            f" {_listed([damaged[s] for s in mine])}.",
            path=dataset.source or None,
        )
    return dataset.subset(keep, dataset.name)


def refuse_shared(train: Dataset, validation: Dataset) -> None:
    """Refuse a training whose validation shows files it trains on.

    Raises:
        InputError: names how many and some of them.
    """
    files = {os.path.realpath(file) for file in train.files if file}
    shared = [file for file in validation.files if file and os.path.realpath(file) in files]
    if shared:
        raise InputError(
            f"{len(shared)} of the {len(validation)} validation images are training images too"
            f" ({_listed([Path(f).name for f in shared])}): figures on them say nothing about new images;"
            " name splits that do not overlap (train_split, val_split)."
        )


def equal_images(train: Mapping[str, bytes], validation: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """(validation sample id, training sample id) of images with equal pixels in different files."""
    known = {digest: sample_id for sample_id, digest in train.items()}
    return [(sample_id, known[digest]) for sample_id, digest in validation.items() if digest in known]


@dataclass(frozen=True)
class Material:
    """Images that decode, to train and to validate on.

    Args:
        notes: what was left out or is odd, one sentence each.
        damaged: sample id to reason, of both parts.
    """

    train: Dataset
    validation: Dataset | None
    notes: tuple[str, ...]
    damaged: dict[str, str]


def sound_material(
    folder: TrainFolder, train: Dataset, validation: Dataset | None, progress: Progress | None = None
) -> Material:
    """Leave out what cannot be decoded; a training that was started before leaves out what it left out then.

    Args:
        folder: the training's; what was found is kept in its images.json.
        progress: called as progress(done, total) while images are decoded.

    Raises:
        DataError: no image is left. InputError: validation images are training images.
    """
    if validation is not None:
        refuse_shared(train, validation)
    if folder.started and (folder / IMAGES).is_file():
        kept = folder.read_json(IMAGES)
        damaged, notes = dict(kept["left_out"]), tuple(kept["notes"])
    else:
        damaged, notes = _look(train, validation, progress)
        folder.write_json(IMAGES, {"left_out": damaged, "notes": list(notes)})
    return Material(
        without(train, damaged, "train"),
        None if validation is None else without(validation, damaged, "validate"),
        notes,
        damaged,
    )


def _look(
    train: Dataset, validation: Dataset | None, progress: Progress | None
) -> tuple[dict[str, str], tuple[str, ...]]:
    total = int(train.labelled.sum()) + (0 if validation is None else int(validation.labelled.sum()))
    first = scan_images(train, progress and (lambda done, _: progress(done, total)))
    damaged, notes = dict(first.damaged), []
    if validation is not None:
        before = int(train.labelled.sum())
        second = scan_images(validation, progress and (lambda done, _: progress(before + done, total)))
        damaged |= second.damaged
        twins = equal_images(first.digests, second.digests)
        if twins:
            notes.append(
                f"{len(twins)} validation images have the same pixels as training images"
                f" ({_listed([f'{a} = {b}' for a, b in twins])}): figures on them say little about new"
                " images."
            )
    if damaged:
        notes.insert(
            0,
            f"{len(damaged)} image{'s' if len(damaged) > 1 else ''} cannot be read and"
            f" {'are' if len(damaged) > 1 else 'is'} left out ({_listed(list(damaged.values()))});"
            " `boxscope doctor --fix` writes a copy without them.",
        )
    return damaged, tuple(notes)


def _listed(items: list[str]) -> str:
    more = len(items) - NAMED
    return "; ".join(items[:NAMED]) + (f"; and {more} more" if more > 0 else "")
