"""Mistakes, Thresholds and Compare in headless Chromium: from a figure down to its boxes, by click and by
key.
"""

from __future__ import annotations

import pytest

from tests.app.test_browser import CHROMIUM, page, server, strip_says, url_says  # noqa: F401 (fixtures)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"{CHROMIUM} is not there (Debian: apt install chromium)"
    ),
]


def test_from_figures_to_boxes(page, server, boxscope_home):  # noqa: F811
    from playwright.sync_api import expect

    expect.set_options(timeout=30_000)
    # A cell of the matrix, its crop, the object on the Image page.
    page.goto(f"{server}/mistakes?look=Confusion")
    page.get_by_title("1 of 2 cat objects were taken for dog").click()
    expect(page.locator(".crops .crop")).to_have_count(1)
    expect(page.locator(".crops .name")).to_have_text("cat → dog")
    expect(page.locator(".crops rect.box")).to_have_count(2)
    url_says(page, "boxes=cell%2Fcat%2Fdog")
    page.locator(".crops button").click()
    page.locator(".viewer rect.box").first.wait_for()
    expect(page.locator(".viewer .name")).to_have_text("b.png")
    page.get_by_text("is a false alarm (a false positive)").wait_for()

    # A kind of mistake by keyboard.
    page.get_by_role("link", name="Mistakes").click()
    page.get_by_text("Kinds", exact=True).click()
    page.locator(".rows .row", has_text="duplicate").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".crops .where")).to_have_text("c.png")

    # The line of the curves is the slider: drawings follow while it moves, Python when it rests.
    page.get_by_role("link", name="Thresholds").click()
    line = page.get_by_role("slider", name="Confidence threshold")
    line.focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    expect(line).to_have_attribute("aria-valuetext", "0.30")
    url_says(page, "conf=0.3")
    expect(page.locator(".strip .point")).to_contain_text("≥ 0.30")
    strip_says(page, "4 objects 3 correct 3 wrong 1 missed")
    expect(page.locator(".st-key-conf input[type=range]")).to_have_attribute("aria-valuetext", "0.30")

    # A threshold for each class, suggested, saved, followed.
    page.get_by_role("button", name="Suggest").click()
    page.get_by_text("With these:").wait_for()
    page.get_by_label("Save as").fill("by class")
    page.get_by_label("Save as").press("Tab")
    page.get_by_role("button", name="Save and use everywhere").click()
    url_says(page, "cuts=by+class")
    page.get_by_text("per class: by class").wait_for()
    assert (boxscope_home / "thresholds" / "by class.yaml").exists()
    page.get_by_role("link", name="Gallery").click()
    page.locator(".tile", has_text="b.png").wait_for()
    expect(page.locator(".tile", has_text="b.png").locator(".tallies")).to_have_text(
        "001", use_inner_text=False
    )

    # Compare: what the saved thresholds change against another number, both pictures of a flip.
    page.goto(f"{server}/compare?against=Another+threshold&conf=0.5&conf_after=0.25")
    page.locator(".viewer rect.box").nth(2).wait_for()
    expect(page.locator(".viewer")).to_have_count(2)
    expect(page.locator(".viewer").nth(0).locator("rect.box.missed")).not_to_have_count(0)
    page.get_by_text("objects: 1 gained, 0 lost").wait_for()
    page.get_by_role("button", name="Open this image").click()
    expect(page.locator(".viewer")).to_have_count(1)
    expect(page.locator(".viewer .name")).to_have_text("a.png")
    assert not page.locator("[data-testid=stException]").count()
