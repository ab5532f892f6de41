"""Every page through AppTest: what it shows at a known operating point, what a link restores, that sessions
keep apart.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.app.conftest import APP, ROOT, component, no_trouble

PAGES = [
    "views/gallery/page.py",
    "views/image/page.py",
    "views/mistakes/page.py",
    "views/thresholds/page.py",
    "views/compare/page.py",
    "views/groups/page.py",
    "views/labels/page.py",
    "views/data/page.py",
    "views/detect/page.py",
    "views/fiftyone/page.py",
]


def strip_of(at) -> tuple[int, int, int]:
    now = component(at, "strip")
    return now["objects"], now["now"]["correct"], now["now"]["wrong"]


@pytest.mark.parametrize("page", PAGES)
def test_page_opens_and_has_the_counts_on_top(page, app, tiny_run):
    at = app(page)
    no_trouble(at)
    assert strip_of(at) == (4, 2, 3)


def test_first_page_needs_neither_tensorflow_nor_fiftyone(tiny_run, boxscope_home):
    """In a process of its own, where no other test has imported anything."""
    code = f"""
import sys
from streamlit.testing.v1 import AppTest
at = AppTest.from_file({str(APP)!r}, default_timeout=60).run()
for page in {PAGES!r}:
    at.switch_page(page).run()
    assert not at.exception and not at.error, (page, at.exception, at.error)
