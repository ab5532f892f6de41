"""The Train page in headless Chromium: a tiny network on drawn pictures, started, stopped, trained to its
end, opened in the explorer.
"""

from __future__ import annotations

import pytest
import yaml

from app.jobs import process, trainings
from tests.app.jobs.test_trainings import voc_folder
from tests.app.test_browser import CHROMIUM, page, server  # noqa: F401 (fixtures)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"{CHROMIUM} is not there (Debian: apt install chromium)"
    ),
]
LONG = (
    600_000  # milliseconds: on a machine busy with twenty others TensorFlow alone took four minutes to import
)
RECIPE = {
    "name": "Shapes",
    "architecture": "ssd_mobilenet_v2",
    "input_size": [96, 64],
    "alpha": 0.1,
    "batch_size": 2,
    "learning_rate": 0.02,
    "train_split": "train",
    "val_split": "val",
    "steps": 100_000,
    "augment": [],
}


@pytest.fixture
def nothing_left(boxscope_home):
    """A training outlives its tab and its server; not this test."""
    yield
    for t in trainings.trainings():
        if t.live:
            process.terminate(t.folder, trainings.LOCK)


def test_a_training_from_start_to_the_explorer(page, server, boxscope_home, nothing_left):  # noqa: F811
    from playwright.sync_api import expect

    expect.set_options(timeout=LONG)
    page.set_default_timeout(LONG)
    data = voc_folder(boxscope_home / "drawn")
    (boxscope_home / "shapes.yaml").write_text(yaml.safe_dump(RECIPE | {"data": str(data)}))
    page.goto(f"{server}/train")
    page.locator(".st-key-recipe input").click()
    page.get_by_role("option", name="A file on this machine").click()
    page.get_by_label("Recipe's path").fill("shapes.yaml")
    page.get_by_label("Recipe's path").press("Enter")
    page.get_by_text("3 images with 6 objects of 3 classes to train on").wait_for()
    page.get_by_role("spinbutton", name="Batch size").fill("0")
    page.get_by_role("spinbutton", name="Batch size").press("Enter")
    page.get_by_text("batch_size: expected at least 1, got 0.").wait_for()
    page.get_by_role("spinbutton", name="Batch size").fill("2")
    page.get_by_role("spinbutton", name="Batch size").press("Enter")
    expect(page.get_by_text("batch_size: expected")).to_have_count(0)
    page.get_by_text("3 images with 6 objects of 3 classes to train on").wait_for()
    page.get_by_role("button", name="Start training").click()
    page.locator("strong", has_text="shapes").wait_for()

    # It runs in a process of its own: another tab sees it too, with a curve after ten steps.
    page.get_by_text("images/s").wait_for()
    page.reload()
    page.locator(".lines path.line").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Resume").wait_for()
    page.get_by_text("stopped · step").wait_for()

    # A short one to its end: figures, the run on the held-out split, its images.
    page.get_by_text("New training", exact=True).click()
    page.locator(".st-key-recipe input").click()
    page.get_by_role("option", name="A file on this machine").click()
    page.get_by_label("Recipe's path").fill("shapes.yaml")
    page.get_by_label("Recipe's path").press("Enter")
    page.get_by_role("spinbutton", name="Steps", exact=True).fill("2")
    page.get_by_role("spinbutton", name="Steps", exact=True).press("Enter")
    page.get_by_text("2 steps of 2 are 1.3 times each").wait_for()
    page.get_by_role("button", name="Start training").click()
    page.get_by_text("done · step 2 of 2").wait_for()
    page.get_by_role("button", name="Open in the explorer").wait_for()
    page.locator(".tile").first.wait_for()
    page.get_by_role("button", name="Open in the explorer").click()
    page.wait_for_function("() => !location.pathname.includes('train')")
    expect(page.locator(".tile")).to_have_count(1)
    expect(page.locator(".tile .name")).to_contain_text("3")
    assert not page.locator("[data-testid=stException]").count()
