"""FiftyOne's App in headless Chromium: the pushed data set, its colours, the Model Evaluation panel,
links.
"""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest

from analysis.fiftyone.service import server
from analysis.fiftyone.service.links import app_link, slug
from analysis.fiftyone_bridge import launch, push_in_process, sample_link
from analysis.runs.store import open_run
from tests.analysis.fiftyone_runs import store_run

CHROMIUM = "/usr/bin/chromium"


def test_links():
    assert app_link(5152) == "http://127.0.0.1:5152"
    assert (
        app_link(5152, "two words", view="Mistakes as patches", sample="ab")
        == "http://127.0.0.1:5152/datasets/two%20words?view=mistakes-as-patches&id=ab"
    )
    assert (
        slug("Brian's #$&@ (Awesome?) Dataset!") == "brians-awesome-dataset"
        and slug("c+o+c+o 2-0-1-7") == "c-o-c-o-2-0-1-7"
    )


def open_evaluation(page, playwright) -> None:
    """Click our evaluation until its card opens: while the panel still loads, a click is lost."""
    for patience in (10_000, 20_000, 60_000):
        page.get_by_text("eval", exact=True).first.click(timeout=60_000)
        try:
            page.get_by_text("IoU Threshold").wait_for(timeout=patience)
            return
        except playwright.TimeoutError:
            continue
    page.get_by_text("IoU Threshold").wait_for(timeout=1_000)


@pytest.mark.browser
def test_the_app_shows_the_push(alone, fifty, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is absent")
    run = store_run(tmp_path / "run", tmp_path / "pictures", images=6, seed=3, objects=5)
    push_in_process(run, name="In the App")
    url = launch("In the App")
    assert server.status().state == "ready" and server.status().app_url in url
    with urllib.request.urlopen(f"{server.status().app_url}/fiftyone") as answer:
        assert json.load(answer)["version"] == server.status().version
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        failures: list[str] = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        # FiftyOne's advertisement may come at any time and swallow a click.
        page.add_locator_handler(
            page.get_by_text("Dismiss"), lambda shown: shown.first.evaluate("e => e.click()")
        )  # also from behind a dialogue
        page.goto(launch("In the App", workspace="Model evaluation"))
        page.get_by_text("6 samples").first.wait_for(timeout=60_000)
        open_evaluation(page, playwright)
        shown = page.inner_text("body")
        assert "True Positives" in shown and "AP (every score)" in shown
        assert not failures, failures
        page.screenshot(path=tmp_path / "evaluation.png")
        page.goto(sample_link(open_run(run), "s2", name="In the App"))
        page.get_by_text("picture 0002.jpg").first.wait_for(timeout=30_000)
        page.keyboard.press("Backquote")  # FiftyOne's list of operators
        page.keyboard.type("Explain in Boxscope", delay=20)
        page.wait_for_timeout(500)
        page.keyboard.press("Enter")
        link = page.get_by_role("link", name="Image s2")
        link.wait_for(timeout=30_000)
        assert "/image?run=run&" in link.get_attribute("href") and "image=s2" in link.get_attribute("href")
        page.goto(launch("In the App", view="Mistakes as patches"))
        page.get_by_text(re.compile(r"\d+ patches")).first.wait_for(timeout=60_000)
        browser.close()
