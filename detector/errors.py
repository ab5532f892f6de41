"""Every error Boxscope raises on purpose, in one tree.

    BoxscopeError
    ├── InputError         a value handed to a function is not what it asks for (also a ValueError)
    ├── DataError          a data set or annotation file cannot be used
    │   └── ImageError     one image cannot be read
    ├── ConfigError        a YAML or pipeline.config file says something it may not
    ├── ModelError         a detector cannot be loaded or run
    │   └── DownloadError  a model or sample set could not be fetched
    ├── CapabilityError    the detector exists but cannot do what was asked (no candidates, no gradients)
    ├── RunError           a stored run is missing, unfinished, broken or of another version
    ├── LawError           a conservation law does not hold: a bug in Boxscope, never the user's fault
    └── UnavailableError   an optional part (FiftyOne, a GPU, the network) is not there

A message is one sentence: what was expected, what came, in which file and line, what to do next.
The command line prints it as it is and exits with 1; a page shows it with its way out.
"""

from __future__ import annotations

import os

REASONS: dict[type[Exception], str] = {
    FileNotFoundError: "there is no such file or folder",
    FileExistsError: "there is something of this name already",
    NotADirectoryError: "a part of this path is a file, expected a folder",
    IsADirectoryError: "this is a folder, expected a file",
    UnicodeDecodeError: "it is no text in UTF-8",
}


def reason_of(error: Exception) -> str:
    """Why a file could not be read or written, in words that stand in the middle of a sentence, without its
    path.
    """
    words = REASONS.get(type(error)) or getattr(error, "strerror", None) or str(error) or type(error).__name__
    return words[:1].lower() + words[1:]


class BoxscopeError(Exception):
    """Base of every deliberate error.

    Args:
        message: one sentence for the user.
        path: the file it is about, if any; shown before the message.
        line: 1-based line in that file, if known.
    """

    def __init__(self, message: str, *, path: str | os.PathLike | None = None, line: int | None = None):
        self.message = message
        self.path = None if path is None else os.fspath(path)
        self.line = line
        super().__init__(message)

    def __str__(self) -> str:
        if self.path is None:
            return self.message
        where = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self.message}"


class InputError(BoxscopeError, ValueError):
    """A value handed to a function is not what it asks for."""


class DataError(BoxscopeError):
    """A data set or annotation file cannot be used."""


class ImageError(DataError):
    """One image cannot be read."""


class ConfigError(BoxscopeError):
    """A configuration file says something it may not."""


class ModelError(BoxscopeError):
    """A detector cannot be loaded or run."""


class DownloadError(ModelError):
    """A model or sample set could not be fetched; `reason` says why in a few words, where it is known."""

    reason: str = ""


class CapabilityError(BoxscopeError):
    """The detector cannot do what was asked of it."""


class RunError(BoxscopeError):
    """A stored run is missing, unfinished, broken or of another version."""


class LawError(BoxscopeError):
    """A conservation law does not hold."""


class UnavailableError(BoxscopeError):
    """An optional part is not there."""
