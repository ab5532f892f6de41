"""Pictures that came as bytes (an upload, the clipboard) to a data set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset, Problem
from detector.data.images import IMAGE_SUFFIXES, read_image
from detector.errors import ImageError
from detector.paths import write_atomically

MAX_UPLOAD_BYTES = 40_000_000
"""Largest single picture taken."""
MAX_UPLOADS = 500
"""Most pictures taken at once."""


def dataset_from_uploads(
    files: Iterable[tuple[str, bytes]],
    folder: str | os.PathLike,
    *,
    max_bytes: int = MAX_UPLOAD_BYTES,
    max_files: int = MAX_UPLOADS,
) -> Dataset:
    """Store pictures under the hash of their content and make a data set of them.

    The name a browser sends decides nothing about where a file is written; it becomes the sample id (its last
    part). The same content twice is stored once and is one sample.

    Args:
        files: (name, content) of each.
        folder: where they are stored, made if need be.

    Returns:
        Unlabelled samples in the order given; what is too large, no picture, or there already is a problem
            and left out.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = Path(os.path.abspath(folder))
    seen: dict[str, str] = {}
    ids: list[str] = []
    paths: list[str] = []
    sizes: list[tuple[int, int]] = []
    problems: list[Problem] = []
    for position, (name, content) in enumerate(files):
        shown = os.path.basename(name.replace("\\", "/")).strip() or f"upload {position + 1}"

        def refuse(kind: str, message: str, shown=shown) -> None:
            problems.append(Problem(kind, message, shown, None, None, True))

        if position >= max_files:
            refuse("too many files", f"expected at most {max_files} pictures at once; this one is left out.")
            continue
        if len(content) > max_bytes:
            refuse(
                "file too large",
                f"expected at most {max_bytes / 1e6:g} MB, got {len(content) / 1e6:.1f} MB; it is left out.",
            )
            continue
        try:
            pixels = read_image(bytes(content))
        except ImageError as error:
            refuse("unreadable image", error.message)
            continue
        suffix = os.path.splitext(shown)[1].lower()
        digest = hashlib.sha256(content).hexdigest()[:32]
        target = folder / (digest + (suffix if suffix in IMAGE_SUFFIXES else ".img"))
        if digest in seen:
            refuse("duplicate file", f"it has the same content as {seen[digest]}; it is left out.")
            continue
        if not target.exists():
            write_atomically(target, bytes(content))
        sample_id, number = shown, 2
        while sample_id in ids:
            sample_id, number = f"{os.path.splitext(shown)[0]} ({number}){suffix}", number + 1
        seen[digest] = sample_id
        ids.append(sample_id)
        paths.append(str(target))
        sizes.append((pixels.shape[1], pixels.shape[0]))
    return Dataset(
        name="uploads",
        format="uploads",
        source=str(folder),
        class_map=ClassMap(()),
        sample_ids=ids,
        files=paths,
        sizes=np.array(sizes).reshape(-1, 2),
        labelled=np.zeros(len(ids), bool),
        problems=problems,
    )
