"""YOLO: a text file per image with "class cx cy w h" in fractions of it, with a data.yaml or darknet's
obj.data.

Format: https://docs.ultralytics.com/datasets/detect/. The label of .../images/x.jpg is .../labels/x.txt.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset, Problem
from detector.data.files import folders_below, is_picture, only_folder, split_of, walk_pictures
from detector.data.formats.box_checks import Place
from detector.data.formats.class_names import look_alikes
from detector.data.formats.draft import Draft, assemble
from detector.data.formats.writing import write_yolo
from detector.data.formats.yolo_files import (
    CLASS_LISTS,
    LabelFiles,
    YoloPaths,
    class_list,
    find_settings,
    fits,
    read_settings,
    resolve,
)
from detector.errors import DataError

__all__ = ["find_yolo", "read_yolo", "write_yolo", "yolo_draft"]


def read_yolo(path: str | Path, *, images: str | Path | None = None) -> Dataset:
    """A YOLO data set from its data.yaml or obj.data, or from a folder with one, with images/ and labels/, or
    with both side by side. With `images`, labels belong to the images there by name.

    Sample ids are paths relative to the data set. An empty label file is a picture known to hold nothing; a
    missing one leaves its picture unlabelled, and is named. A polygon line becomes the box around it.

    Raises:
        DataError: there is no YOLO data set, or its yaml is malformed.
    """
    return assemble(yolo_draft(Path(path), images=images))


def find_yolo(path: Path) -> str | None:
    """What speaks for YOLO here: the yaml's or obj.data's name, a labels folder, or label files beside images
    or a class list; None if nothing.
    """
    if path.is_file():
        return path.name if path.suffix.lower() in (".yaml", ".yml", ".data") else None
    settings = find_settings(path)
    if settings is not None:
        return settings.name
    for folder in folders_below(path, 1):
        labels = only_folder(folder, ["labels"])
        if labels is None or not any(f.suffix == ".txt" and f.name not in CLASS_LISTS for f in _some(labels)):
            continue
        listed = class_list(folder) is not None and all(fits(f) for f in _some(labels) if f.suffix == ".txt")
        if listed or only_folder(folder, ["images"]) is not None:
            return f"{os.path.relpath(labels, path)}/*.txt"
    for folder in folders_below(path, 1):
        if (beside := _label_beside(folder, empty_counts=folder == path)) is not None:
            return f"{os.path.relpath(folder / beside, path)} beside its image"
    listed = next((name for name in CLASS_LISTS if (path / name).is_file()), None)
    texts = [name for name in sorted(os.listdir(path)) if name.endswith(".txt") and name not in CLASS_LISTS]
    if listed and texts and all((path / n).stat().st_size and fits(path / n) for n in texts[:20]):
        return f"{texts[0]} beside {listed}"
    return None


def _some(folder: Path) -> Iterator[Path]:
    for inner in folders_below(folder, 1):
        yield from (f for f in sorted(inner.iterdir())[:20] if f.is_file() and f.name not in CLASS_LISTS)


def _label_beside(folder: Path, *, empty_counts: bool) -> str | None:
    """The first label file beside an image of its name, of the first 50 images; an empty one says little."""
    try:
        names = set(os.listdir(folder))
    except OSError:
        return None
    stems = [os.path.splitext(name)[0] for name in sorted(names) if is_picture(name)][:50]
    beside = [stem + ".txt" for stem in stems if stem + ".txt" in names]
    telling = [name for name in beside if empty_counts or (folder / name).stat().st_size]
    return telling[0] if telling and fits(folder / telling[0]) else None


def yolo_draft(path: Path, *, images: str | Path | None = None) -> Draft:
    path = Path(os.path.abspath(path))
    file = find_settings(path)
    root = path.parent if path.is_file() else path
    problems: list[Problem] = []
    settings = read_settings(file) if file is not None else {}
    names = _class_names(settings, root, file, problems)
    paths = YoloPaths(settings, root, file)
    finder = LabelFiles(root, None if images is None else Path(os.path.abspath(images)))
    if images is None:
        pictures = paths.pictures(problems)
        labels = [finder.of(f) for f, _ in pictures]
        if not pictures:
            raise paths.nothing_found(path)
    else:
        pictures, labels = _pictures_elsewhere(Path(os.path.abspath(images)), paths, finder)
    base = Path(os.path.commonpath([os.path.dirname(f) for f, _ in pictures]))
    base = root if root == base or root in base.parents else base
    sample_ids = [os.path.relpath(f, base).replace(os.sep, "/") for f, _ in pictures]
    rows, boxes, classes, lines, owners = [], [], [], [], []
    labelled = np.zeros(len(pictures), bool)
    if file is None and not any(labels):
        raise DataError(
            "expected YOLO labels (labels/*.txt beside images/, or beside each picture), there is none.",
            path=path,
        )
    top, pose = -1, _pose_numbers(settings)
    for i, label in enumerate(labels):
        if label is None:
            problems.append(
                Problem(
                    "missing label file",
                    "the picture has no label file; it counts as unlabelled.",
                    pictures[i][0],
                    None,
                    sample_ids[i],
                )
            )
            continue
        labelled[i] = True
        for number, class_id, box in _read_labels(label, sample_ids[i], problems, pose):
            if names and class_id >= len(names):
                problems.append(
                    Problem(
                        "unknown class",
                        f"class {class_id} has no name, there are {len(names)} (0 to {len(names) - 1}); the"
                        " box is left out.",
                        label,
                        number,
                        sample_ids[i],
                        True,
                    )
                )
                continue
            top = max(top, class_id)
            rows.append(i)
            boxes.append(box)
            classes.append(class_id)
            lines.append(number)
            owners.append(label)
    if not names:
        names = [f"class {k}" for k in range(top + 1)]
        if names:
            problems.append(
                Problem(
                    "no class names",
                    "expected names in data.yaml or classes.txt, there is none; classes are numbered 0 to"
                    f" {top}.",
                    str(file or root),
                )
            )
    problems += look_alikes(names, str(file or root))
    centre = np.array(boxes, np.float64).reshape(-1, 4)
    xyxy = np.concatenate([centre[:, :2] - centre[:, 2:] / 2, centre[:, :2] + centre[:, 2:] / 2], axis=1)
    return Draft(
        name=root.name,
        format="yolo",
        source=str(path),
        class_map=ClassMap(tuple(names)),
        sample_ids=sample_ids,
        files=[f for f, _ in pictures],
        sizes=np.zeros((len(pictures), 2)),
        labelled=labelled,
        splits=[s for _, s in pictures],
        rows=np.array(rows, np.int64),
        xyxy=xyxy,
        class_ids=np.array(classes, np.int64),
        place=lambda k: Place(f"class {classes[k]}", owners[k], lines[k], sample_ids[rows[k]]),
        fractions=True,
        numbers=("class, cx, cy, w, h", "fractions"),
        problems=problems,
        annotation_file=lambda i: (labels[i] or pictures[i][0], None),
    )


def _pictures_elsewhere(
    images: Path, paths: YoloPaths, finder: LabelFiles
) -> tuple[list[tuple[str, str | None]], list[str | None]]:
    """(file, split) of every image of a folder that was named, and its label file.

    Its split is what its own folder says, else the list that names it, else the label's folder.
    """
    names = walk_pictures(images)
    if not names:
        raise DataError("expected images in this folder, there is none.", path=images)
    listed: dict[str, str | None] = {}
    for file, split in paths.pictures([]) if paths.settings else []:
        name = os.path.basename(file)
        listed[name] = split if listed.get(name, split) == split else None
    labels = [finder.of(str(images / name)) for name in names]
    pictures = [
        (
            str(images / name),
            (split_of(name.split("/")[0]) if "/" in name else None)
            or listed.get(os.path.basename(name))
            or finder.split_of(label),
        )
        for name, label in zip(names, labels)
    ]
    return pictures, labels


def _class_names(
    settings: dict[str, Any], root: Path, file: Path | None, problems: list[Problem]
) -> list[str]:
    names = settings.get("names")
    if isinstance(names, dict):
        try:
            table = {int(k): str(v).strip() for k, v in names.items()}
        except (TypeError, ValueError):
            raise DataError("expected whole numbers as keys of names.", path=file) from None
        names = [table.get(k) or f"class {k}" for k in range(max(table, default=-1) + 1)]
    elif isinstance(names, list):
        names = [str(n).strip() for n in names]
    else:
        told = resolve(names, [root]) if isinstance(names, str) and names else None
        text = told if told is not None and told.is_file() else class_list(root)
        names = (
            [
                line.strip() or f"class {k}"
                for k, line in enumerate(
                    text.read_text(encoding="utf-8-sig", errors="replace").rstrip().splitlines()
                )
            ]
            if text
            else []
        )
    count = settings.get("nc")
    if isinstance(count, str) and count.isdecimal() and names and int(count) != len(names):
        problems.append(
            Problem(
                "class count differs",
                f"nc says {count} classes, names lists {len(names)}; the names are used.",
                str(file),
            )
        )
    unique: list[str] = []
    for k, name in enumerate(names):
        if name in unique:
            problems.append(
                Problem(
                    "duplicate class name",
                    f"classes {unique.index(name)} and {k} are both named {name!r}; the second is read as"
                    f" '{name} ({k})'.",
                    str(file or root),
                )
            )
            name = f"{name} ({k})"
        unique.append(name)
    return unique


def _pose_numbers(settings: dict[str, Any]) -> int:
    """How many numbers of key points follow each box, by the yaml's kpt_shape [points, 2 or 3]; 0 without."""
    shape = settings.get("kpt_shape")
    if isinstance(shape, list) and len(shape) == 2 and all(str(n).isdecimal() for n in shape):
        return int(shape[0]) * int(shape[1])
    return 0


