"""The UIUC Image Database for Car Detection (Agarwal, Awan and Roth, 2004), as it unpacks.

`TestImages/` with `trueLocations.txt`: one line per image, "n: (row, column) ...", the corner of a 100x40
window. `TestImages_Scale/` with `trueLocations_Scale.txt`: "n: (row, column, width) ...", height 0.4 of the
width. `TrainImages/`: 100x40 patches `pos-n.pgm` (a car) and `neg-n.pgm`. Windows reach over the border of
the image; the part inside is kept and the object marked truncated.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset, Problem
from detector.data.files import is_picture
from detector.data.formats.box_checks import Place
from detector.data.formats.draft import Draft, assemble
from detector.data.images import image_size, read_image
from detector.errors import DataError, ImageError

CLASSES = ClassMap(("car",))
PARTS = {"TestImages": "trueLocations.txt", "TestImages_Scale": "trueLocations_Scale.txt"}
SPLITS = {"TestImages": "single_scale", "TestImages_Scale": "multi_scale"}
WIDTH, HEIGHT = 100, 40
_LINE = re.compile(r"^\s*(\d+)\s*:\s*((?:\([^)]*\)\s*)*)$")
_PLACE = re.compile(r"\(([^)]*)\)")
_PICTURE = re.compile(r"test-(\d+)\.\w+$")


def find_uiuc(path: Path) -> Path | None:
    """The folder that holds the database (CarData/), given it or its parent; None where it is not there."""
    for folder in (path, path / "CarData"):
        if any((folder / truth).is_file() for truth in PARTS.values()) and any(
            (folder / part).is_dir() for part in PARTS
        ):
            return folder
    return None


def read_locations(path: Path) -> tuple[dict[int, tuple[int, np.ndarray]], list[Problem]]:
    """Windows by image number, (1-based line, float64 [N, 4] xyxy, not clipped); an odd line is a problem.

    Raises:
        DataError: the file cannot be read as text.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"expected a text file of true locations: {error}.", path=path) from error
    numbers = 3 if path.name == PARTS["TestImages_Scale"] else 2
    expected = f"expected '12: ({'row, column, width' if numbers == 3 else 'row, column'}) ...'"
    windows: dict[int, tuple[int, np.ndarray]] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = _LINE.match(line)
        try:
            places = (
                [[int(v) for v in place.split(",")] for place in _PLACE.findall(match[2])] if match else [[]]
            )
        except ValueError:
            places = [[]]
        if any(len(place) != numbers or (numbers == 3 and place[2] <= 0) for place in places):
            problems.append(
                Problem(
                    "malformed line",
                    f"{expected}, got {line.strip()!r}; its image counts as not labelled.",
                    str(path),
                    number,
                    left_out=True,
                )
            )
            continue
        image = int(match[1])
        if image in windows:
            problems.append(
                Problem(
                    "duplicate id",
                    f"image {image} has a line already (line {windows[image][0]}); this one is left out.",
                    str(path),
                    number,
                    left_out=True,
                )
            )
            continue
        # (row, column) is (y, x) of the corner: not the order of every other format.
        rows = [[c, r, c + w, r + 0.4 * w] for r, c, w in ([*p, WIDTH][:3] for p in places)]
        windows[image] = (number, np.array(rows, np.float64).reshape(-1, 4))
    return windows, problems


def read_uiuc(path: str | Path) -> Dataset:
    """Both test sets as one data set with the splits `single_scale` and `multi_scale`.

    Boxes are the part of each window inside its image, flagged truncated where a part is outside; the
    official rule is about whole windows, which `whole_windows` gives.

    Args:
        path: CarData/ or the folder above it.

    Raises:
        DataError: the folder holds no `trueLocations*.txt` beside its test images.
    """
    return assemble(uiuc_draft(Path(path)))


