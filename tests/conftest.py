"""Fixtures every test may use."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("detector.testing")  # before a test imports it

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("boxscope", deadline=None)
settings.load_profile("boxscope")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pictures, networks and reference numbers; the test skips where it is absent."""
    folder = Path(os.environ.get("BOXSCOPE_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"reference material is not on this machine (looked in {folder}; set BOXSCOPE_SHARED)")
    return folder


@pytest.fixture
def alone() -> Iterator[None]:
    """No other test that asks for it runs meanwhile, in whichever worker: FiftyOne's App and a browser fill
    two cores.
    """
    with open(Path(tempfile.gettempdir(), f"boxscope-tests-{os.getuid()}.lock"), "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@pytest.fixture(autouse=True)
def boxscope_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh data directory for each test, so that no test sees a user's runs."""
    home = tmp_path_factory.mktemp("boxscope-home")
    monkeypatch.setenv("BOXSCOPE_HOME", str(home))
    return home
