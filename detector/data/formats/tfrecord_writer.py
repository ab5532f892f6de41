"""Writing TFRecords with exactly the keys and shard names of the TensorFlow Object Detection API."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path

import numpy as np

from detector.data.dataset import Dataset, Problem
from detector.data.formats.record_file import frame
from detector.data.formats.tf_example import BYTES, FLOATS, INTS, encode_example
from detector.data.formats.writing import Lost, encode_png, picture_names
from detector.data.images import picture_bytes, picture_length, read_header, turn_boxes
from detector.data.label_map import label_map_ids, write_label_map
from detector.errors import ImageError, InputError

SHARD_BYTES = 128_000_000
"""Pictures a shard holds where the number of shards is not given; TensorFlow's guide asks for 100 to 200
MB.
"""

_BACK = {6: 8, 8: 6}
_MAGIC = {b"\xff\xd8\xff": "jpeg", b"\x89PN": "png"}


def write_tfrecord(
    dataset: Dataset, path: str | Path, *, pictures: str = "copy", shards: int | None = None
) -> list[Problem]:
    """`<split>.record-00000-of-00001` (data.record without splits), and `label_map.pbtxt` beside.

    Carries picture bytes as they are, boxes to float32 fractions (see
    `detector.data.formats.record_boxes.unround`), classes with text and label, difficult, truncated, crowd,
    area where the data set states any, sample ids and file names; not occluded nor object ids. Boxes are in
    the frame of the stored picture, which TensorFlow's decoders see (EXIF is not applied there). Pictures are
    dealt out to the shards in turn. Neither BMP, GIF, TIFF nor WebP fits the OD API: what is no JPEG or PNG
    is written as PNG, upright.

    Args:
        path: the folder to write, made if need be.
        pictures: only "copy": a record holds its picture.
        shards: files a split; None makes them of about 128 MB.

    Returns:
        What was not carried: unlabelled pictures (a record without boxes says "nothing here"), missing and
            unreadable
        ones are left out.

    Raises:
        InputError: another way of placing pictures, shards below 1, or records of an earlier writing with
            another number of shards.
        OSError: the folder cannot be written.
    """
    if pictures != "copy":
        raise InputError(
            f"write_tfrecord: expected pictures='copy', as records hold their pictures, got {pictures!r}."
        )
    if shards is not None and not 1 <= shards <= 99_999:
        raise InputError(f"write_tfrecord: expected 1 to 99999 shards, got {shards}.")
    root, lost = Path(path), Lost(dataset)
    root.mkdir(parents=True, exist_ok=True)
    lost.flags(("occluded",), "TFRecord")
    _lost_ids(dataset, lost)
    for i in np.flatnonzero(~dataset.labelled):
        lost.add(
            "unlabelled picture",
            "a TFRecord cannot say that a picture is unlabelled; it is left out.",
            int(i),
            True,
        )
    names = picture_names(dataset, flat=False)
    write_label_map(dataset.class_map, root / "label_map.pbtxt")
    with_area = bool(np.isfinite(dataset.objects.area).any())
    for split in sorted({dataset.splits[i] or "" for i in range(len(dataset))}):
        rows = [i for i in range(len(dataset)) if (dataset.splits[i] or "") == split and dataset.labelled[i]]
        count = shards or max(
            1, -(-sum(max(0, picture_length(dataset.files[i])) for i in rows) // SHARD_BYTES)
        )
        _write_split(dataset, rows, root, f"{_plain(split) or 'data'}.record", count, names, with_area, lost)
    return lost.problems


def _plain(split: str) -> str:
    return re.sub(r"[^\w.-]+", "_", split)


def _write_split(
    dataset: Dataset,
    rows: list[int],
    root: Path,
    base: str,
    count: int,
    names: list[str],
    with_area: bool,
    lost: Lost,
) -> None:
    files = [root / f"{base}-{k:05d}-of-{count:05d}" for k in range(count)]
    other = [p.name for p in root.glob(f"{base}-?????-of-?????") if p not in files]
    if other:
        raise InputError(
            f"write_tfrecord: {root} holds {other[0]} of an earlier writing with another number of shards;"
            " choose an empty folder."
        )
    waiting = [file.with_name(f".{file.name}.{os.getpid()}.part") for file in files]
    labels = label_map_ids(dataset.class_map)
    written = 0
    with contextlib.ExitStack() as stack:
        for part in waiting:
            stack.callback(part.unlink, missing_ok=True)
        outs = [stack.enter_context(open(part, "wb")) for part in waiting]
        for i in rows:
            example = _example(dataset, i, names[i], labels, with_area, lost)
            if example is not None:
                outs[written % count].write(frame(example))
                written += 1
        for out in outs:
            out.flush()
            os.fsync(out.fileno())
            out.close()
        for part, file in zip(waiting, files):
            os.replace(part, file)


def _example(
    dataset: Dataset, i: int, name: str, labels: tuple[int, ...], with_area: bool, lost: Lost
) -> bytes | None:
    """One sample as a serialised tf.train.Example; None, with a problem, where its picture cannot be had."""
    found = _picture(dataset, i, lost)
    if found is None:
        return None
    data, kind, (width, height), orientation = found
    span = slice(dataset.offsets[i], dataset.offsets[i + 1])
    table = dataset.objects
    boxes = table.xyxy[span].astype(np.float64)
    if orientation != 1:
        upright = (height, width) if orientation >= 5 else (width, height)
        boxes = turn_boxes(boxes, upright, _BACK.get(orientation, orientation))
    corners = (boxes / (width, height, width, height)).clip(0, 1)
    if kind == "png" and not name.lower().endswith((".png", ".jpg", ".jpeg")):
        name = f"{os.path.splitext(name)[0]}.png"
    class_ids = table.class_ids[span]
    features: dict[str, tuple[int, list]] = {
        "image/height": (INTS, [height]),
        "image/width": (INTS, [width]),
        "image/filename": (BYTES, [_utf8(name)]),
        "image/source_id": (BYTES, [_utf8(dataset.sample_ids[i])]),
        "image/key/sha256": (BYTES, [hashlib.sha256(data).hexdigest().encode()]),
        "image/encoded": (BYTES, [data]),
        "image/format": (BYTES, [kind.encode()]),
        "image/object/class/text": (BYTES, [_utf8(dataset.class_map.names[k]) for k in class_ids]),
        "image/object/class/label": (INTS, [labels[k] for k in class_ids]),
        "image/object/difficult": (INTS, table.difficult[span].tolist()),
        "image/object/truncated": (INTS, table.truncated[span].tolist()),
        "image/object/is_crowd": (INTS, table.crowd[span].tolist()),
        "image/object/view": (BYTES, [b"Unspecified"] * len(class_ids)),
    }
    for corner, values in zip(("xmin", "ymin", "xmax", "ymax"), corners.T):
        features[f"image/object/bbox/{corner}"] = (FLOATS, values.tolist())
    if with_area:
        size = table.xyxy[span, 2:] - table.xyxy[span, :2]
        features["image/object/area"] = (
            FLOATS,
            np.where(np.isfinite(table.area[span]), table.area[span], size.prod(axis=1)).tolist(),
        )
    return encode_example(features)


def _picture(dataset: Dataset, i: int, lost: Lost) -> tuple[bytes, str, tuple[int, int], int] | None:
    """(bytes, "jpeg" or "png", stored size, orientation)."""
    try:
        if not dataset.files[i]:
            data = encode_png(dataset.load_image(i))
        else:
            data = picture_bytes(dataset.files[i])
        kind = next((k for magic, k in _MAGIC.items() if data.startswith(magic)), None)
        if kind is None:
            data, kind = encode_png(dataset.load_image(i)), "png"
            lost.add(
                "picture re-encoded",
                "the OD API reads JPEG and PNG; the picture is written as PNG, upright, with the same"
                " pixels.",
                i,
            )
        header = read_header(data)
    except ImageError as error:
        what = "missing image" if "no such file" in error.message else "unreadable image"
        lost.add(what, f"{error.message} It is left out.", i, True)
        return None
    return data, kind, header.stored_size, header.orientation


def _lost_ids(dataset: Dataset, lost: Lost) -> None:
    table = dataset.objects
    plain = np.arange(len(table)) - dataset.offsets[table.rows] if len(table) else np.zeros(0)
    changed = int((table.ids != plain).sum())
    if changed:
        lost.problems.append(
            Problem(
                "ids not carried",
                f"TFRecord has no object ids; {changed} objects are numbered anew within their picture.",
                dataset.source,
            )
        )


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")
