"""The UIUC Image Database for Car Detection (Agarwal, Awan and Roth, 2004), as it unpacks.

`TestImages/` with `trueLocations.txt`: one line an image, "n: (row, column) ...", the corner of a 100x40 window.
`TestImages_Scale/` with `trueLocations_Scale.txt`: "n: (row, column, width) ...", height 0.4 of the width.
`TrainImages/`: 100x40 patches `pos-n.pgm` (a car) and `neg-n.pgm`.
Windows reach over the border of the image; the part inside is kept and the object marked truncated.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from detector import boxes
from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable, Problem
from detector.data.images import image_size, read_image
from detector.errors import DataError, ImageError

CLASSES = ClassMap(("car",))
PARTS = {"TestImages": "trueLocations.txt", "TestImages_Scale": "trueLocations_Scale.txt"}
SPLITS = {"TestImages": "single_scale", "TestImages_Scale": "multi_scale"}
WIDTH, HEIGHT = 100, 40
_LINE = re.compile(r"^\s*(\d+)\s*:\s*((?:\([^)]*\)\s*)*)$")
_PLACE = re.compile(r"\(([^)]*)\)")


def find_uiuc(path: Path) -> Path | None:
    """The folder that holds the database (CarData/), given it or its parent; None where it is not there."""
    for folder in (path, path / "CarData"):
        if any((folder / truth).is_file() for truth in PARTS.values()) and any((folder / part).is_dir() for part in PARTS):
            return folder
    return None


def read_locations(path: Path) -> tuple[dict[int, np.ndarray], list[Problem]]:
    """Windows by image number, float64 [N, 4] xyxy, not clipped; a line that does not parse is a problem."""
    windows: dict[int, np.ndarray] = {}
    problems: list[Problem] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.match(line)
        try:
            if not match:
                raise ValueError
            places = [[int(v) for v in place.split(",")] for place in _PLACE.findall(match[2])]
            rows = [[c, r, c + w, r + 0.4 * w] for r, c, w in ([*p, WIDTH] if len(p) == 2 else p for p in places)]
        except ValueError:
            problems.append(Problem("malformed line", f"expected 'n: (row, column[, width]) ...', got {line.strip()!r}; the line is left out.", str(path), number, left_out=True))
            continue
        windows[int(match[1])] = np.array(rows, np.float64).reshape(-1, 4)
    return windows, problems


def read_uiuc(path: str | Path, *, clip: bool = True) -> Dataset:
    """Both test sets as one data set with the splits `single_scale` and `multi_scale`.

    Args:
        path: CarData/ or the folder above it.
        clip: the types keep boxes inside the image; the official rule is about whole windows, so
            `whole_windows` gives those.

    Raises:
        DataError: the folder holds no `trueLocations*.txt` beside its test images.
    """
    root = find_uiuc(Path(path))
    if root is None:
        raise DataError("expected the UIUC car database: TestImages/ with trueLocations.txt, or TestImages_Scale/ with trueLocations_Scale.txt.", path=path)
    ids, files, sizes, splits, rows, found, truncated, problems = [], [], [], [], [], [], [], []
    for part, truth_name in PARTS.items():
        truth = root / truth_name
        if not (root / part).is_dir() or not truth.is_file():
            continue
        windows, odd = read_locations(truth)
        problems += odd
        images = {int(m[1]): f for f in (root / part).iterdir() if (m := re.match(r"test-(\d+)\.\w+$", f.name))}
        for number in sorted(windows.keys() - images.keys()):
            problems.append(Problem("missing file", f"image {number} has locations but no picture test-{number}.pgm in {part}.", str(truth), left_out=True))
        for number in sorted(images):
            file, sample_id = images[number], f"{part}/test-{number}"
            try:
                size = image_size(file)
            except ImageError as error:
                problems.append(Problem("unreadable image", error.message, str(file), sample_id=sample_id, left_out=True))
                continue
            if number not in windows:
                problems.append(Problem("no annotation", f"image {number} has no line in {truth_name}.", str(truth), sample_id=sample_id))
            whole = windows.get(number, np.zeros((0, 4)))
            inside = boxes.clip(whole, size)
            over = (np.abs(inside - whole) > 0).any(axis=1)
            for box in whole[over]:
                problems.append(Problem("box outside", f"window {box.tolist()} reaches over the {size[0]}x{size[1]} image and is clipped.", str(truth), sample_id=sample_id))
            rows += [len(ids)] * len(whole)
            found += [inside]
            truncated += over.tolist()
            ids.append(sample_id)
            files.append(file)
            sizes.append(size)
            splits.append(SPLITS[part])
    xyxy = np.concatenate(found) if found else np.zeros((0, 4))
    return Dataset(
        name="UIUC cars", format="uiuc", source=root, class_map=CLASSES, sample_ids=ids, files=files, sizes=sizes,
        objects=ObjectTable.build(rows, xyxy, np.zeros(len(rows)), truncated=truncated), splits=splits, problems=problems,
    )


def whole_windows(path: str | Path, split: str) -> dict[str, np.ndarray]:
    """sample id -> float64 [N, 4] xyxy windows as the file gives them, over the border too."""
    root = find_uiuc(Path(path))
    part = next((p for p, s in SPLITS.items() if s == split), None)
    if root is None or part is None:
        raise DataError(f"expected the UIUC car database and a split of {', '.join(SPLITS.values())}, got {split!r}.", path=path)
    windows, _ = read_locations(root / PARTS[part])
    return {f"{part}/test-{number}": xyxy for number, xyxy in windows.items()}


def read_patches(path: str | Path) -> tuple[np.ndarray, np.ndarray, list[Problem]]:
    """Training patches as grey arrays, from the UIUC layout or from folders `positive/` and `negative/`.

    Folder names `pos`, `positive`, `car` and `neg`, `negative`, `background` are known, in any case.

    Returns:
        patches uint8 [N, H, W], labels int32 [N] (1 an object), and what could not be read.

    Raises:
        DataError: no patches of one of the two kinds, or patches of different sizes.
    """
    root = Path(path)
    train = next((f for f in (root / "TrainImages", root / "CarData" / "TrainImages") if f.is_dir()), None)
    if train is not None:
        files = {1: sorted(train.glob("pos-*")), 0: sorted(train.glob("neg-*"))}
    else:
        names = {1: {"pos", "positive", "positives", "car", "cars"}, 0: {"neg", "negative", "negatives", "background"}}
        folders = {f.name.lower(): f for f in root.iterdir() if f.is_dir()} if root.is_dir() else {}
        files = {k: sorted(p for n in sorted(wanted & folders.keys()) for p in folders[n].iterdir() if p.is_file()) for k, wanted in names.items()}
    patches, labels, problems = [], [], []
    for label in (1, 0):
        if not files[label]:
            kind = "positive (object)" if label else "negative (background)"
            raise DataError(f"expected {kind} patches in TrainImages/ or a folder named for them, found none.", path=path)
        for file in files[label]:
            try:
                grey = to_grey(read_image(file))
            except ImageError as error:
                problems.append(Problem("unreadable image", error.message, str(file), left_out=True))
                continue
            if patches and grey.shape != patches[0].shape:
                raise DataError(f"expected patches of one size, {patches[0].shape[1]}x{patches[0].shape[0]} so far, this one is {grey.shape[1]}x{grey.shape[0]}.", path=file)
            patches.append(grey)
            labels.append(label)
    return np.stack(patches), np.array(labels, np.int32), problems


def to_grey(image: np.ndarray) -> np.ndarray:
    """RGB uint8 [H, W, 3] to uint8 [H, W] by the luma weights of ITU-R BT.601; a grey image keeps its values."""
    import cv2

    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
