"""COCO instances: one json or several splits as one data set, with its classes and images looked up on disk.

Format: https://cocodataset.org/#format-data. Boxes are [x, y, width, height] in pixels from 0.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector.core import FLAGS, ClassMap
from detector.data.dataset import Dataset, Problem
from detector.data.files import Listing, split_of, walk_pictures
from detector.data.formats.box_checks import Place
from detector.data.formats.class_names import look_alikes
from detector.data.formats.coco_json import CocoColumns, find_coco, parse_coco
from detector.data.formats.draft import Draft, assemble
from detector.data.formats.writing import write_coco
from detector.errors import DataError

__all__ = ["coco_draft", "find_coco", "read_coco", "write_coco"]


def read_coco(path: str | Path, *, images: str | Path | None = None, split: str | None = None) -> Dataset:
    """A COCO data set from an instances json, or from a folder that holds some.

    The sample id is the image id as text (with "split/" before it where two files use the same id); the class
    map keeps the category ids as external ids, in ascending order.

    Args:
        path: the json, a folder with `annotations/*.json`, or one with `train/_annotations.coco.json` and so
            on.
        images: the folder its file names are relative to; looked for in the usual places where not given.
        split: read only the file of this split ("train", "val", "test").

    Raises:
        DataError: no such file, not json, not COCO instances.
    """
    return assemble(coco_draft(Path(path), images=images, split=split))


def _plain_id(value: Any) -> Any:
    """A category id as a whole number where it is one in other clothes ("3", 3.0); else None or as it is."""
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return value
    return value if value.__hash__ else None


def coco_draft(path: Path, *, images: str | Path | None = None, split: str | None = None) -> Draft:
    path = Path(os.path.abspath(path))
    files = find_coco(path) if path.is_dir() else [path]
    if not files:
        raise DataError(
            "expected a COCO json (images, annotations, categories) here or in annotations/, there is none.",
            path=path,
        )
    if split is not None and len(files) > 1:
        chosen = [f for f in files if (split_of(f.name) or split_of(f.parent.name)) == split]
        files = chosen or files
    parts = [parse_coco(file) for file in files]
    problems = [problem for part in parts for problem in part.unusable]
    class_map, to_class = _classes(parts, problems)
    listing = Listing()
    draft = _join(parts, [_image_folder(p, images, listing) for p in parts], class_map, to_class, problems)
    draft.name, draft.source = path.stem if path.is_file() else path.name, str(path)
    if path.is_dir() and split is None:
        problems += _unlisted(draft)
    return draft


def _classes(parts: list[CocoColumns], problems: list[Problem]) -> tuple[ClassMap, list[dict[Any, int]]]:
    """One class map over all files, and for each file its category id -> class id."""
    names: dict[int, str] = {}
    stated: list[dict[int, str]] = []
    for part in parts:
        own: dict[int, str] = {}
        for category in part.categories:
            if not isinstance(category, dict) or "id" not in category:
                problems.append(
                    Problem(
                        "malformed category",
                        f"expected a category with id and name, got {str(category)[:80]}.",
                        str(part.path),
                        left_out=True,
                    )
                )
                continue
            try:
                key = int(category["id"])
            except (TypeError, ValueError):
                problems.append(
                    Problem(
                        "malformed category",
                        f"expected a number as category id, got {category['id']!r}.",
                        str(part.path),
                        left_out=True,
                    )
                )
                continue
            name = str(category.get("name", "")).strip() or f"class {key}"
            if key in own and own[key] != name:
                problems.append(
                    Problem(
                        "duplicate id",
                        f"category id {key} stands for {own[key]!r} and {name!r}; the first is used.",
                        str(part.path),
                    )
                )
            own.setdefault(key, name)
        if not own and part.ann_classes:
            used = sorted({c for v in part.ann_classes if isinstance(c := _plain_id(v), int)})
            own = {key: f"class {key}" for key in used}
            problems.append(
                Problem(
                    "no categories",
                    f"expected a list of categories, there is none; the {len(used)} ids in use serve as"
                    " names.",
                    str(part.path),
                )
            )
        stated.append(own)
        for key, name in own.items():
            names.setdefault(key, name)
    by_name: dict[str, int] = {}
    order = sorted(names)
    kept: list[int] = []
    for key in order:
        if names[key] in by_name:
            problems.append(
                Problem(
                    "duplicate class name",
                    f"categories {kept[by_name[names[key]]]} and {key} are both named {names[key]!r}; they"
                    " are read as one class.",
                    str(parts[0].path),
                )
            )
        else:
            by_name[names[key]] = len(kept)
            kept.append(key)
    externals = list(kept)
    maps = []
    for part, own in zip(parts, stated):
        mapping = {}
        for key, name in own.items():
            if name not in by_name:  # the id means something else in another file
                by_name[name] = len(externals)
                externals.append(max(externals) + 1)
                problems.append(
                    Problem(
                        "category ids differ",
                        f"id {key} is {name!r} here and {names[key]!r} in another file; classes were matched"
                        " by name.",
                        str(part.path),
                    )
                )
            mapping[key] = by_name[name]
        maps.append(mapping)
    ordered = sorted(by_name, key=by_name.__getitem__)
    problems += look_alikes(ordered, str(parts[0].path))
    return ClassMap(tuple(ordered), tuple(externals)), maps


def _image_folder(part: CocoColumns, images: str | Path | None, listing: Listing) -> Path:
    """The folder under which most of a few file names exist; the first candidate where none does."""
    if images is not None:
        roots = [Path(os.path.abspath(images))]
        roots += (
            [
                roots[0] / part.split,
                *(p for s in ("2017", "2014") if (p := roots[0] / f"{part.split}{s}").is_dir()),
            ]
            if part.split
            else []
        )
    else:
        near = part.path.parent
        root = near.parent if near.name.lower().startswith("annotation") else near
        stem = part.path.stem
        words = [
            w
            for w in (
                stem.removeprefix("instances_"),
                stem.rsplit("_", 1)[-1],
                part.split,
                "valid" if part.split == "val" else None,
            )
            if w
        ]
        roots = [near] if part.path.name.startswith("_annotations") else []
        for base in dict.fromkeys((root, near, root.parent)):
            for word in dict.fromkeys(words):
                roots += [base / word, base / "images" / word]
            roots += [base / "images", base / "JPEGImages", base / "data", base / "imgs", base]
    names = [n for n in part.names if n]
    few = names[:: max(1, len(names) // 20)]

    def hits(folder: Path) -> int:
        return sum(listing.has(folder / name) for name in few)

    return max(roots, key=hits, default=part.path.parent)


def _join(
    parts: list[CocoColumns],
    folders: Sequence[Path],
    class_map: ClassMap,
    to_class: list[dict],
    problems: list[Problem],
) -> Draft:
    seen: set[str] = set()
    clash = False
    for part in parts:
        own = {str(i) for i in part.image_ids}
        clash |= bool(own & seen)
        seen |= own
    sample_ids: list[str] = []
    files: list[str] = []
    splits: list[str | None] = []
    labelled: list[bool] = []
    sizes, rows, boxes, classes, ids, areas, owners = [], [], [], [], [], [], []
    flags: dict[str, list] = {flag: [] for flag in FLAGS}
    starts = []
    taken: set[str] = set()
    unread: dict[int, str] = {}
    for part, folder, mapping in zip(parts, folders, to_class):
        place = str(part.path)
        starts.append(len(sample_ids))
        prefix = f"{part.split or part.path.stem}/" if clash else ""
        row_of: dict[Any, int] = {}
        keep_sizes = []
        for k, (image_id, name) in enumerate(zip(part.image_ids, part.names)):
            sample_id = f"{prefix}{image_id}"
            if sample_id in taken or image_id is None:
                what = (
                    f"image id {image_id} occurs twice"
                    if image_id is not None
                    else f"image {name!r} has no id"
                )
                problems.append(
                    Problem(
                        "duplicate id" if image_id is not None else "missing id",
                        f"{what}; this entry ({name}) is left out.",
                        place,
                        None,
                        None,
                        True,
                    )
                )
                continue
            taken.add(sample_id)
            row_of[image_id] = len(sample_ids)
            sample_ids.append(sample_id)
            files.append(os.path.join(folder, name) if name else "")
            splits.append(part.split)
            labelled.append(part.labelled)
            keep_sizes.append(k)
        sizes.append(np.nan_to_num(np.array(part.sizes).reshape(-1, 2)[keep_sizes]))
        by_text = None
        own_rows = []
        for image_id in part.ann_images:
            row = row_of.get(image_id) if image_id.__hash__ else None
            if row is None:
                by_text = by_text or {str(key): value for key, value in row_of.items()}
                row = by_text.get(str(image_id), -1)
            own_rows.append(row)
        own_classes = [mapping.get(_plain_id(c), -1) for c in part.ann_classes]
        own_rows, own_classes = np.array(own_rows, np.int64), np.array(own_classes, np.int64)
        for k in np.flatnonzero((own_rows < 0) | (own_classes < 0)):
            if own_rows[k] < 0:
                problems.append(
                    Problem(
                        "unknown image",
                        f"annotation {part.ann_ids[k]} names image id {part.ann_images[k]}, which the file"
                        " does not list; it is left out.",
                        place,
                        None,
                        None,
                        True,
                    )
                )
            else:
                problems.append(
                    Problem(
                        "unknown class",
                        f"annotation {part.ann_ids[k]} has category id {part.ann_classes[k]}, which the file"
                        " does not list; it is left out.",
                        place,
                        None,
                        sample_ids[own_rows[k]],
                        True,
                    )
                )
        good = (own_rows >= 0) & (own_classes >= 0)
        rows.append(own_rows[good])
        classes.append(own_classes[good])
        xywh = np.array(part.boxes).reshape(-1, 4)[good]
        boxes.append(np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1))
        areas.append(np.array(part.area)[good])
        for flag in FLAGS:
            marks = np.zeros(len(good), bool)
            marks[part.flagged[flag]] = True
            flags[flag].append(marks[good])
        ids += [part.ann_ids[k] for k in np.flatnonzero(good)]
        owners.append(np.full(int(good.sum()), len(owners)))
        number = len(ids) - int(good.sum()) + np.cumsum(good) - 1
        unread |= {int(number[k]): stated for k, stated in part.unread.items() if good[k]}
    owner = np.concatenate(owners)
    all_rows = np.concatenate(rows)
    numbered = _number_ids(
        ids,
        [parts[o].path for o in range(len(parts))],
        owner,
        [sample_ids[r] for r in all_rows] if len(ids) < 10_000 else None,
        problems,
    )
    paths = [str(p.path) for p in parts]
    return Draft(
        name="",
        format="coco",
        source="",
        class_map=class_map,
        sample_ids=sample_ids,
        files=files,
        sizes=np.concatenate(sizes),
        labelled=np.array(labelled, bool),
        splits=splits,
        rows=all_rows,
        xyxy=np.concatenate(boxes),
        class_ids=np.concatenate(classes),
        ids=numbered,
        area=np.concatenate(areas),
        flags={flag: np.concatenate(values) for flag, values in flags.items()},
        numbers=("x, y, width, height as corners", "pixels"),
        place=lambda k: Place(
            f"annotation {ids[k]}", paths[owner[k]], None, sample_ids[all_rows[k]], unread.get(k, "")
        ),
        problems=problems,
        annotation_file=lambda i: (paths[int(np.searchsorted(starts, i, side="right")) - 1], None),
    )


def _number_ids(
    ids: list, paths: list[Path], owner: np.ndarray, samples: list[str] | None, problems: list[Problem]
) -> np.ndarray:
    """Distinct int64 ids: the file's own, new ones above them where an id is missing, no number, or taken."""
    numbers = np.full(len(ids), -1, np.int64)
    seen: set[int] = set()
    in_file: set[tuple[int, Any]] = set()
    renamed: list[int] = []
    for k, value in enumerate(ids):
        fits = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
        if fits and value not in seen:
            numbers[k] = value
            seen.add(value)
            if value == 0:
                problems.append(
                    Problem(
                        "annotation id 0",
                        "annotation id 0: kept here, but pycocotools takes a match with it for none and loses"
                        " a true positive; number from 1.",
                        str(paths[owner[k]]),
                        None,
                        samples[k] if samples else None,
                    )
                )
        else:
            renamed.append(k)
            if value is not None and (not fits or len(paths) == 1 or (int(owner[k]), value) in in_file):
                problems.append(
                    Problem(
                        "duplicate id",
                        f"annotation id {value!r} is no number or occurs twice; this annotation got a"
                        " new id.",
                        str(paths[owner[k]]),
                        None,
                        samples[k] if samples else None,
                    )
                )
        if len(paths) > 1:
            in_file.add((int(owner[k]), str(value) if not fits else value))
    first = max(seen, default=0) + 1
    numbers[renamed] = np.arange(first, first + len(renamed))
    return numbers


def _unlisted(draft: Draft) -> list[Problem]:
    """A problem for each picture that lies beside the listed ones and is in no annotation file."""
    listed = set(draft.files)
    problems = []
    for folder in sorted({os.path.dirname(f) for f in draft.files if f}):
        if os.path.isdir(folder):
            for name in walk_pictures(Path(folder), recursive=False):
                file = os.path.join(folder, name)
                if file not in listed:
                    problems.append(
                        Problem(
                            "unlisted image",
                            "the picture is in no annotation file; it is left out.",
                            file,
                            None,
                            None,
                            True,
                        )
                    )
    return problems
