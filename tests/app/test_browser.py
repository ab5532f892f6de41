"""The app in headless Chromium: a real server, a real page, clicks and keys. Skips where there is no
browser.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.app.conftest import ROOT

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"{CHROMIUM} is not there (Debian: apt install chromium)"
    ),
]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def server(tiny_run, boxscope_home):
    """`streamlit run app` from the repository root, without PYTHONPATH, on the tiny run; yields its
    address.
    """
    port = free_port()
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"BOXSCOPE_HOME": str(boxscope_home)}
    log = boxscope_home / "server.log"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "streamlit",
                "run",
                "app",
                "--server.port",
                str(port),
                "--server.headless",
                "true",
            ],
            cwd=ROOT,
            env=env,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        for _ in range(150):
            try:
                urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=1).read()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.2)
        yield f"http://localhost:{port}"
        assert "Traceback" not in log.read_text(), log.read_text()[-3000:]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


@pytest.fixture
def page(server):
    """A page of a 1280x800 window; at the end nothing may stand in its console."""
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(45_000)
        trouble, asked = [], []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on(
            "console", lambda m: trouble.append(m.text) if m.type == "error" and "404" not in m.text else None
        )
        page.on("request", lambda r: asked.append(r.url))
        # Streamlit itself looks for its own address beside the page's and gets one 404 each; no other is
        # allowed.
        page.on(
            "response",
            lambda r: (
                trouble.append(f"{r.status} {r.url}")
                if r.status >= 400 and "/_stcore/" not in r.url
                else None
            ),
        )
        yield page
        browser.close()
        assert not trouble
        assert all(
            url.startswith((server, server.replace("http", "ws"), "data:", "blob:")) for url in asked
        ), "it asked the network"


def url_says(page, text: str) -> None:
    page.wait_for_function("text => location.search.includes(text)", arg=text)


def steady_box(locator) -> dict[str, float]:
    """Where it stands; a drawing is redone at every move, so the first answer may be of one that is gone."""
    for _ in range(100):
        if box := locator.bounding_box():
            return box
        time.sleep(0.05)
    raise AssertionError("it never stood still")


def strip(page) -> str:
    return " ".join(page.locator(".strip").inner_text().split())


def strip_says(page, text: str) -> None:
    """The counts come with the answer, a moment after the address."""
    for _ in range(100):
        if strip(page).startswith(text):
            return
        time.sleep(0.1)
    assert strip(page).startswith(text), strip(page)


def test_the_way_through_the_app(page, server, pictures):
    from playwright.sync_api import expect

    expect.set_options(timeout=30_000)
    page.goto(server)
    page.locator(".tile").first.wait_for()
    strip_says(page, "4 objects 2 correct 3 wrong 2 missed 40.0 % precision 50.0 % recall")
    assert [t.strip() for t in page.locator(".tile .name").all_inner_texts()] == [
        "b.png",
        "a.png",
        "c.png",
        "d.png",
    ]

    # The threshold: counts and drawings follow while the handle moves, Python when it is released.
    handle = page.locator(".st-key-conf input[type=range]")
    for _ in range(20):
        handle.press("ArrowLeft")
    url_says(page, "conf=0.3")
    strip_says(page, "4 objects 3 correct 3 wrong 1 missed")

    # A class.
    page.locator(".st-key-classes input").click()
    page.get_by_role("option", name="dog").click()
    page.keyboard.press("Escape")
    url_says(page, "classes=dog")
    expect(page.locator(".tile")).to_have_count(3)

    # An image, its boxes, the next one, the threshold by key, a box by click.
    page.locator(".tile", has_text="c.png").locator(".open").click()
    page.locator(".viewer rect.box").first.wait_for()
    url_says(page, "image=3")
    expect(page.locator(".viewer .name")).to_have_text("c.png")
    expect(page.locator(".viewer rect.box.duplicate")).to_have_count(1)
    expect(page.locator(".viewer rect.box.correct")).to_have_count(1)
    page.keyboard.press("+")
    expect(page.locator(".viewer .conf output")).to_have_text("0.35")
    url_says(page, "conf=0.35")
    box = steady_box(page.locator(".viewer rect.box.correct"))
    page.mouse.click(box["x"] + 1, box["y"] + box["height"] / 2)
    page.get_by_text("is correct (a true positive)").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    expect(page.locator(".viewer rect.box.found")).to_have_count(0)

    # The same by the mouse: every button above the picture does what it says.
    page.locator(".viewer [data-a=truth]").click()
    expect(page.locator(".viewer [data-a=truth]")).to_have_attribute("aria-pressed", "true")
    page.locator(".viewer [data-a=below]").click()
    expect(page.locator(".viewer [data-a=below]")).to_have_attribute("aria-pressed", "true")
    page.locator(".viewer [data-a=help]").click()
    expect(page.locator(".viewer .help")).to_be_visible()
    page.locator(".viewer [data-a=help]").click()
    expect(page.locator(".viewer .help")).to_be_hidden()
    page.locator(".viewer [data-a=heat]").click()
    expect(page.locator(".viewer [data-a=heat]")).to_have_attribute("aria-pressed", "true")
    page.get_by_text("Confidence", exact=False).first.wait_for()
    page.locator(".viewer [data-a=heat]").click()
    expect(page.locator(".viewer [data-a=heat]")).to_have_attribute("aria-pressed", "false")
    page.locator(".viewer [data-a=preds]").click()
    expect(page.locator(".viewer rect.box.correct")).to_have_count(0)
    page.locator(".viewer [data-a=preds]").click()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".viewer .name")).not_to_have_text("c.png")

    # A link into another browser session shows the same.
    address = page.url
    other = page.context.browser.new_page()
    other.goto(address)
    expect(other.locator(".viewer .conf output")).to_have_text("0.35", timeout=30_000)
    expect(other.locator(".viewer .name")).to_have_text(page.locator(".viewer .name").inner_text())
    other.close()

    # An own picture.
    page.get_by_role("link", name="Detect").click()
    page.locator("input[type=file]").first.set_input_files([str(pictures / "images" / "a.png")])
    page.get_by_text("1 images").wait_for()
    assert not page.locator("[data-testid=stException]").count()
