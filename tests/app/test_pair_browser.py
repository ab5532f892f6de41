"""Compare, box by box, in headless Chromium: from the figures to a pair, its cause, and its image."""

from __future__ import annotations

import pytest

from tests.app.test_browser import CHROMIUM, page, server, url_says  # noqa: F401 (fixtures)
from tests.app.views.compare.test_pair_section import other_run  # noqa: F401 (fixture)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"{CHROMIUM} is not there (Debian: apt install chromium)"
    ),
]


def test_from_two_runs_to_a_lost_box_and_its_cause(other_run, page, server):  # noqa: F811
    from playwright.sync_api import expect

    expect.set_options(timeout=90_000)
    page.set_default_timeout(90_000)
    page.goto(f"{server}/compare?run=tiny&against=Another+run&other=second&pairing=Box+by+box")
    expect(page.locator(".pairs .pair")).to_have_count(3)
    expect(page.locator(".pairs .side").nth(3)).to_have_text("B: 0.40 below")
    expect(page.locator(".pairs .pair").nth(1).locator("rect.gone")).to_have_count(1)
    expect(page.locator(".pairs img").nth(5)).to_be_visible()

    # Kinds are chosen by pill, and stand in the address.
    page.get_by_test_id("stButtonGroup").get_by_text("gained", exact=True).click()
    expect(page.locator(".pairs .pair")).to_have_count(2)
    url_says(page, "pairs=lost")

    # The detectors of these runs are files' results: asking ends, and says so.
    page.get_by_role("button", name="Prove the causes").click()
    page.get_by_text("cannot be loaded again").first.wait_for()
    expect(page.locator(".pairs .why").nth(1)).to_contain_text("score (inferred)")

    page.locator(".pairs button").nth(1).click()
    expect(page.locator(".viewer .name")).to_have_text("a.png")
    expect(page.locator(".viewer rect.box").first).to_be_visible()
    assert not page.locator("[data-testid=stException]").count()
