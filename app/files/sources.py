"""Opening a data set by what a person types: a path, a named sample set, the demo, or `fiftyone://name`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from app.files.demo import NAME, SCENES
from app.files.roots import inside_roots
from detector.errors import InputError

if TYPE_CHECKING:
    from detector.data.dataset import Dataset

FIFTYONE = "fiftyone://"


def open_source(
    text: str, *, say: Callable[[str], None] | None = None, images: Path | None = None
) -> Dataset:
    """The data set behind a text.

    `fiftyone://name?field=ground_truth&view=night` takes one that lives in FiftyOne: its label field, and one
    of its saved views, may be named. Everything else is as `detector.load_dataset` reads it.

    Args:
        say: told what goes on; images: the folder with the pictures, where it is not in a usual place.

    Raises:
        InputError: an unknown word after the question mark, or `images` for FiftyOne. DataError,
            UnavailableError: it cannot be opened.
    """
    if not text.startswith(FIFTYONE):
        from detector import load_dataset

        return load_dataset(text, images=images)
    from analysis.fiftyone.pull.dataset import dataset_from_fiftyone

    if images is not None:
        raise InputError(
            f"{text}: FiftyOne knows where its pictures are; leave the folder of pictures out ({images})."
        )
    place, _, query = text.partition("?")
    words = parse_qs(urlsplit(f"?{query}").query, keep_blank_values=True)
    unknown = set(words) - {"field", "view"}
    if unknown:
        raise InputError(
            f"{text}: expected field= and view= after the question mark, got {', '.join(sorted(unknown))}=."
        )
    return dataset_from_fiftyone(place, **{key: values[-1] for key, values in words.items()}, say=say)


def open_data(path: str) -> Dataset:
    """The data set at a path, or the demo; every picture it names must lie inside the server's roots.

    Raises:
        DataError: it cannot be read, or an annotation file points outside.
    """
    if path == NAME:
        from detector.data.samples.scenes import demo_dataset
        from detector.paths import data_dir

        return demo_dataset(data_dir("demo"), count=SCENES)
    dataset = open_source(path)
    inside_roots(dataset)
    return dataset
