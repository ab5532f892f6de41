"""The slow half of looking for problems: every picture is opened and decoded."""

from __future__ import annotations

from collections.abc import Callable

from detector.data.dataset import Dataset, Problem
from detector.data.images import read_header, read_image
from detector.errors import ImageError


def decode_problem(file: str, sample_id: str | None = None) -> Problem | None:
    """What is wrong with one picture when it is decoded, or None."""
    try:
        read_image(file)
    except ImageError as error:
        kind = "truncated image" if "truncated" in error.message else "unreadable image"
        return Problem(kind, error.message, file, None, sample_id)
    return None


def check_images(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> list[Problem]:
    """Decode every picture of a data set and compare its size with the stated one.

    Args:
        progress: called with (done, total) after each picture.

    Returns:
        The problems found, in the order of the samples: "missing image", "unreadable image", "truncated
            image",
        "wrong size". Those that opening the data set had named are found again.
    """
    problems: list[Problem] = []
    total = len(dataset)
    for i, (file, sample_id) in enumerate(zip(dataset.files, dataset.sample_ids)):
        if file:
            problems += _check(file, sample_id, tuple(int(v) for v in dataset.sizes[i]))
        if progress is not None:
            progress(i + 1, total)
    return problems


def _check(file: str, sample_id: str, stated: tuple[int, ...]) -> list[Problem]:
    try:
        header = read_header(file)
    except ImageError as error:
        kind = "missing image" if "no such file" in error.message else "unreadable image"
        return [Problem(kind, error.message, file, None, sample_id)]
    found = [] if (fault := decode_problem(file, sample_id)) is None else [fault]
    if 0 not in stated and stated != header.size:
        said, real = f"{stated[0]}x{stated[1]}", f"{header.size[0]}x{header.size[1]}"
        found.append(
            Problem(
                "wrong size",
                f"the annotation states {said} pixels, the picture has {real}.",
                file,
                None,
                sample_id,
            )
        )
    return found
