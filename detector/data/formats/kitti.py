"""KITTI's 2D boxes: label_2/000000.txt of image_2/000000.png, a line of 15 numbers per object.

Format: the object development kit's readme (https://www.cvlibs.net/datasets/kitti/eval_object.php): type,
truncated (0 to 1), occluded (0 to 3), alpha, left, top, right, bottom in pixels from 0, then 3D values.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from detector.data.dataset import Dataset, Problem
from detector.data.files import Listing, folders_below, is_picture, split_of
from detector.data.formats.draft import Draft, assemble
from detector.data.formats.image_list import ImageList
from detector.errors import DataError, reason_of


def read_kitti(path: str | Path, *, images: str | Path | None = None) -> Dataset:
    """A folder with label_2/ and image_2/, in it or one below; both may hold folders of splits.

    "DontCare" regions are left out, and named: no class stands for them. An object is truncated above 0, and
    occluded from 1 (partly). Sample ids are the images' names. Classes are in alphabetical order.

    Raises:
        DataError: there is none.
    """
    return assemble(kitti_draft(Path(path), images=images))


def find_kitti(path: Path) -> list[Path]:
    """The label_2 folders of a data set with a line of KITTI's in one of their first texts."""
    if path.is_file():
        return []
    labels = [folder / "label_2" for folder in folders_below(path, 1) if (folder / "label_2").is_dir()]
    return [folder for folder in labels if any(_fits(file) for file in _texts(folder)[:20])]


def _texts(labels: Path) -> list[Path]:
    return [file for folder in folders_below(labels, 1) for file in sorted(folder.glob("*.txt"))]


def _fits(file: Path) -> bool:
    try:
        with open(file, encoding="utf-8", errors="replace") as text:
            return len(text.readline().split()) in (15, 16)
    except OSError:
        return False


def kitti_draft(path: Path, *, images: str | Path | None = None) -> Draft:
    path = Path(os.path.abspath(path))
    folders = find_kitti(path)
    if not folders:
        raise DataError("expected KITTI's label_2/*.txt beside image_2/, there is none.", path=path)
    gathered, listing = ImageList("kitti", path, images), Listing()
    for labels in folders:
        for file in _texts(labels):
            inner = os.path.relpath(file.parent, labels)
            pictures = labels.parent / "image_2" / inner
            named = (file.stem + end for end in (".png", ".jpg", ".jpeg", ".PNG", ".JPG"))
            name = next((n for n in named if is_picture(n) and listing.has(pictures / n)), f"{file.stem}.png")
            split = split_of(inner) or split_of(labels.parent.name)
            row = gathered.add_image(name, pictures / file.name, split=split, group=inner, stated=file)
            _read(file, row, gathered)
    gathered.add_unlisted()
    return gathered.draft()


def _read(file: Path, row: int, gathered: ImageList) -> None:
    try:
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        what = f"it cannot be read ({reason_of(error)}); its image has no objects here."
        gathered.problems.append(Problem("unreadable annotation", what, str(file), left_out=True))
        return
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        if len(words) not in (15, 16):
            what = f"expected 15 values, got {len(words)} in {line.strip()[:60]!r}; the line is left out."
            sample_id = gathered.sample_id(row)
            gathered.problems.append(
                Problem("malformed line", what, str(file), number, sample_id, left_out=True)
            )
        elif words[0] == "DontCare":
            gathered.leave_out(row, "the region 'DontCare'", file, number)
        else:
            truncated, occluded, *box = (_number(words[k]) for k in (1, 2, 4, 5, 6, 7))
            gathered.add_object(
                row, words[0], box, file, number, truncated=truncated > 0, occluded=occluded >= 1
            )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
