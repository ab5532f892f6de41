"""A FiftyOne of the tests' own: mongod in a temporary folder, started once a session, ended with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.fiftyone.service import environment, processes, server
from detector.errors import UnavailableError


def need_fiftyone() -> None:
    try:
        environment.need_fiftyone()
        environment.find_mongod()
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def fiftyone_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory whose database runs; FiftyOne itself is imported by `fo`, connected to it."""
    need_fiftyone()
    home = tmp_path_factory.mktemp("fiftyone-home")
    before = {
        k: os.environ.get(k) for k in ("BOXSCOPE_HOME", "FIFTYONE_DATABASE_URI", "BOXSCOPE_DATABASE_URI")
    }
    os.environ["BOXSCOPE_HOME"] = str(home)
    for key in ("FIFTYONE_DATABASE_URI", "BOXSCOPE_DATABASE_URI"):
        os.environ.pop(key, None)
    try:
        server.start_database()
    except UnavailableError as error:
        pytest.skip(f"mongod does not run here: {error}")
    record = server.state_file().read()["database"]
    yield home
    os.environ["BOXSCOPE_HOME"] = str(home)
    processes.stop(server.state_file().read().get("app"))
    processes.stop(record)
    for key, value in before.items():
        os.environ.pop(key, None) if value is None else os.environ.__setitem__(key, value)


@pytest.fixture
def fifty(fiftyone_home: Path, boxscope_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of the running database, for one test."""
    monkeypatch.setenv("BOXSCOPE_HOME", str(fiftyone_home))
    return fiftyone_home


@pytest.fixture
def fo(fifty: Path):
    """The fiftyone module of this process, connected to the tests' database; its data sets end with the
    test.
    """
    uri = environment.with_timeout(server.start_database())
    settings = {
        k: v
        for k, v in environment.child_environment(uri).items()
        if k.startswith(("FIFTYONE_", "BOXSCOPE_"))
    }
    kept = {k: os.environ.get(k) for k in settings}
    os.environ.update(settings)
    import fiftyone

    yield fiftyone
    for name in fiftyone.list_datasets():
        fiftyone.delete_dataset(name)
    for key, value in kept.items():
        os.environ.pop(key, None) if value is None else os.environ.__setitem__(key, value)
