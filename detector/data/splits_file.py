"""A splits file: every sample of a data set and the part it belongs to, written down once and read
everywhere.

The file is a data set to `load_dataset`: it names where the pictures and annotations are, and lays its parts
over them.
"""

from __future__ import annotations

import copy
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from detector.data.dataset import Dataset, Problem
from detector.data.splits import Splits
from detector.errors import DataError, reason_of
from detector.paths import write_atomically

KEY = "boxscope_splits"
SCHEMA = 1
_MARK = f'"{KEY}"'.encode()


def is_splits_file(path: str | os.PathLike) -> bool:
    """Whether a file is one, by its first bytes."""
    try:
        with open(path, "rb") as file:
            return _MARK in file.read(200)
    except OSError:
        return False


def write_splits(
    splits: Splits, path: str | os.PathLike, data: str | os.PathLike, **reading: str | None
) -> None:
    """Write them down as JSON, one sample a line.

    Args:
        data: the data set's path or sample set name, as `load_dataset` took it; written relative to the file.
        reading: what else `load_dataset` was given ("format", "images", "boxes").
    """
    path = Path(os.path.abspath(path))
    place = Path(data).expanduser()
    samples: dict[str, list[str]] = {name: [] for name in splits.counts}
    for sample_id, part in splits.parts.items():
        if part is not None:
            samples[part].append(sample_id)
    document = {
        KEY: SCHEMA,
        "data": os.path.relpath(place, path.parent) if place.exists() else str(data),
        "reading": {name: value for name, value in reading.items() if value is not None},
        "fingerprint": splits.fingerprint,
        "seed": splits.seed,
        "asked": splits.asked,
        "within": splits.within,
        "stratified_by": "classes in the picture",
        "counts": splits.counts,
        "notes": list(splits.notes),
        "unused": splits.unused,
        "samples": samples,
    }
    write_atomically(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())


def read_splits(path: str | os.PathLike) -> tuple[Splits, str, dict[str, str]]:
    """(splits, path or name of the data set, what else `load_dataset` takes).

    Raises:
        DataError: the file is missing, no splits file, of a newer schema, or names a sample twice.
    """
    try:
        document = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DataError(
            f"expected a splits file, it cannot be read: {reason_of(error)}.", path=path
        ) from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"expected a splits file, it breaks off or is malformed ({error.msg}).",
            path=path,
            line=error.lineno,
        ) from None
    except UnicodeDecodeError:
        raise DataError("expected a splits file in UTF-8, it holds other bytes.", path=path) from None
    if not isinstance(document, dict) or KEY not in document:
        raise DataError(
            f"expected a splits file (JSON with {KEY!r}), as `boxscope split` writes it.", path=path
        )
    if document[KEY] != SCHEMA:
        raise DataError(
            f"expected a splits file of schema {SCHEMA}, this one has {document[KEY]!r}; it was written by"
            " another version.",
            path=path,
        )
    samples, unused = document.get("samples"), document.get("unused", [])
    fits = isinstance(samples, dict) and all(isinstance(ids, list) for ids in (*samples.values(), unused))
    if not fits or not isinstance(document.get("data"), str):
        raise DataError(
            "expected the keys data (a path), samples (part: list of sample ids) and unused (a list).",
            path=path,
        )
    named = [(str(i), part) for part, ids in samples.items() for i in ids] + [(str(i), None) for i in unused]
    twice = next((i for i, count in Counter(i for i, _ in named).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"expected every sample once, {twice!r} is named twice.", path=path)
    splits = Splits(
        dict(named),
        dict(document.get("asked") or {}),
        int(document.get("seed") or 0),
        document.get("within"),
        str(document.get("fingerprint") or ""),
        tuple(document.get("notes") or ()),
    )
    return splits, _data_of(document["data"], Path(path)), _reading_of(document.get("reading"))


def _data_of(data: str, path: Path) -> str:
    beside = Path(os.path.normpath(Path(os.path.abspath(path)).parent / data))
    return str(beside) if beside.exists() else data


def _reading_of(reading: Any) -> dict[str, str]:
    known = ("format", "images", "boxes")
    return (
        {k: str(reading[k]) for k in known if reading.get(k) is not None} if isinstance(reading, dict) else {}
    )


def apply_splits(dataset: Dataset, splits: Splits, path: str | os.PathLike = "") -> Dataset:
    """The data set with these parts for splits, in its own order.

    What does not fit is a problem: samples the splits name and the data set lacks, samples they do not name
    (they are in no part), and a data set that is not the one the splits were drawn from.
    """
    problems = list(dataset.problems)
    lacking = [i for i in splits.parts if i not in dataset]
    if lacking:
        problems.append(
            Problem(
                "unknown image",
                f"the splits name {len(lacking)} samples that the data set does not have ({_few(lacking)}).",
                str(path),
                None,
                None,
                True,
            )
        )
    unnamed = [i for i in dataset.sample_ids if i not in splits.parts]
    if unnamed:
        problems.append(
            Problem(
                "not in the splits",
                f"{len(unnamed)} samples of the data set are not named ({_few(unnamed)}); they are in no"
                " part.",
                str(path),
            )
        )
    if splits.fingerprint and not lacking and not unnamed and dataset.fingerprint != splits.fingerprint:
        problems.append(
            Problem(
                "data set changed",
                "pictures or annotations are not those the splits were drawn from; every sample is still"
                " named.",
                str(path),
            )
        )
    divided = copy.copy(dataset)  # a data set is never changed; only these three are new
    divided.splits = [splits.parts.get(i) for i in dataset.sample_ids]
    divided.problems = tuple(problems)
    divided.source = str(path) or dataset.source
    return divided


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