heavy = {{"tensorflow", "keras", "fiftyone", "torch", "tensorflow_hub", "matplotlib"}} & set(sys.modules)
sys.exit(repr(heavy) if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def test_moving_the_threshold_moves_the_counts(app, tiny_run):
    at = app()
    at.slider(key="conf").set_value(0.25).run()
    no_trouble(at)
    assert strip_of(at) == (4, 3, 3)
    at.slider(key="conf").set_value(0.95).run()
    assert strip_of(at) == (4, 0, 0)


def test_the_curve_follows_the_slider_exactly(app, tiny_run):
    curve = component(app(), "strip")["curve"]
    assert (curve["correct"][25], curve["wrong"][25]) == (3, 3)
    assert (curve["correct"][30], curve["correct"][31]) == (3, 2), "0.30 still passes a score of 0.3"
    assert (curve["correct"][70], curve["wrong"][70]) == (2, 1)
    assert (curve["correct"][71], curve["wrong"][71], curve["detections"][100]) == (1, 1, 0)


def test_a_class_narrows_counts_and_images(app, tiny_run):
    at = app()
    at.multiselect(key="classes").set_value(["cat"]).run()
    no_trouble(at)
    assert strip_of(at) == (2, 1, 1)
    assert [t["name"] for t in component(at, "grid")["tiles"]] == ["b.png", "a.png"]
    at.segmented_control(key="mode").set_value("none").run()
    no_trouble(at)
    assert [t["name"] for t in component(at, "grid")["tiles"]] == ["c.png", "d.png"]
    assert strip_of(at) == (1, 1, 1)
    assert component(at, "strip")["curve"] is None, "which images hold no cat depends on the threshold"


def test_gallery_is_worst_first_and_says_what_it_leaves_out(app, tiny_run):
    at = app("views/gallery/page.py")
    assert [t["name"] for t in component(at, "grid")["tiles"]] == ["b.png", "a.png", "c.png", "d.png"]
    at.pills(key="show").set_value(["missed"]).run()
    no_trouble(at)
    assert [t["name"] for t in component(at, "grid")["tiles"]] == ["b.png", "a.png"]
    assert any("**2** of 4 images · left out: 2 by verdict" in m.value for m in at.markdown)
    at.pills(key="show").set_value(["all correct"]).run()
    assert [t["name"] for t in component(at, "grid")["tiles"]] == ["d.png"]


def test_a_filter_without_a_match_says_so(app, tiny_run):
    at = app("views/gallery/page.py")
    at.text_input(key="name").set_value("zebra").run()
    no_trouble(at)
    assert any("No image matches" in m.value for m in at.markdown)


def test_a_link_restores_the_view(app, tiny_run):
    at = app(
        "views/image/page.py",
        run="tiny",
        conf="0.25",
        iou="0.8",
        classes="dog",
        mode="all",
        image="3",
        object="t4",
    )
    no_trouble(at)
    viewer = component(at, "viewer")
    assert (viewer["name"], viewer["threshold"], viewer["iou"], viewer["shown"]) == ("c.png", 0.25, 0.8, [1])
    assert viewer["selected"] == {"side": "truth", "index": 0}
    assert at.segmented_control(key="mode").value == "all"


def test_an_unreadable_link_is_no_trouble(app, tiny_run):
    at = app(
        "views/image/page.py",
        run="gone",
        conf="lots",
        iou="7",
        classes="unicorn",
        image="../../etc/passwd",
        object="dx",
    )
    no_trouble(at)
    assert component(at, "viewer")["name"] == "b.png", "the worst image stands in"
    assert any("names the run gone, which is not here" in w.value for w in at.sidebar.warning)


def test_a_sentence_reads_as_it_was_meant():
    """Stars of a file name are no italics, and a user's text starts no directive; code stays code."""
    from app.frame.components import plain

    assert (
        plain("annotations/*.json (`boxscope doctor *.json`)")
        == r"annotations/\*.json (`boxscope doctor *.json`)"
    )
    assert plain("_x_ of a_b for $5 or $6") == r"\_x\_ of a_b for \$5 or \$6"
    assert plain(":red[<b>] [a](b) ~~no~~") == r"\:red[\<b>] \[a](b) \~~no\~~"
    assert plain("steps: expected at least 1, got [0].") == "steps: expected at least 1, got [0]."


def test_two_sessions_do_not_disturb_each_other(app, tiny_run):
    one, two = app(), app()
    one.slider(key="conf").set_value(0.25).run()
    two.multiselect(key="classes").set_value(["dog"]).run()
    one.run()
    two.run()
    assert strip_of(one) == (4, 3, 3)
    assert strip_of(two) == (2, 1, 2)


def test_image_page_tells_what_became_of_an_object(app, tiny_run):
    at = app("views/image/page.py", image="nowhere.jpg")
    no_trouble(at)
    assert "names the image nowhere.jpg, which this run does not have" in at.warning[0].value
    at.run()
    assert not at.warning, "said once"
    at = app("views/image/page.py", image="1")
    no_trouble(at)
    at.session_state["selected"] = {"side": "truth", "index": 1}
    at.run()
    no_trouble(at)
    words = " ".join(m.value for m in at.markdown) + " ".join(c.value for c in at.caption)
    assert "A **dog** was found here at 0.30" in words and "cut by the threshold 0.50" in words
    assert "1 more object is found and 0 more false positives are counted" in words
    at.button[-1].click().run()
    assert at.session_state["conf"] == 0.3


def test_a_broken_picture_is_a_sentence(app, tiny_run, pictures):
    (pictures / "images" / "b.png").write_bytes(b"not a picture")
    at = app("views/image/page.py", image="2")
    no_trouble(at)
    assert "cannot be shown" in component(at, "viewer")["error"]
    at = app("views/gallery/page.py")
    no_trouble(at)
    assert component(at, "grid")["urls"][0] == "" and component(at, "grid")["errors"][0]


def test_a_broken_run_leaves_the_page_standing(app, tiny_run):
    (tiny_run / "truth.parquet").write_bytes(b"PAR1 no")
    at = app()
    assert not at.exception
    assert (
        at.error[0].value.startswith("`truth.parquet`: This file of the run is broken") and len(at.error) == 1
    )
    assert str(tiny_run) not in at.error[0].value, "where it lies is behind the details"


def test_fiftyone_page_says_what_is_missing(app, tiny_run, monkeypatch):
    import streamlit as st

    from analysis.fiftyone.service.server import Connection

    st.cache_data.clear()
    monkeypatch.setattr(
        "analysis.fiftyone_bridge.status", lambda: Connection("unavailable", "FiftyOne is not installed; x.")
    )
    at = app("views/fiftyone/page.py")
    no_trouble(at)
    assert any("not installed" in m.value for m in at.markdown)
    assert all(b.disabled for b in at.button if "Push" in b.label or "Start" in b.label)


def test_without_a_run_every_page_says_what_fills_it(app, monkeypatch):
    monkeypatch.setattr("app.frame.first_start.make_on_first_start", lambda: None)
    for page in PAGES:
        at = app(page)
        no_trouble(at)
    assert any("Nothing to push yet" in m.value for m in at.markdown)
