"""Compare: flips, parts and totals by hand; the page on two settings and on two runs."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from analysis.mistakes.compare import compare
from analysis.runs.store import open_run
from app.views.compare import changes
from tests.app.conftest import component, no_trouble, write_run

PAGE = "views/compare/page.py"


@pytest.fixture
def run(tiny_run):
    return open_run(tiny_run)


def test_a_lower_threshold_gains_the_dog(run):
    c = compare(run, threshold=0.5, threshold_b=0.25)
    rows = changes.flips(c, ("gained", "lost"))
    table = changes.table(c, rows)
    assert [table[k].tolist() for k in ("change", "image", "class", "before", "after")] == [
        ["gained"],
        ["1"],
        ["dog"],
        [0.3],
        [0.3],
    ]
    assert len(changes.flips(c, ())) == 0 and len(changes.flips(c, ("lost",))) == 0
    assert len(changes.flips(c, ("gained",), within=np.zeros(4, bool))) == 0
    assert "costs and buys" in changes.verdict(c)
    line = next(csv.DictReader(io.StringIO(changes.as_csv(c, rows))))
    assert (line["sample"], line["object"], line["change"], line["x1"]) == ("1", "2", "gained", "50")
    assert line["before"].startswith("confidence ≥ 0.50") and line["after"].startswith("confidence ≥ 0.25")


def test_two_equal_sides_are_called_equal(run):
    same = compare(run, threshold=0.5, threshold_b=0.5001)
    assert (
        changes.verdict(same)
        == "Not one object changed, and no image has more or fewer false alarms (false positives)."
    )
    assert [str(side.point).split(" · ")[0] for side in (same.a, same.b)] == [
        "confidence ≥ 0.50",
        "confidence ≥ 0.5001",
    ]


def test_parts_count_flips_and_recall(run):
    t = run.truth
    c = compare(run, threshold=0.5, threshold_b=0.25)
    cat, dog = (
        next(
            r
            for r in changes.by_part(
                c, {("class", n): t.class_ids == k for k, n in enumerate(("cat", "dog"))}
            )
            if r["part"] == n
        )
        for n in ("cat", "dog")
    )
    assert (cat["objects"], cat["before"], cat["after"], cat["gained"]) == (2, 50.0, 50.0, 0)
    assert (dog["objects"], dog["before"], dog["after"], dog["net"]) == (2, 50.0, 100.0, 1)
    assert changes.by_part(c, {("size", "huge"): np.zeros(4, bool)}) == []


def test_a_score_never_seems_to_pass_the_threshold_it_misses(run):
    c = compare(run, threshold=0.5, threshold_b=0.25)
    object.__setattr__(c, "score_a", np.where(c.state == 1, np.float32(0.497), c.score_a))
    assert changes.table(c, changes.flips(c, ("gained",)))["before"].tolist() == [0.49]


def test_the_page_shows_both_pictures_of_a_flip(app, tiny_run):
    at = app(PAGE, conf="0.25")
    at.session_state["against"] = "Another threshold"
    at.run()
    at.slider(key="conf_after").set_value(0.5).run()
    no_trouble(at)
    assert any("objects: **0** gained, **1** lost · correct 3 → **2** (-1)" in m.value for m in at.markdown)
    viewers = [v for v in at.get("bidi_component") if v.proto.component_name == "boxscope_viewer"]
    assert len(viewers) == 2
    data = component(at, "viewer")
    assert (
        data["name"] == "a.png"
        and data["selected"] == {"side": "truth", "index": 1}
        and data["dets"]["cuts"] == [0.25, 0.25]
    )
    assert any("missed; a fitting box has 0.30, below the threshold" in m.value for m in at.markdown)


@pytest.mark.parametrize("way", ["Stricter NMS", "Another IoU", "Another run"])
def test_every_way_to_compare_answers(way, app, tiny_run):
    at = app(PAGE)
    at.session_state["against"] = way
    at.run()
    no_trouble(at)
    if way == "Stricter NMS":
        assert any("wrong 3 → **2** (-1)" in m.value for m in at.markdown), "the second dog of c.png falls"
    if way == "Another run":
        assert any("no other run over this data set" in c.value for c in at.caption)


def test_another_run_over_the_same_images(app, tiny_run, pictures, boxscope_home, monkeypatch):
    from detector import load_dataset
    from tests.app import conftest

    better = dict(conftest.DETECTIONS)
    better[1] = [("cat", (10, 20, 50, 60), 0.95)]
    monkeypatch.setattr(conftest, "DETECTIONS", better)
    write_run(load_dataset(pictures / "instances.json"), boxscope_home / "runs" / "better", "second")
    at = app(PAGE, run="tiny", against="Another run")
    no_trouble(at)
    assert any(
        "objects: **1** gained, **0** lost · correct 2 → **3** (+1) · wrong 3 → **1** (-2)" in m.value
        for m in at.markdown
    )
    assert any("by second" in c.value or "second" in c.value for c in at.caption)