def uiuc_draft(path: Path) -> Draft:
    """What the two location files state; see `read_uiuc`."""
    root = find_uiuc(path)
    if root is None:
        raise DataError(
            "expected the UIUC car database: TestImages/ with trueLocations.txt, or TestImages_Scale/ with"
            " trueLocations_Scale.txt.",
            path=path,
        )
    root = Path(os.path.abspath(root))
    ids: list[str] = []
    files, labelled, sizes, splits, rows, boxes, places, stated, problems = [], [], [], [], [], [], [], [], []
    for part, truth_name in PARTS.items():
        truth = root / truth_name
        if not (root / part).is_dir() or not truth.is_file():
            continue
        windows, odd = read_locations(truth)
        problems += odd
        pictures = {int(m[1]): f for f in (root / part).iterdir() if (m := _PICTURE.match(f.name))}
        for number in sorted(windows.keys() | pictures.keys()):
            line, found = windows.get(number, (None, np.zeros((0, 4))))
            file, sample_id = (
                pictures.get(number, root / part / f"test-{number}.pgm"),
                f"{part}/test-{number}",
            )
            if number not in windows:
                problems.append(
                    Problem(
                        "no annotation",
                        f"image {number} has no readable line in {truth_name}; it counts as not labelled.",
                        str(truth),
                        sample_id=sample_id,
                    )
                )
            rows += [len(ids)] * len(found)
            boxes += found.tolist()
            places += [Place(f"window {k + 1}", str(truth), line, sample_id) for k in range(len(found))]
            ids.append(sample_id)
            files.append(str(file))
            labelled.append(number in windows)
            sizes.append(_size(file))
            splits.append(SPLITS[part])
            stated.append((str(truth), line))
    xyxy = np.array(boxes, np.float64).reshape(-1, 4)
    limits = np.tile(np.array(sizes, np.int64).reshape(-1, 2)[np.array(rows, np.int64)], 2)
    over = (xyxy < 0).any(axis=1) | ((xyxy > limits) & (limits > 0)).any(axis=1)
    return Draft(
        name="UIUC cars",
        format="uiuc",
        source=str(root),
        class_map=CLASSES,
        sample_ids=ids,
        files=files,
        sizes=np.array(sizes, np.int64).reshape(-1, 2),
        labelled=np.array(labelled, bool),
        splits=splits,
        rows=np.array(rows, np.int64),
        xyxy=xyxy,
        class_ids=np.zeros(len(rows), np.int64),
        place=lambda k: places[k],
        flags={"truncated": over},
        problems=problems,
        annotation_file=lambda i: stated[i],
        numbers=("column, row, column + width, row + 0.4 width", "pixels"),
    )


def _size(file: Path) -> tuple[int, int]:
    """(W, H) from the header; (0, 0) where there is none, which `assemble` names."""
    try:
        return image_size(file)
    except ImageError:
        return 0, 0


def whole_windows(path: str | Path, split: str) -> dict[str, np.ndarray]:
    """sample id -> float64 [N, 4] xyxy windows as the file gives them, over the border too."""
    root = find_uiuc(Path(path))
    part = next((p for p, s in SPLITS.items() if s == split), None)
    if root is None or part is None:
        raise DataError(
            f"expected the UIUC car database and a split of {', '.join(SPLITS.values())}, got {split!r}.",
            path=path,
        )
    windows, _ = read_locations(root / PARTS[part])
    return {f"{part}/test-{number}": xyxy for number, (_, xyxy) in windows.items()}


def read_patches(path: str | Path) -> tuple[np.ndarray, np.ndarray, list[Problem]]:
    """Training patches as grey arrays, from the UIUC layout or from folders `positive/` and `negative/`.

    Folder names `pos`, `positive`, `car` and `neg`, `negative`, `background` are known, in any case.

    Returns:
        patches uint8 [N, H, W], labels int32 [N] (1 for an object), and what could not be read.

    Raises:
        DataError: no patches of one of the two kinds, or patches of different sizes.
    """
    root = Path(path)
    train = next((f for f in (root / "TrainImages", root / "CarData" / "TrainImages") if f.is_dir()), None)
    if train is not None:
        files = {1: sorted(train.glob("pos-*")), 0: sorted(train.glob("neg-*"))}
    else:
        names = {
            1: {"pos", "positive", "positives", "car", "cars"},
            0: {"neg", "negative", "negatives", "background"},
        }
        folders = {f.name.lower(): f for f in root.iterdir() if f.is_dir()} if root.is_dir() else {}
        files = {
            k: sorted(
                p for n in sorted(wanted & folders.keys()) for p in folders[n].iterdir() if is_picture(p.name)
            )
            for k, wanted in names.items()
        }
    patches, labels, problems = [], [], []
    for label in (1, 0):
        if not files[label]:
            kind = "positive (object)" if label else "negative (background)"
            raise DataError(
                f"expected {kind} patches in TrainImages/ or a folder named for them, found none.", path=path
            )
        for file in files[label]:
            try:
                grey = to_grey(read_image(file))
            except ImageError as error:
                problems.append(Problem("unreadable image", error.message, str(file), left_out=True))
                continue
            if patches and grey.shape != patches[0].shape:
                raise DataError(
                    f"expected patches of one size, {patches[0].shape[1]}x{patches[0].shape[0]} so far, this"
                    f" one is {grey.shape[1]}x{grey.shape[0]}.",
                    path=file,
                )
            patches.append(grey)
            labels.append(label)
    return np.stack(patches), np.array(labels, np.int32), problems


def to_grey(image: np.ndarray) -> np.ndarray:
    """RGB uint8 [H, W, 3] to uint8 [H, W] by the luma weights of ITU-R BT.601; a grey image keeps its
    values.
    """
    import cv2

    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
