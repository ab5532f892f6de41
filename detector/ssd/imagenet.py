"""Keras' ImageNet weights of a backbone, or one sentence that says which file to put where."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detector.errors import DownloadError

FOLDER = "models"
"""Where `keras.utils.get_file` keeps downloaded weights, below Keras' own folder."""


def keras_folder() -> Path:
    """Keras' own folder: $KERAS_HOME, else ~/.keras."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def imagenet_backbone(build: Callable[..., Any], name: str, **settings: Any) -> Any:
    """`build(weights="imagenet", **settings)`, a `keras.applications` network.

    Args:
        name: of the backbone, for the message.

    Raises:
        DownloadError: the file is not cached and cannot be downloaded, or is damaged; the message names the
            file and the folder it belongs in.
    """
    try:
        return build(weights="imagenet", **settings)
    except Exception as error:  # Keras raises a bare Exception where a download fails
        text = str(error)
        address = re.search(r"https?://[^\s:]+", text)
        if address is None and isinstance(error, ValueError) and "fetch" not in text:
            raise DownloadError(f"Keras has no ImageNet weights for this {name}: {_first(text)}") from error
        file = (
            address.group().rsplit("/", 1)[-1] if address else f"the weights of {name} without its top (.h5)"
        )
        raise DownloadError(
            f"start: imagenet needs {file}, which is not in {keras_folder() / FOLDER} and could not be"
            f" downloaded ({_first(text.rsplit(' -- ', 1)[-1])}); put the file there, or name it with `start`"
            " (--start FILE)."
        ) from error


def _first(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[0].rstrip(".")
