"""Addresses: of a data set, a sample or a saved view in FiftyOne's App, and of an image or an object in
ours.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlencode

DEFAULT_APP_PORT = 5151
DEFAULT_PAGES = "http://localhost:8501"


def app_link(
    port: int = DEFAULT_APP_PORT,
    dataset: str | None = None,
    *,
    sample: str | None = None,
    view: str | None = None,
    workspace: str | None = None,
) -> str:
    """The address in FiftyOne's App.

    Args:
        port: of the App on this machine.
        dataset: a data set's name; without one, the App's start page.
        sample: a sample's FiftyOne id (24 hex digits): opens that sample (`?id=`, as the App 1.x reads it).
        view: a saved view's name: opens the data set through it (`?view=` takes its slug).
        workspace: a saved workspace's name: opens its panels ("Model evaluation" is one of each push).
    """
    base = f"http://127.0.0.1:{port}"
    if dataset is None:
        return base
    query = {
        key: value
        for key, value in (
            ("view", view and slug(view)),
            ("workspace", workspace and slug(workspace)),
            ("id", sample),
        )
        if value
    }
    return f"{base}/datasets/{quote(dataset)}" + (f"?{urlencode(query)}" if query else "")


def slug(name: str) -> str:
    """A name as FiftyOne writes it in an address: lower case, words joined by one "-".

    Blanks and the signs + _ . - become "-"; anything else but the letters a-z and digits is dropped.
    """
    text = re.sub(r"[\s+_.-]", "-", name.lower())
    return re.sub(r"-+", "-", re.sub(r"[^a-z0-9-]", "", text)).strip("-")


def page_link(
    base: str,
    run: str,
    sample_id: str,
    *,
    detection: int | None = None,
    object_id: int | None = None,
    threshold: float | None = None,
    iou: float | None = None,
) -> str:
    """The address of our *Image* page for a sample, or for one detection or ground-truth object of it.

    Args:
        base: where our app answers, e.g. "http://localhost:8501".
        run: the run's name as the app knows it (its folder's name).
        detection: the detection's place among those of its image, best score first, from 0.
        object_id: the ground-truth object's id.
    """
    query: dict[str, str] = {"run": run}
    if threshold is not None:
        query["conf"] = f"{threshold:g}"
    if iou is not None:
        query["iou"] = f"{iou:g}"
    query["image"] = sample_id
    if detection is not None:
        query["object"] = f"d{detection}"
    elif object_id is not None:
        query["object"] = f"t{object_id}"
    return f"{base.rstrip('/')}/image?{urlencode(query)}"
