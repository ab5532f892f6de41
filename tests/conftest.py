"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pictures, networks and reference numbers; the test skips where it is absent."""
    folder = Path(os.environ.get("BOXSCOPE_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"reference material is not on this machine (looked in {folder}; set BOXSCOPE_SHARED)")
    return folder


@pytest.fixture(autouse=True)
def boxscope_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh data directory for each test, so that no test sees a user's runs."""
    home = tmp_path_factory.mktemp("boxscope-home")
    monkeypatch.setenv("BOXSCOPE_HOME", str(home))
    return home