def _read_labels(
    label: str, sample_id: str, problems: list[Problem], pose: int = 0
) -> Iterator[tuple[int, int, tuple[float, ...]]]:
    """(line, class id, (cx, cy, w, h)) of each usable line; `pose` numbers of key points may follow a box."""
    try:
        text = Path(label).read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        problems.append(
            Problem(
                "unreadable annotation",
                f"the label file cannot be read ({error.strerror or error}).",
                label,
                None,
                sample_id,
                True,
            )
        )
        return
    seen: set[tuple] = set()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue

        def wrong(kind: str, expected: str, number=number, line=line) -> None:
            problems.append(
                Problem(
                    kind,
                    f"expected {expected}, got {line.strip()[:60]!r}; the line is left out.",
                    label,
                    number,
                    sample_id,
                    True,
                )
            )

        try:
            values = [float(w) for w in words]
        except ValueError:
            values = [math.nan]
        if not all(math.isfinite(v) for v in values) or values[0] < 0 or values[0] != int(values[0]):
            wrong("malformed line", "a class number and four numbers")
        elif len(values) == 5 or (pose and len(values) == 5 + pose):
            values = values[:5]
            if max(values[1:]) > 1.5:
                wrong("pixels where fractions are due", "fractions of the picture (0 to 1)")
            elif tuple(values) in seen:
                problems.append(
                    Problem(
                        "duplicate box",
                        f"{line.strip()!r} stands twice in this file; both are kept.",
                        label,
                        number,
                        sample_id,
                    )
                )
                yield number, int(values[0]), tuple(values[1:])
            else:
                seen.add(tuple(values))
                yield number, int(values[0]), tuple(values[1:])
        elif len(values) >= 7 and len(values) % 2 == 1:
            xs, ys = values[1::2], values[2::2]
            yield (
                number,
                int(values[0]),
                ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)),
            )
        else:
            wrong("malformed line", "5 numbers (class, cx, cy, w, h) or a polygon")
