"""The road to FiftyOne and back in headless Chromium: push from the page, FiftyOne's App answers, a tag comes
home.
"""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request

import pytest

from tests.analysis.fiftyone_fixtures import need_fiftyone
from tests.app.conftest import ROOT
from tests.app.test_browser import page, pytestmark, server

__all__ = ["page", "pytestmark", "server"]  # fixtures, and the mark that skips without a browser

TAG = """
import sys, fiftyone as fo
dataset = fo.load_dataset(sys.argv[1])
sample = dataset.first()
sample.ground_truth.detections[0].tags.append("must-detect")
sample.save()
print(len(dataset), dataset.count("predictions.detections"))
"""


@pytest.fixture
def stopped_afterwards(boxscope_home):
    """FiftyOne's processes of this test's data directory end with it."""
    need_fiftyone()
    yield
    from analysis.fiftyone_bridge import stop

    stop()


def in_fiftyone(code: str, dataset: str) -> str:
    """Run code in a process that imports FiftyOne, connected to the running database."""
    from analysis.fiftyone.service import environment
    from analysis.fiftyone.service.server import start_database

    uri = environment.with_timeout(start_database())
    env = os.environ | environment.child_environment(uri)
    result = subprocess.run(
        [sys.executable, "-c", code, dataset], env=env, cwd=ROOT, capture_output=True, text=True, timeout=180
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout.strip().splitlines()[-1]


def test_pushed_from_the_page_tagged_there_and_brought_home(alone, stopped_afterwards, page, server):
    page.goto(f"{server}/fiftyone")
    page.get_by_role("button", name="Push").first.click()
    link = page.get_by_role("link", name="Open in FiftyOne")
    link.wait_for(timeout=240_000)
    address = link.get_attribute("href")
    assert b"<html" in urllib.request.urlopen(address, timeout=20).read().lower()
    name = page.locator("[data-testid=stAlert] strong").inner_text()
    assert in_fiftyone(TAG, name) == "4 7"

    page.get_by_role("button", name="Pull changes from FiftyOne").click()
    page.get_by_text("1 tag must-detect").wait_for(timeout=60_000)
    page.get_by_text("this run: 1 kept").wait_for()
    assert not page.locator("[data-testid=stException]").count()
