"""The page Data in headless Chromium: figures, findings and reach open their pictures, by click and by
key.
"""

from __future__ import annotations

import pytest

from tests.app.test_browser import CHROMIUM, page, server, url_says  # noqa: F401 (fixtures)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"{CHROMIUM} is not there (Debian: apt install chromium)"
    ),
]


def test_from_figures_to_pictures(page, server, pictures):  # noqa: F811
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)
    page.set_default_timeout(60_000)
    page.goto(f"{server}/data")
    page.locator(".rows .row", has_text="dog").click()
    expect(page.locator(".crops .crop")).to_have_count(2)
    expect(page.locator(".crops .where")).to_have_text(["a.png", "c.png"])
    expect(page.locator(".drawing svg")).to_be_visible()

    # A finding by keyboard; its images beneath, its address in the URL; a picture of the run's opens on the
    # Image page.
    page.get_by_text("Findings", exact=True).click()
    url_says(page, "part=Findings")
    finding = page.locator(".findings .item", has_text="image without objects")
    finding.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".tile .name")).to_have_text(["d.png"])
    url_says(page, "finding=image+without+objects")
    expect(page.locator(".findings .item[aria-expanded=true]")).to_have_count(1)
    page.locator(".tile .open").click()
    page.locator(".viewer").wait_for()
    expect(page.locator(".viewer .name")).to_have_text("d.png")

    # Another data set: no run knows it, so its pictures open over the page.
    page.goto(f"{server}/data?of=On+this+machine&folder={pictures}/instances.json&part=Reach&input=64")
    page.locator(".rows .row", has_text="cat").first.wait_for()
    page.get_by_text("at 64x64").wait_for()
    page.locator(".rows .row:not([disabled])").first.click()
    page.locator(".crops button").first.click()
    expect(page.get_by_role("dialog").locator("img")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert not page.locator("[data-testid=stException]").count()
