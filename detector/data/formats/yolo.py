"""YOLO: a text file a picture with "class cx cy w h" in fractions of it, usually with a data.yaml.

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
from detector.data.files import Listing, folders_below, is_picture, only_folder, split_of, walk_pictures
from detector.data.formats.box_checks import Place
from detector.data.formats.class_names import look_alikes
from detector.data.formats.draft import Draft, assemble
from detector.data.formats.writing import write_yolo
from detector.errors import DataError, reason_of

__all__ = ["find_yolo", "read_yolo", "write_yolo", "yolo_draft"]

_YAML = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
_NAMES = ("classes.txt", "obj.names", "labels.txt", "_darknet.labels")


def read_yolo(path: str | Path, *, images: str | Path | None = None) -> Dataset:
    """A YOLO data set from its data.yaml, or from a folder with one, with images/ and labels/, or with both
    side by side.

    Sample ids are paths relative to the data set. An empty label file is a picture known to hold nothing; a
    missing one leaves its picture unlabelled, and is named. A polygon line becomes the box around it.

    Raises:
        DataError: there is no YOLO data set, or its yaml is malformed.
    """
    return assemble(yolo_draft(Path(path), images=images))


def find_yolo(path: Path) -> str | None:
    """What speaks for YOLO here: the yaml's name, a labels folder, or label files beside pictures; None if
    nothing.
    """
    if path.is_file():
        return path.name if path.suffix.lower() in (".yaml", ".yml") else None
    for name in _YAML:
        if (path / name).is_file():
            return name
    for folder in folders_below(path, 1):
        labels = only_folder(folder, ["labels"])
        pair = labels is not None and only_folder(folder, ["images"]) is not None
        if pair and any(f.suffix == ".txt" and f.name not in _NAMES for f in _some_files(labels)):
            return f"{os.path.relpath(labels, path)}/*.txt"
    names = set(os.listdir(path))
    pictures = [n for n in sorted(names) if is_picture(n)][:50]
    beside = [n for n in pictures if os.path.splitext(n)[0] + ".txt" in names]
    return (
        f"{os.path.splitext(beside[0])[0]}.txt beside {beside[0]}"
        if beside and _fits(path / (os.path.splitext(beside[0])[0] + ".txt"))
        else None
    )


def _some_files(folder: Path) -> Iterator[Path]:
    for inner in folders_below(folder, 1):
        yield from (f for f in sorted(inner.iterdir())[:20] if f.is_file())


def _fits(file: Path) -> bool:
    lines = file.read_text(errors="replace").split("\n")[:3]
    return all(len(line.split()) >= 5 and line.split()[0].isdigit() for line in lines if line.strip())


def yolo_draft(path: Path, *, images: str | Path | None = None) -> Draft:
    path = Path(os.path.abspath(path))
    file = path if path.is_file() else next((path / name for name in _YAML if (path / name).is_file()), None)
    root = path.parent if path.is_file() else path
    problems: list[Problem] = []
    settings = _settings(file) if file is not None else {}
    names = _class_names(settings, root, file, problems)
    pictures = _pictures(settings, root, images, problems, file)
    if not pictures:
        raise DataError(
            "expected pictures with YOLO labels (data.yaml with train and val, or images/ and labels/), there"
            " is none.",
            path=path,
        )
    base = Path(os.path.commonpath([os.path.dirname(f) for f, _ in pictures]))
    base = root if root == base or root in base.parents else base
    listing = Listing()
    sample_ids = [os.path.relpath(f, base).replace(os.sep, "/") for f, _ in pictures]
    rows, boxes, classes, lines, owners = [], [], [], [], []
    labelled = np.zeros(len(pictures), bool)
    labels = [_label_file(f, listing) for f, _ in pictures]
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


def _settings(file: Path) -> dict[str, Any]:
    import yaml

    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise DataError(
            "expected YOLO's data.yaml, the YAML is malformed.",
            path=file,
            line=mark.line + 1 if mark else None,
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"expected YOLO's data.yaml, it cannot be read ({reason_of(error)}).", path=file
        ) from None
    if not isinstance(settings, dict) or not (
        {"train", "val", "test", "valid"} & set(settings) or "names" in settings
    ):
        raise DataError("expected YOLO's data.yaml with train, val and names.", path=file)
    return settings


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
        text = next((p for n in _NAMES for f in (root, root / "labels") if (p := f / n).is_file()), None)
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
    if isinstance(count, int) and names and count != len(names):
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


def _pictures(
    settings: dict[str, Any],
    root: Path,
    images: str | Path | None,
    problems: list[Problem],
    file: Path | None,
) -> list[tuple[str, str | None]]:
    """(absolute file, split) of every picture, each once."""
    found: dict[str, str | None] = {}
    if images is not None:
        base = Path(os.path.abspath(images))
        return [
            (str(base / name), split_of(name.split("/")[0]) if "/" in name else None)
            for name in walk_pictures(base)
        ]
    base = root
    if isinstance(settings.get("path"), str):
        base = next((p for p in (root / settings["path"],) if p.is_dir()), root)
    for key, split in (("train", "train"), ("val", "val"), ("valid", "val"), ("test", "test")):
        entries = settings.get(key) or []
        for entry in [entries] if isinstance(entries, str) else entries:
            place = _resolve(str(entry), base, root)
            if place is None:
                problems.append(
                    Problem(
                        "missing image folder",
                        f"{key} names {entry!r}, which is not there; this split is left out.",
                        str(file),
                        None,
                        None,
                        True,
                    )
                )
            elif place.is_dir():
                # Ultralytics wants a val, so a set without one names another folder again; its own name then
                # decides.
                own = split_of(place.name)
                split = own if own in _keys_naming(place, settings, base, root) else split
                for name in walk_pictures(place):
                    found.setdefault(str(place / name), split)
            else:
                for line in place.read_text(encoding="utf-8-sig", errors="replace").splitlines():
                    if line.strip():
                        listed = Path(line.strip())
                        picture = (
                            listed
                            if listed.is_absolute()
                            else next(
                                (b / listed for b in (base, place.parent) if (b / listed).is_file()),
                                base / listed,
                            )
                        )
                        found.setdefault(os.path.abspath(picture), split)
    if found or settings.get("train") or settings.get("val"):
        return list(found.items())
    for name in walk_pictures(root):
        parts = name.split("/")[:-1]
        found[str(root / name)] = next((s for p in reversed(parts) if (s := split_of(p))), None)
    return list(found.items())


def _keys_naming(place: Path, settings: dict[str, Any], base: Path, root: Path) -> set[str]:
    """The splits whose entries name this folder."""
    named: set[str] = set()
    for key, split in (("train", "train"), ("val", "val"), ("valid", "val"), ("test", "test")):
        entries = settings.get(key) or []
        if any(
            _resolve(str(e), base, root) == place
            for e in ([entries] if isinstance(entries, str) else entries)
        ):
            named.add(split)
    return named


def _resolve(entry: str, base: Path, root: Path) -> Path | None:
    """The place a yaml names; exports write "../train/images" where "train/images" lies beside the yaml."""
    stripped = entry
    while stripped.startswith("../"):
        stripped = stripped[3:]
    for candidate in (base / entry, root / entry, root / stripped, base / stripped):
        if candidate.exists():
            return Path(os.path.abspath(candidate))
    return None


def _label_file(picture: str, listing: Listing) -> str | None:
    folder, name = os.path.split(picture)
    text = os.path.splitext(name)[0] + ".txt"
    parts = Path(folder).parts
    for k in range(len(parts) - 1, -1, -1):
        if parts[k] == "images":
            candidate = os.path.join(*parts[:k], "labels", *parts[k + 1 :], text)
            if listing.has(candidate):
                return candidate
    beside = os.path.join(folder, text)
    return beside if listing.has(beside) else None


def _pose_numbers(settings: dict[str, Any]) -> int:
    """How many numbers of key points follow each box, by the yaml's kpt_shape [points, 2 or 3]; 0 without."""
    shape = settings.get("kpt_shape")
    if isinstance(shape, list) and len(shape) == 2 and all(isinstance(n, int) and n > 0 for n in shape):
        return shape[0] * shape[1]
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
