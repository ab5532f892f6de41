"""load_dataset: find out what a path holds, and read it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset, Problem
from detector.data.files import is_picture, walk_pictures
from detector.data.formats.draft import Draft, assemble
from detector.data.formats.tfrecord import find_tfrecord, is_record_file
from detector.data.indexed.index import IndexedDataset, is_index
from detector.data.label_map import label_map_aliases, read_label_map
from detector.data.remote import is_remote
from detector.data.splits_file import apply_splits, is_splits_file, read_splits
from detector.errors import DataError, InputError

FORMATS = (
    "coco",
    "voc",
    "yolo",
    "csv",
    "uiuc",
    "stanford_cars",
    "tiny_imagenet",
    "cvat",
    "createml",
    "labelme",
    "open_images",
    "kitti",
    "tfrecord",
    "folder",
    "index",
)
BOXES = ("keep", "ignore")


@dataclass(frozen=True)
class Reading:
    """One way a path can be read, and what speaks for it."""

    format: str
    because: str


def recognise(path: Path, *, images_told: bool = False) -> list[Reading]:
    """The formats a path can be read as, labelled ones before the plain folder; [] where there is nothing to
    read. `images_told`: the images lie in another folder, which was named.
    """
    from detector.data.formats.coco import find_coco
    from detector.data.formats.createml import find_createml
    from detector.data.formats.csv_table import find_csv
    from detector.data.formats.cvat import find_cvat
    from detector.data.formats.kitti import find_kitti
    from detector.data.formats.labelme import find_labelme
    from detector.data.formats.open_images import find_open_images
    from detector.data.formats.stanford_cars import find_stanford_cars
    from detector.data.formats.tiny_imagenet import find_tiny_imagenet
    from detector.data.formats.uiuc import PARTS, find_uiuc
    from detector.data.formats.voc import find_voc
    from detector.data.formats.yolo import find_yolo

    if path.is_file():
        return _recognise_file(path)
    found = []
    if files := find_coco(path):
        found.append(Reading("coco", _name(path, files[0])))
    if folders := find_voc(path):
        found.append(Reading("voc", f"XML files in {_name(path, folders[0].xml)}"))
    if because := find_yolo(path):
        found.append(Reading("yolo", because))
    if (root := find_uiuc(path)) is not None:
        found.append(Reading("uiuc", next(name for name in PARTS.values() if (root / name).is_file())))
    if (layout := find_stanford_cars(path)) is not None:
        found.append(
            Reading(
                "stanford_cars",
                "Stanford Cars' " + ("names.csv and anno_*.csv" if layout.kind == "kaggle" else ".mat files"),
            )
        )
    if find_tiny_imagenet(path) is not None:
        found.append(Reading("tiny_imagenet", "wnids.txt"))
    if files := find_cvat(path):
        found.append(Reading("cvat", _name(path, files[0])))
    if files := find_createml(path):
        found.append(Reading("createml", _name(path, files[0])))
    if files := find_labelme(path):
        found.append(Reading("labelme", _name(path, files[0])))
    if files := find_open_images(path):
        found.append(Reading("open_images", _name(path, files[0])))
    if files := find_kitti(path):
        found.append(Reading("kitti", f"texts in {_name(path, files[0])}"))
    if not found:
        tables, records = find_csv(path), find_tfrecord(path)
        # Records hold their images: a table beside them, made on the way there, is of use only with its own.
        if tables and not (records and not images_told and not walk_pictures(path)):
            found.append(Reading("csv", _name(path, tables[0])))
        elif records:
            found.append(Reading("tfrecord", _name(path, records[0].files[0])))
    return found or ([Reading("folder", "pictures")] if walk_pictures(path) else [])


def _recognise_file(path: Path) -> list[Reading]:
    from detector.data.formats.createml import is_createml
    from detector.data.formats.cvat import is_cvat
    from detector.data.formats.labelme import is_labelme
    from detector.data.formats.open_images import find_open_images

    suffix = path.suffix.lower()
    if suffix == ".xml" and is_cvat(path):
        return [Reading("cvat", "CVAT's XML")]
    if suffix == ".json" and is_createml(path):
        return [Reading("createml", "Create ML's JSON")]
    if suffix == ".json" and is_labelme(path):
        return [Reading("labelme", "LabelMe's JSON")]
    if suffix == ".csv" and find_open_images(path):
        return [Reading("open_images", "Open Images' table")]
    if suffix == ".json":
        return [Reading("coco", "a json file")]
    if suffix == ".xml":
        return [Reading("voc", "an XML file")]
    if suffix in (".yaml", ".yml", ".data"):
        return [Reading("yolo", "a yaml file" if suffix != ".data" else "darknet's .data file")]
    if suffix in (".csv", ".tsv"):
        return [Reading("csv", "a table")]
    if is_record_file(path.name):
        return [Reading("tfrecord", "a record file")]
    if suffix == ".mat":
        return [Reading("stanford_cars", "a .mat file")]
    return [Reading("folder", "a picture")] if is_picture(path.name) else []


def _name(root: Path, path: Path) -> str:
    return os.path.relpath(path, root)


_LOOKED_FOR = (
    "COCO (annotations/*.json with images, annotations and categories), Pascal VOC (Annotations/*.xml with"
    " JPEGImages or images, or XML beside pictures), YOLO (data.yaml, or images/ and labels/*.txt), a CSV"
    " with filename, class, xmin, ymin, xmax, ymax, the UIUC car database (TestImages, trueLocations.txt),"
    " Stanford Cars (cars_train_annos.mat, or anno_train.csv with names.csv), Tiny ImageNet (wnids.txt),"
    " CVAT's XML for images, Create ML's and LabelMe's JSON, Open Images' tables, KITTI (label_2, image_2),"
    " TFRecords (train.record-00000-of-00010), and plain pictures"
)


def load_dataset(
    path: str | os.PathLike,
    *,
    format: str | None = None,
    images: str | os.PathLike | None = None,
    split: str | None = None,
    limit: int | None = None,
    boxes: str = "keep",
    splits: str | os.PathLike | None = None,
    label_map: str | os.PathLike | None = None,
) -> Dataset:
    """Read a data set of any known format. No pixels are read, only headers (up to `HEADER_LIMIT` pictures).

    Args:
        path: a COCO json or folder, a VOC, YOLO, or CSV data set, the UIUC car database, Stanford Cars, Tiny
            ImageNet, a folder of pictures, one picture, a splits file of `boxscope split` (it names its data
            set), or the name of a sample set ("demo", "coco-2017-val", ...; nothing is downloaded for it).
        format: one of `FORMATS`, where the path could be read in several ways.
        images: the folder with the pictures, where it is not in a usual place.
        split: only this split ("train", "val", "test").
        limit: only the first so many samples.
        boxes: "keep", or "ignore" for the classes alone: the whole picture stands in for every box, which the
            data set's problems say and `detector.data.formats.draft.boxes_ignored` tells. For networks that
                learn to
            name, not to place.
        label_map: a label_map.pbtxt or labelmap.txt that decides which classes there are, in which order and
            with which outside ids; objects are matched by name. Without it a `label_map.pbtxt` in the folder
            of a VOC, YOLO or CSV data set does that, and for TFRecords one beside them.
        splits: a splits file whose parts are laid over the data set, instead of the splits it has itself.

    Returns:
        A Dataset whose `problems` name everything odd or left out.

    Raises:
        DataError: nothing readable is there, or several readings are possible; the message lists them.
        InputError: an unknown format, a split that is not there, a limit below 1.
    """
    if is_remote(path):
        raise DataError(
            "an object store is listed once, then used: `boxscope index ADDRESS --out NAME.parquet`, and name"
            " that file.",
            path=path,
        )
    if format is not None and format not in FORMATS:
        raise InputError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}.")
    if boxes not in BOXES:
        raise InputError(f"boxes: expected one of {', '.join(BOXES)}, got {boxes!r}.")
    if limit is not None and limit < 1:
        raise InputError(f"limit: expected at least 1, got {limit}.")
    place = Path(path).expanduser()
    if format == "index" or (format is None and is_index(place)):
        indexed = IndexedDataset(place)
        indexed = indexed if split is None else indexed.split(split)
        return indexed if limit is None else indexed.subset(np.arange(min(limit, len(indexed))))
    named = "" if place.exists() else str(path)
    if (
        named and format in (None, "tfrecord") and find_tfrecord(place)
    ):  # a pattern, or train.record without its -00000-of-00010
        named, format = "", "tfrecord"
    if named:
        place = _named(named, place)
    if splits is None and format is None and place.is_file() and is_splits_file(place):
        return _through_splits(
            place, None, images=images, boxes=boxes, label_map=label_map, split=split, limit=limit
        )
    if splits is not None:
        return _through_splits(
            Path(splits),
            path,
            format=format,
            images=images,
            boxes=boxes,
            label_map=label_map,
            split=split,
            limit=limit,
        )
    if format is None:
        format = _choose(place, images is not None)
    draft = _drafts(boxes, label_map)[format](place, images, split)
    lay_over(draft, place, label_map)
    draft.whole_frame = boxes == "ignore"
    dataset = assemble(select(draft, split, limit))
    if named:
        dataset.name, dataset.format = named, "demo" if named == "demo" else dataset.format
    return dataset


def _through_splits(
    file: Path, path: str | os.PathLike | None, *, split: str | None, limit: int | None, **told: Any
) -> Dataset:
    """The data set a splits file names (or `path` instead) with the file's parts; what the caller tells wins
    over the file.
    """
    parts, data, reading = read_splits(file)
    given = {name: value for name, value in told.items() if value not in (None, "keep")}
    whole = load_dataset(path if path is not None else data, **{**reading, **given})
    dataset = apply_splits(whole, parts, file if path is None else "")
    if split is not None:
        dataset = dataset.split(split)
    return dataset if limit is None else dataset.subset(np.arange(min(limit, len(dataset))))


def _named(name: str, place: Path) -> Path:
    """The folder of a sample set of this name."""
    from detector.data.samples.sets import find_sample_set, list_sample_sets, sample_set_path

    entry = find_sample_set(name)
    if entry is None:
        known = ", ".join(s.name for s in list_sample_sets())
        raise DataError(
            "expected a data set here, there is no such file or folder, nor a sample set of this name"
            f" ({known}).",
            path=place,
        )
    return sample_set_path(entry)


def _choose(path: Path, images_told: bool) -> str:
    readings = recognise(path, images_told=images_told)
    if not readings:
        raise DataError(f"found nothing to read; looked for {_LOOKED_FOR}.", path=path)
    if len(readings) > 1:
        ways = " and as ".join(f"{r.format} ({r.because})" for r in readings)
        raise DataError(
            f"it can be read as {ways}; say which with format=, e.g. format={readings[0].format!r}.",
            path=path,
        )
    return readings[0].format


def select(draft: Draft, split: str | None, limit: int | None) -> Draft:
    """The samples of one split, and of these the first `limit`."""
    if split is None and limit is None:
        return draft
    keep = [i for i, s in enumerate(draft.splits) if split is None or s == split]
    if split is not None and not keep:
        known = sorted({s for s in draft.splits if s})
        raise InputError(f"{draft.name} has no split {split!r}; it has {', '.join(known) or 'none'}.")
    return draft.take(keep[:limit])


def lay_over(draft: Draft, place: Path, label_map: str | os.PathLike | None) -> None:
    """Give a draft the classes of a label map, in place; what the map lacks is added after it and named."""
    if draft.format == "tfrecord":  # it needs the map to read its labels, and has looked for it itself
        return
    file = (
        Path(label_map)
        if label_map is not None
        else (place if place.is_dir() else place.parent) / "label_map.pbtxt"
    )
    if label_map is None and (draft.format not in ("voc", "yolo", "csv") or not file.is_file()):
        return
    wanted = read_label_map(file)
    aliases = label_map_aliases(file)
    said = [name if name in wanted else aliases.get(name, name) for name in draft.class_map.names]
    lacking = [name for name in said if name not in wanted]
    names, top = [*wanted.names, *lacking], max(wanted.external_ids)
    classes = ClassMap(tuple(names), (*wanted.external_ids, *range(top + 1, top + 1 + len(lacking))))
    for name in lacking:
        number = classes.to_external(classes.index(name))
        draft.problems.append(
            Problem(
                "class not in the label map",
                f"the class {name!r} of {draft.name} is not in it; it got the id {number}.",
                str(file),
            )
        )
    new = np.array([classes.index(name) for name in said] or [0])
    draft.class_ids, draft.class_map = new[np.asarray(draft.class_ids, np.int64)], classes


def _drafts(boxes: str, label_map: str | os.PathLike | None) -> dict[str, Callable[..., Draft]]:
    from detector.data.formats.coco import coco_draft
    from detector.data.formats.createml import createml_draft
    from detector.data.formats.csv_table import csv_draft
    from detector.data.formats.cvat import cvat_draft
    from detector.data.formats.folder import folder_draft
    from detector.data.formats.kitti import kitti_draft
    from detector.data.formats.labelme import labelme_draft
    from detector.data.formats.open_images import open_images_draft
    from detector.data.formats.stanford_cars import stanford_cars_draft
    from detector.data.formats.tfrecord import tfrecord_draft
    from detector.data.formats.tiny_imagenet import tiny_imagenet_draft
    from detector.data.formats.uiuc import uiuc_draft
    from detector.data.formats.voc import voc_draft
    from detector.data.formats.yolo import yolo_draft

    return {
        "coco": lambda path, images, split: coco_draft(path, images=images, split=split),
        "voc": lambda path, images, split: voc_draft(path, images=images),
        "yolo": lambda path, images, split: yolo_draft(path, images=images),
        "csv": lambda path, images, split: csv_draft(path, images=images),
        "uiuc": lambda path, images, split: uiuc_draft(path),
        "stanford_cars": lambda path, images, split: stanford_cars_draft(path, images=images, boxes=boxes),
        "tfrecord": lambda path, images, split: tfrecord_draft(path, label_map=label_map),
        "tiny_imagenet": lambda path, images, split: tiny_imagenet_draft(path),
        "cvat": lambda path, images, split: cvat_draft(path, images=images),
        "createml": lambda path, images, split: createml_draft(path, images=images),
        "labelme": lambda path, images, split: labelme_draft(path, images=images),
        "open_images": lambda path, images, split: open_images_draft(path, images=images),
        "kitti": lambda path, images, split: kitti_draft(path, images=images),
        "folder": lambda path, images, split: folder_draft(path),
    }
