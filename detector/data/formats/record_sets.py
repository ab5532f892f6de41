"""The TFRecord files of one data set: which names are record files, and which shards belong together."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.data.dataset import Problem
from detector.data.files import subfolders

_SHARD = re.compile(r"(?P<base>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<end>\.tfrecords?|\.record)?")
_PLAIN = re.compile(r".+\.(tfrecords?|record|records)", re.I)


@dataclass(frozen=True)
class RecordSet:
    """The files of one name: its shards in order, or a single file. `total` is how many there should be."""

    name: str
    files: tuple[Path, ...]
    total: int


def is_record_file(name: str) -> bool:
    """Whether a file name is one of TFRecords: x.record, x.tfrecord, x.record-00000-of-00010,
    x-00000-of-00010.tfrecord.
    """
    match = _SHARD.fullmatch(name)
    return bool(_PLAIN.fullmatch(name)) or (
        match is not None and bool(match["end"] or _PLAIN.fullmatch(match["base"]))
    )


def find_tfrecord(path: Path) -> list[RecordSet]:
    """The record sets of a folder (where it has none, of the folders in it: train/, valid/), a file, a shard
    pattern (train.record-?????-of-00010) or a base name (train.record).
    """
    if path.is_dir():
        return _in_folder(path) or [found for folder in subfolders(path) for found in _in_folder(folder)]
    if path.is_file():
        return [RecordSet(path.name, (path,), 1)] if is_record_file(path.name) else []
    pattern = str(path) if any(c in path.name for c in "*?[") else f"{glob.escape(str(path))}-?????-of-?????"
    return _sets(
        [Path(name) for name in sorted(glob.glob(pattern)) if is_record_file(os.path.basename(name))]
    )


def _in_folder(folder: Path) -> list[RecordSet]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return _sets([folder / name for name in names if is_record_file(name) and not name.startswith(".")])


def _sets(files: Sequence[Path]) -> list[RecordSet]:
    shards: dict[tuple[str, int], list[Path]] = {}
    for file in files:
        match = _SHARD.fullmatch(file.name)
        key = (match["base"] + (match["end"] or ""), int(match["total"])) if match else (file.name, 1)
        shards.setdefault(key, []).append(file)
    return [RecordSet(name, tuple(found), total) for (name, total), found in shards.items()]


def check_shards(group: RecordSet, problems: list[Problem]) -> None:
    match = _SHARD.fullmatch(group.files[0].name)
    if len(group.files) == 1 and group.total == 1 and match and int(match["total"]) > 1:
        problems.append(
            Problem(
                "missing shard",
                f"it is one of {int(match['total'])} shards and was named alone; the others are not read.",
                str(group.files[0]),
            )
        )
    elif len(group.files) < group.total:
        there = {int(m["number"]) for f in group.files if (m := _SHARD.fullmatch(f.name))}
        lacking = [n for n in range(group.total) if n not in there]
        said = ", ".join(f"{n:05d}" for n in lacking[:5]) + (", ..." if len(lacking) > 5 else "")
        problems.append(
            Problem(
                "missing shard",
                f"{len(lacking)} of {group.total} shards are not there ({said}); their pictures are missing.",
                str(group.files[0]),
                None,
                None,
                True,
            )
        )
