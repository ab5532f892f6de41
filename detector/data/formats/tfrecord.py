"""TFRecord data sets of the TensorFlow Object Detection API: pictures and boxes in
`train.record-00000-of-00010`.

Keys: research/object_detection/data_decoders/tf_example_decoder.py and
dataset_tools/create_{pascal,coco}_tf_record.py. Boxes are fractions of the picture *as stored*: TensorFlow's
decoders do not apply EXIF, so only in that frame do boxes and pixels agree in its training. They are turned
upright here, as everywhere. The class text wins over the label, as in the OD API. Read without TensorFlow;
pictures stay in the file until they are asked for.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from detector.core import ClassMap
from detector.data import members
from detector.data.dataset import Dataset, Problem
from detector.data.files import is_picture, split_of
from detector.data.formats.box_checks import Place
from detector.data.formats.class_names import look_alikes
from detector.data.formats.draft import Draft, assemble
from detector.data.formats.record_boxes import box_fractions, number_column, upright_pixels
from detector.data.formats.record_file import Record, read_records
from detector.data.formats.record_sets import RecordSet, check_shards, find_tfrecord, is_record_file
from detector.data.formats.tf_example import BYTES, Feature, parse_example
from detector.data.formats.tfrecord_writer import write_tfrecord
from detector.data.images import Header, read_header
from detector.data.label_map import find_label_map, label_map_aliases, read_label_map
from detector.errors import DataError, ImageError

__all__ = ["find_tfrecord", "is_record_file", "read_tfrecord", "tfrecord_draft", "write_tfrecord"]

_FLAGS = {
    "difficult": ("image/object/difficult",),
    "truncated": ("image/object/truncated",),
    "crowd": ("image/object/is_crowd", "image/object/group_of"),
}


def read_tfrecord(path: str | Path, *, label_map: str | Path | None = None) -> Dataset:
    """The data set in record files. Sample ids are `image/source_id`, splits come from the files' names.

    Shards that were dealt out in turn (as the OD API and `write_tfrecord` do) come back in their first order.
    Classes are those of `label_map`, of a label map beside the files (`label_map.pbtxt`, any
    `*label_map*.pbtxt`, or the only .pbtxt), or of the records themselves. `Dataset.files` holds addresses of
    `detector.data.members`.

    Raises:
        DataError: there are no record files, they hold no pictures, or are compressed.
    """
    return assemble(tfrecord_draft(Path(path), label_map=label_map))


@dataclass
class _Entry:
    """One record as it will become a sample."""

    sample_id: str
    file: str
    size: tuple[int, int]
    split: str | None
    where: str
    number: int
    boxes: np.ndarray
    texts: list[str]
    labels: list[int]
    flags: dict[str, list[int]] = field(default_factory=dict)
    area: list[float] = field(default_factory=list)


def tfrecord_draft(path: Path, *, label_map: str | Path | None = None) -> Draft:
    path = Path(os.path.abspath(path))
    sets = find_tfrecord(path)
    if not sets:
        raise DataError(
            "expected TFRecord files (train.record, train.record-00000-of-00010, train.tfrecord), there are"
            " none.",
            path=path,
        )
    problems: list[Problem] = []
    entries: list[_Entry] = []
    for group in sets:
        check_shards(group, problems)
        folder = group.files[0].parent
        split = split_of(group.name) or (split_of(folder.name) if folder != path and path.is_dir() else None)
        numbered = []
        for shard, file in enumerate(group.files):
            for record in read_records(file, problems):
                entry = _read_entry(record, file, split, problems)
                if entry is not None:
                    numbered.append((record.number, shard, entry))
        entries += [entry for _, _, entry in sorted(numbered, key=lambda n: n[:2])]
    if not entries:
        why = f"; {problems[0].message}" if problems else "."
        raise DataError(
            f"expected TFRecords with pictures (image/encoded), none could be read{why}", path=path
        )
    _distinct_ids(entries, problems)
    known, beside = _label_map(sets, path, label_map)
    aliases = label_map_aliases(beside) if beside is not None else {}
    for entry in entries if aliases and known is not None else ():
        entry.texts = [text if text in known else aliases.get(text, text) for text in entry.texts]
    class_map, class_ids = _classes(entries, known, str(beside or path), problems)
    problems += look_alikes(class_map.names, str(beside or path))
    rows = np.repeat(np.arange(len(entries)), [len(e.boxes) for e in entries])
    first = np.searchsorted(rows, np.arange(len(entries)))

    def place(k: int) -> Place:
        entry = entries[rows[k]]
        return Place(
            f"record {entry.number}, object {k - first[rows[k]] + 1} ({class_map.names[class_ids[k]]!r})",
            entry.file,
            None,
            entry.sample_id,
        )

    return Draft(
        name=path.stem if not path.is_dir() else path.name,
        format="tfrecord",
        source=str(path),
        class_map=class_map,
        sample_ids=[e.sample_id for e in entries],
        files=[e.file for e in entries],
        sizes=np.array([e.size for e in entries], np.int64),
        labelled=np.ones(len(entries), bool),
        splits=[e.split for e in entries],
        rows=rows,
        xyxy=np.concatenate([e.boxes for e in entries]),
        class_ids=class_ids,
        place=place,
        area=np.array([v for e in entries for v in e.area], np.float64),
        flags={f: np.array([v for e in entries for v in e.flags[f]], bool) for f in _FLAGS},
        numbers=("xmin, ymin, xmax, ymax", "pixels"),
        examined=True,
        problems=problems,
        annotation_file=lambda i: (entries[i].where, None),
    )


def _label_map(
    sets: Sequence[RecordSet], path: Path, told: str | Path | None
) -> tuple[ClassMap | None, Path | None]:
    """The classes of the label map that was named, or of all that lie beside the records or in `path`; and
    the first such file. None where there is none.

    Raises:
        DataError: two of them give one id or one name differently.
    """
    if told is not None:
        return read_label_map(told), Path(told)
    folders = dict.fromkeys([group.files[0].parent for group in sets] + [path])
    files = list(dict.fromkeys(file for folder in folders if (file := find_label_map(folder)) is not None))
    names: dict[int, str] = {}
    ids: dict[str, int] = {}
    for file in files:
        classes = read_label_map(file)
        for number, name in zip(classes.external_ids, classes.names):
            if names.setdefault(number, name) != name or ids.setdefault(name, number) != number:
                raise DataError(
                    f"expected the classes of {files[0]}, it has {number} {name!r}, which differs; read each"
                    " folder alone, or name one label map with label_map=.",
                    path=file,
                )
    numbers = sorted(names)
    return (ClassMap(tuple(names[n] for n in numbers), tuple(numbers)), files[0]) if files else (None, None)


def _read_entry(record: Record, file: Path, split: str | None, problems: list[Problem]) -> _Entry | None:
    where, number = str(file), record.number

    def left_out(kind: str, why: str) -> None:
        problems.append(Problem(kind, f"record {number} {why}; it is left out.", where, None, None, True))

    try:
        features = parse_example(record.content)
    except (ValueError, UnicodeDecodeError) as error:
        return left_out("damaged record", f"is no tf.train.Example ({error})")
    spans = features.get("image/encoded", Feature(0, [])).values
    if not spans or features["image/encoded"].kind != BYTES or spans[0][0] == spans[0][1]:
        return left_out(
            "missing image", f"holds no image/encoded (it has {', '.join(sorted(features)[:4]) or 'nothing'})"
        )
    start, end = spans[0]

    def text(key: str) -> str:
        found = features.get(key, Feature(0, []))
        return (
            record.content[slice(*found.values[0])].decode("utf-8", "replace")
            if found.kind == BYTES and found.values
            else ""
        )

    name = os.path.basename(text("image/filename").replace("\\", "/"))
    sample_id = text("image/source_id") or name or f"{file.name}:{number}"
    if not is_picture(name):
        kind = ".png" if record.content[start : start + 4] == b"\x89PNG" else ".jpg"
        name = (name or sample_id.replace("/", "_")) + kind
    address = members.address(file, record.offset + start, end - start, name)
    stated = tuple(
        int(v[0]) if (v := features.get(f"image/{side}", Feature(0, [])).values) else 0
        for side in ("width", "height")
    )
    try:
        header = read_header(record.content[start:end])
    except ImageError as error:
        problems.append(
            Problem("unreadable image", f"record {number}: {error.message}", where, None, sample_id)
        )
        header = Header(stated, stated, 1)
    fractions = box_fractions(features, number, where, sample_id, problems)
    boxes = upright_pixels(fractions, header, stated, number, where, sample_id, problems)
    count = len(boxes)
    texts = [
        record.content[slice(*span)].decode("utf-8", "replace").strip()
        for span in features.get("image/object/class/text", Feature(0, [])).values
    ]
    entry = _Entry(
        sample_id,
        address,
        header.size,
        split,
        where,
        number,
        boxes,
        texts[:count],
        [int(v) for v in number_column(features, "image/object/class/label")][:count],
    )
    for flag, keys in _FLAGS.items():
        columns = [c for key in keys if len(c := number_column(features, key)) == count]
        entry.flags[flag] = [int(any(values)) for values in zip(*columns)] if columns else [0] * count
    area = number_column(features, "image/object/area")
    entry.area = area if len(area) == count else [np.nan] * count
    lacking = [n for n in (len(entry.texts), len(entry.labels)) if 0 < n < count]
    if lacking or (count and not entry.texts and not entry.labels):
        problems.append(
            Problem(
                "unknown class",
                f"record {number} has {count} boxes, {len(entry.texts)} class texts and {len(entry.labels)}"
                " labels; its boxes are left out.",
                where,
                None,
                sample_id,
                True,
            )
        )
        entry.boxes, entry.texts, entry.labels, entry.area, entry.flags = (
            np.zeros((0, 4)),
            [],
            [],
            [],
            {f: [] for f in _FLAGS},
        )
    return entry


def _distinct_ids(entries: list[_Entry], problems: list[Problem]) -> None:
    """Sample ids made distinct: with their split before them where two splits use one, else with a number
    after.
    """
    several = {sample_id for sample_id, count in Counter(e.sample_id for e in entries).items() if count > 1}
    if not several:
        return
    apart = len({(e.split, e.sample_id) for e in entries}) == len(entries)
    taken = {e.sample_id for e in entries}
    seen: set[str] = set()
    for entry in entries:
        if apart:
            entry.sample_id = f"{entry.split}/{entry.sample_id}"
        elif entry.sample_id in seen:
            old, k = entry.sample_id, 2
            while (new := f"{old}+{k}") in taken:
                k += 1
            taken.add(new)
            entry.sample_id = new
            problems.append(
                Problem(
                    "duplicate id",
                    f"record {entry.number}: a second picture is named {old!r}; its sample id is {new!r}.",
                    entry.where,
                    None,
                    new,
                )
            )
        seen.add(entry.sample_id)


def _classes(
    entries: list[_Entry], label_map: ClassMap | None, source: str, problems: list[Problem]
) -> tuple[ClassMap, np.ndarray]:
    """The class map, and int64 [M] class ids of all objects in order. The text decides; the label where there
    is none.
    """
    pairs: Counter[tuple[str, int | None]] = Counter()
    objects: list[tuple[str, int | None]] = []
    for entry in entries:
        for k in range(len(entry.boxes)):
            pair = (
                " ".join(entry.texts[k].split()) if entry.texts else "",
                entry.labels[k] if entry.labels else None,
            )
            objects.append(pair)
            pairs[pair] += 1
    names = list(label_map.names) if label_map else []
    ids = list(label_map.external_ids) if label_map else []
    known = {name: k for k, name in enumerate(names)}
    by_label = {number: k for k, number in enumerate(ids)}
    chosen: dict[tuple[str, int | None], int] = {}
    for pair in sorted(pairs, key=lambda p: (p[1] is None, p[1] or 0, p[0])):
        text, label = pair
        if not text and label in by_label:
            chosen[pair] = by_label[label]
            continue
        if text not in known and label_map is not None and label in by_label:
            chosen[pair] = by_label[label]
            problems.append(
                Problem(
                    "class names differ",
                    f"{pairs[pair]} objects say {text!r} and label {label}, which the label map calls"
                    f" {names[by_label[label]]!r}; the label decides.",
                    source,
                )
            )
            continue
        name = text or f"class {label}"
        if name not in known:
            fresh = label if label is not None and label > 0 and label not in by_label else max([0, *ids]) + 1
            known[name], by_label[fresh] = len(names), len(names)
            names.append(name)
            ids.append(fresh)
            if label_map is not None:
                problems.append(
                    Problem(
                        "class not in the label map",
                        f"{pairs[pair]} objects are of class {name!r}, which the label map lacks; it got the"
                        f" id {fresh}.",
                        source,
                    )
                )
        chosen[pair] = known[name]
        if label is not None and ids[known[name]] != label:
            problems.append(
                Problem(
                    "label differs",
                    f"{pairs[pair]} objects say {text!r} and label {label}, the class has the id"
                    f" {ids[known[name]]}; the text decides.",
                    source,
                )
            )
    return ClassMap(tuple(names), tuple(ids)), np.array([chosen[pair] for pair in objects], np.int64)
