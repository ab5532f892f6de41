"""Writing a data set as COCO, VOC, YOLO or CSV (TFRecord: `detector.data.formats.tfrecord_writer`).

Every writer returns what its format could not carry, as problems; nothing else is lost. Boxes come back equal
when the written data set is read again.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from detector.core import FLAGS
from detector.data.dataset import Dataset, Problem
from detector.data.images import IMAGE_SUFFIXES, image_size, picture_bytes
from detector.data.members import find_member
from detector.errors import ImageError, InputError
from detector.paths import write_atomically

PICTURES = ("copy", "link", "none")


def write_coco(dataset: Dataset, path: str | Path, *, pictures: str = "copy") -> list[Problem]:
    """`annotations/instances_<split>.json` (instances.json without splits) and the pictures in `images/`.

    Carries boxes, classes with their outside ids, ids, area, crowd, and as extra keys difficult, truncated
    and occluded. An area the data set does not know is written as that of the box.

    Args:
        path: the folder to write, made if need be.
        pictures: "copy", "link" (symbolic links), or "none" (the json names them where they are).

    Returns:
        What was not carried: unlabelled pictures (COCO takes a listed picture for a labelled one) are left
            out.

    Raises:
        InputError: an unknown way of placing pictures.
        OSError: the folder cannot be written.
    """
    root, lost = Path(path), Lost(dataset)
    names = _place(dataset, root / "images", pictures, lost)
    labelled = [i for i in range(len(dataset)) if dataset.labelled[i]]
    for i in np.flatnonzero(~dataset.labelled):
        lost.add(
            "unlabelled picture",
            "COCO cannot say that a picture is unlabelled; it is left out.",
            int(i),
            True,
        )
    image_ids = _image_ids(dataset)
    table = dataset.objects
    ids = (
        table.ids
        if len(np.unique(table.ids)) == len(table) and (table.ids > 0).all()
        else np.arange(1, len(table) + 1)
    )
    splits = sorted({dataset.splits[i] or "" for i in labelled}) or [""]
    for split in splits:
        images, annotations = [], []
        for i in labelled:
            if (dataset.splits[i] or "") != split:
                continue
            width, height = _size(dataset, i)
            images.append({"id": image_ids[i], "file_name": names[i], "width": width, "height": height})
            for k in range(dataset.offsets[i], dataset.offsets[i + 1]):
                x1, y1, x2, y2 = (float(v) for v in table.xyxy[k])
                area = float(table.area[k])
                record = {
                    "id": int(ids[k]),
                    "image_id": image_ids[i],
                    "category_id": dataset.class_map.to_external(int(table.class_ids[k])),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": area if np.isfinite(area) else (x2 - x1) * (y2 - y1),
                    "iscrowd": int(table.crowd[k]),
                }
                record.update({flag: True for flag in FLAGS[1:] if getattr(table, flag)[k]})
                annotations.append(record)
        categories = [
            {"id": e, "name": n} for n, e in zip(dataset.class_map.names, dataset.class_map.external_ids)
        ]
        document = {
            "info": {"description": dataset.name},
            "images": images,
            "annotations": annotations,
            "categories": categories,
        }
        file = root / "annotations" / (f"instances_{split}.json" if split else "instances.json")
        write_atomically(file, json.dumps(document, ensure_ascii=False).encode())
    return lost.problems


def write_voc(dataset: Dataset, path: str | Path, *, pictures: str = "copy") -> list[Problem]:
    """`Annotations/*.xml`, `JPEGImages/` and, with splits, `ImageSets/Main/*.txt`: one year of a VOCdevkit.

    Carries boxes (as VOC's 1-based inclusive pixels), classes, truncated, difficult, occluded; not crowd,
    area, object ids, nor boxes a pixel or less wide or high, which VOC cannot tell from empty ones.

    Args, Returns, Raises: as `write_coco`; with pictures "none" the reader needs `images=`.
    """
    root, lost = Path(path), Lost(dataset)
    names = _place(dataset, root / "JPEGImages", pictures, lost, flat=True)
    lost.thin_boxes("VOC")
    lost.flags(("crowd",), "VOC")
    for i in range(len(dataset)):
        if not dataset.labelled[i]:
            continue
        width, height = _size(dataset, i)
        name = os.path.basename(names[i])
        parts = [f"<annotation>\n\t<folder>JPEGImages</folder>\n\t<filename>{escape(name)}</filename>\n"]
        parts.append(
            f"\t<size>\n\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n\t\t<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>\n"
        )
        for k in _writable(dataset, i, lost):
            box = _one_based(dataset.objects.xyxy[k])
            flags = "".join(
                f"\t\t<{f}>{int(getattr(dataset.objects, f)[k])}</{f}>\n"
                for f in ("truncated", "occluded", "difficult")
            )
            corners = "".join(
                f"\t\t\t<{tag}>{value}</{tag}>\n" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box)
            )
            class_name = escape(dataset.class_map.names[dataset.objects.class_ids[k]])
            parts.append(
                f"\t<object>\n\t\t<name>{class_name}</name>\n\t\t<pose>Unspecified</pose>\n{flags}\t\t<bndbox>\n{corners}\t\t</bndbox>\n\t</object>\n"
            )
        parts.append("</annotation>\n")
        write_atomically(root / "Annotations" / f"{os.path.splitext(name)[0]}.xml", "".join(parts).encode())
    for split in sorted({s for s in dataset.splits if s}):
        stems = [
            os.path.splitext(os.path.basename(n))[0] for n, s in zip(names, dataset.splits) if s == split
        ]
        write_atomically(
            root / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{s}\n" for s in stems).encode()
        )
    return lost.problems


def write_yolo(dataset: Dataset, path: str | Path, *, pictures: str = "copy") -> list[Problem]:
    """`data.yaml`, `images/<split>/` and `labels/<split>/` (without splits "train").

    Carries boxes and classes; not one flag, area or id. A picture without labels gets no label file.

    Args, Returns, Raises: as `write_coco`; pictures "none" is refused, as YOLO finds labels by the pictures'
    place.
    """
    import yaml

    if pictures == "none":
        raise InputError(
            "write_yolo: expected pictures to be copied or linked, as YOLO finds labels by the pictures'"
            " place."
        )
    root, lost = Path(path), Lost(dataset)
    lost.flags(FLAGS, "YOLO")
    names = _place(dataset, root / "images", pictures, lost, under=lambda i: dataset.splits[i] or "train")
    for i in range(len(dataset)):
        if not dataset.labelled[i]:
            continue
        size = np.array(_size(dataset, i) * 2, np.float64)
        lines = []
        for k in range(dataset.offsets[i], dataset.offsets[i + 1]):
            x1, y1, x2, y2 = dataset.objects.xyxy[k].astype(np.float64) / size
            numbers = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
            lines.append(
                " ".join([str(int(dataset.objects.class_ids[k])), *(f"{v:.10g}" for v in numbers)]) + "\n"
            )
        write_atomically((root / "labels" / names[i]).with_suffix(".txt"), "".join(lines).encode())
    splits = sorted({s or "train" for s in dataset.splits}) or ["train"]
    settings: dict = {split: f"images/{split}" for split in splits}
    settings.setdefault("val", settings[splits[0]])
    settings["names"] = dict(enumerate(dataset.class_map.names))
    write_atomically(
        root / "data.yaml", yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).encode()
    )
    return lost.problems


def write_csv(dataset: Dataset, path: str | Path, *, pictures: str = "copy") -> list[Problem]:
    """`labels.csv` with the TF tutorials' columns, and the pictures in `images/`.

    Columns filename, width, height, class, xmin, ymin, xmax, ymax (VOC's 1-based pixels), then split and
    those flags that occur. A labelled picture without objects is a line with empty class and corners. Not
    carried: area, ids, boxes a pixel or less wide or high, unlabelled pictures.

    Args, Returns, Raises: as `write_coco`; with pictures "none" the table names them where they are.
    """
    root, lost = Path(path), Lost(dataset)
    names = _place(dataset, root / "images", pictures, lost)
    lost.thin_boxes("the CSV")
    for i in np.flatnonzero(~dataset.labelled):
        lost.add(
            "unlabelled picture",
            "the CSV cannot say that a picture is unlabelled; it is left out.",
            int(i),
            True,
        )
    flags = [flag for flag in FLAGS if getattr(dataset.objects, flag).any()]
    with_split = any(dataset.splits)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "filename",
            "width",
            "height",
            "class",
            "xmin",
            "ymin",
            "xmax",
            "ymax",
            *(["split"] if with_split else []),
            *flags,
        ]
    )
    for i in range(len(dataset)):
        if not dataset.labelled[i]:
            continue
        head, tail = [names[i], *_size(dataset, i)], [dataset.splits[i] or ""] if with_split else []
        rows = _writable(dataset, i, lost)
        for k in rows:
            marks = [int(getattr(dataset.objects, flag)[k]) for flag in flags]
            writer.writerow(
                [
                    *head,
                    dataset.class_map.names[dataset.objects.class_ids[k]],
                    *_one_based(dataset.objects.xyxy[k]),
                    *tail,
                    *marks,
                ]
            )
        if not rows:
            writer.writerow([*head, "", "", "", "", "", *tail, *("" for _ in flags)])
    write_atomically(root / "labels.csv", text.getvalue().encode())
    return lost.problems


class Lost:
    """Collects what a format cannot carry, for every writer."""

    def __init__(self, dataset: Dataset):
        self.dataset, self.problems = dataset, []
        table = dataset.objects
        wide, high = table.xyxy[:, 2] - table.xyxy[:, 0], table.xyxy[:, 3] - table.xyxy[:, 1]
        self.thin = (wide <= 1) | (high <= 1)

    def add(self, kind: str, message: str, row: int, left_out: bool = False) -> None:
        self.problems.append(
            Problem(kind, message, self.dataset.files[row], None, self.dataset.sample_ids[row], left_out)
        )

    def thin_boxes(self, what: str) -> None:
        for k in np.flatnonzero(self.thin):
            box = [float(v) for v in self.dataset.objects.xyxy[k]]
            self.add(
                "box too thin",
                f"{what} cannot tell a box a pixel wide or high from an empty one; {box} is left out.",
                int(self.dataset.objects.rows[k]),
                True,
            )

    def flags(self, flags: tuple[str, ...], what: str) -> None:
        for flag in flags:
            count = int(getattr(self.dataset.objects, flag).sum())
            if count:
                self.problems.append(
                    Problem(
                        "flag not carried",
                        f"{what} has no {flag} flag; {count} objects lose it.",
                        self.dataset.source,
                    )
                )


def _writable(dataset: Dataset, i: int, lost: Lost) -> list[int]:
    return [k for k in range(dataset.offsets[i], dataset.offsets[i + 1]) if not lost.thin[k]]


def _one_based(box: np.ndarray) -> list[str]:
    """Edges to VOC's inclusive pixels from 1, with as many digits as a float32 needs to come back equal."""
    x1, y1, x2, y2 = (float(v) for v in box)
    return [repr(v).removesuffix(".0") for v in (x1 + 1, y1 + 1, x2, y2)]


def _size(dataset: Dataset, i: int) -> tuple[int, int]:
    width, height = (int(v) for v in dataset.sizes[i])
    if not (width and height):
        try:
            return image_size(dataset.files[i])
        except ImageError:
            truth = dataset.annotations(i)
            return truth.image_size if truth is not None else (1, 1)
    return width, height


def _image_ids(dataset: Dataset) -> list[int]:
    """The sample ids as numbers where all are whole numbers written plainly, else 1, 2, 3 ..."""
    if all(s.isascii() and s.isdigit() and str(int(s)) == s for s in dataset.sample_ids):
        return [int(s) for s in dataset.sample_ids]
    return list(range(1, len(dataset) + 1))


def picture_names(dataset: Dataset, flat: bool) -> list[str]:
    """A distinct file name (and stem, whatever the case) for every sample; sub-folders are kept unless
    `flat`.

    Folders named images or labels are dropped: the formats put their own there, and YOLO finds labels by the
    last of them.
    """
    names, taken = [], set()
    for i, (file, sample_id) in enumerate(zip(dataset.files, dataset.sample_ids)):
        suffix = os.path.splitext(file)[1] or ".png"
        inner = (
            sample_id
            if os.path.splitext(sample_id)[1].lower() in IMAGE_SUFFIXES
            else os.path.basename(file) or f"{sample_id}.png"
        )
        if os.path.isabs(inner) or ".." in inner.split("/"):
            inner = os.path.basename(inner)
        *folders, inner = inner.split("/")
        if not flat:
            inner = "/".join([*(f for f in folders if f.lower() not in ("images", "labels")), inner])
        if not inner.lower().endswith(suffix.lower()):
            inner += suffix
        stem = os.path.splitext(inner)[0]
        if stem.lower() in taken:
            stem = f"{stem}-{i}"
        taken.add(stem.lower())
        names.append(stem + os.path.splitext(inner)[1])
    return names


def _place(
    dataset: Dataset,
    folder: Path,
    how: str,
    lost: Lost,
    *,
    flat: bool = False,
    under: Callable[[int], str] | None = None,
) -> list[str]:
    """Put the pictures into the folder; their names relative to it (or absolute paths with "none")."""
    if how not in PICTURES:
        raise InputError(f"pictures: expected one of {', '.join(PICTURES)}, got {how!r}.")
    names = picture_names(dataset, flat)
    if how == "none":
        return [os.path.abspath(f) if f and not flat else n for f, n in zip(dataset.files, names)]
    if under is not None:
        placed = [
            name if name.startswith(f"{under(i)}/") else f"{under(i)}/{name}" for i, name in enumerate(names)
        ]
        distinct = len({os.path.splitext(name)[0].lower() for name in placed}) == len(placed)
        names = placed if distinct else [f"{under(i)}/{name}" for i, name in enumerate(names)]
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        target, file = folder / name, dataset.files[i]
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if not file:
                write_atomically(target.with_suffix(".png"), encode_png(dataset.load_image(i)))
                names[i] = os.path.splitext(name)[0] + ".png"
            elif find_member(file) is not None:  # in a record file: there is nothing to link to
                target.write_bytes(picture_bytes(file))
            elif target.exists() and os.path.samefile(target, file):
                continue
            elif how == "link":
                target.unlink(missing_ok=True)
                target.symlink_to(os.path.abspath(file))
            else:
                shutil.copyfile(file, target)
        except (FileNotFoundError, ImageError):
            lost.add("missing image", "the picture is not there; only its annotation was written.", i)
    return names


def encode_png(pixels: np.ndarray) -> bytes:
    """RGB uint8 [H, W, 3] as a PNG file."""
    import cv2

    return cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes()
