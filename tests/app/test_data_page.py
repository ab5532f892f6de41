"""The page Data through AppTest: figures, findings with their pictures, reach, another data set, the fixed
copy.
"""

from __future__ import annotations

import json
import threading
import time

import pytest

from app.views.data import picture_scan
from app.views.data.payloads import boxes_of_finding, dataset_of_run, images_of_finding, key_of
from detector import load_dataset
from tests.app.conftest import component, no_trouble

PAGE = "views/data/page.py"


@pytest.fixture(autouse=True)
def nothing_read_before():
    picture_scan.forget()


def kinds(at) -> dict[str, int]:
    return {f["kind"]: f["count"] for f in component(at, "findings")["findings"]}


def test_the_runs_own_data(app, tiny_run):
    at = app(PAGE)
    no_trouble(at)
    rows = component(at, "rows")["rows"]
    assert [(r["name"], r["count"], r["value"]) for r in rows] == [("cat", "2", "2"), ("dog", "2", "2")]
    assert "<title>1: 2, 50.0 %</title>" in component(at, "drawing")["svg"], "two images hold one object"


def test_a_class_opens_its_objects(app, tiny_run):
    at = app(PAGE)
    at.session_state["data_class"] = "dog"
    at.run()
    no_trouble(at)
    crops = component(at, "crops")["crops"]
    assert [(c["name"], c["where"], c["score"]) for c in crops] == [
        ("dog", "a.png", "30x40"),
        ("dog", "c.png", "50x50"),
    ]
    assert crops[0]["boxes"][0]["verdict"] == "object" and crops[0]["boxes"][0]["dashed"]


def test_findings_and_a_link_to_one(app, tiny_run):
    at = app(PAGE, part="Findings", finding="image without objects")
    no_trouble(at)
    assert kinds(at) == {"rare class": 2, "image without objects": 1, "no split": 1}
    assert component(at, "findings")["selected"] == "image without objects"
    assert [t["name"] for t in component(at, "grid")["tiles"]] == ["d.png"]
    at.session_state["finding"] = None
    at.run()
    assert component(at, "findings")["selected"] is None and "finding" not in at.query_params


def test_many_pictures_are_read_only_when_asked(app, tiny_run, pictures, monkeypatch):
    (pictures / "images" / "c.png").write_bytes((pictures / "images" / "a.png").read_bytes())
    monkeypatch.setattr("app.views.data.picture_scan.AT_ONCE", 3)
    at = app(PAGE, part="Findings")
    no_trouble(at)
    assert "copy" not in " ".join(kinds(at))
    next(b for b in at.button if b.label == "Read 4 pictures").click().run()
    for _ in range(300):  # a thread reads them; the page looks again every second, here as fast as it can
        no_trouble(at)
        if "copies labelled differently" in kinds(at):
            break
        time.sleep(0.2)
        at.run()
    assert kinds(at)["copies labelled differently"] == 1


def test_reading_can_be_stopped_and_asked_for_again(app, tiny_run, monkeypatch):
    waiting, seen = threading.Event(), []

    def slow(dataset, progress):
        seen.append(len(dataset))
        for k in range(10_000):
            progress(k % 4, 4)
            waiting.wait(0.01)

    monkeypatch.setattr("app.views.data.picture_scan.AT_ONCE", 3)
    monkeypatch.setattr("app.views.data.picture_scan.look_at_pictures", slow)
    at = app(PAGE, part="Findings")
    next(b for b in at.button if b.label == "Read 4 pictures").click().run()
    no_trouble(at)
    at.button(key="look_cancel").click().run()
    for _ in range(300):
        if any(b.label == "Read 4 pictures" for b in at.button):
            break
        time.sleep(0.2)
        at.run()
    no_trouble(at)
    assert seen == [4] and any(b.label == "Read 4 pictures" for b in at.button)


def test_reach_follows_the_network_and_its_input(app, tiny_run):
    at = app(PAGE, part="Reach")
    no_trouble(at)
    assert any("The anchors reach" in m.value and "at 320x320" in m.value for m in at.markdown)
    at.selectbox(key="network").set_value("ssd_mobilenet_v2").run()
    at.text_input(key="input").set_value("512x320").run()
    no_trouble(at)
    assert any("at 512x320" in m.value for m in at.markdown)
    at.session_state["reach_pick"] = "all"
    at.run()
    no_trouble(at)
    at.text_input(key="input").set_value("huge").run()
    assert not at.exception and "WIDTHxHEIGHT" in at.error[0].value


def test_another_data_set_within_the_roots_only(app, tiny_run, pictures, tmp_path):
    at = app(PAGE, of="On this machine", folder=str(pictures / "instances.json"), part="Boxes")
    no_trouble(at)
    assert component(at, "drawing")["svg"].startswith("<svg")
    at.text_input(key="folder").set_value(str(tmp_path)).run()
    assert not at.exception and "outside the folders" in at.error[0].value


def test_without_a_run_a_data_set_can_be_named(app, monkeypatch):
    monkeypatch.setattr("app.frame.first_start.make_on_first_start", lambda: None)
    at = app(PAGE)
    no_trouble(at)
    assert at.text_input(key="folder").value == ""


def test_the_fixed_copy_is_written_beside_the_data(app, tiny_run, pictures, boxscope_home):
    truth = json.loads((pictures / "instances.json").read_text())
    truth["annotations"].append(truth["annotations"][0] | {"id": 99})
    (pictures / "instances.json").write_text(json.dumps(truth))
    at = app(PAGE, of="On this machine", folder=str(pictures), part="Findings")
    no_trouble(at)
    assert kinds(at)["labelled twice"] == 1
    at.button(key="write_fixed").click().run()
    no_trouble(at)
    [copy] = (boxscope_home / "fixed").iterdir()
    assert len(load_dataset(copy).objects) == 4 and len(load_dataset(pictures).objects) == 5
    next(b for b in at.button if b.label == "Look at the copy").click().run()
    no_trouble(at)
    assert at.text_input(key="folder").value == str(copy) and "labelled twice" not in kinds(at)


def test_a_run_whose_files_changed_shows_what_it_remembers(tiny_run, pictures):
    from analysis.runs.store import open_run

    run = open_run(tiny_run)
    own = dataset_of_run(run)
    assert own.place_of(0)[0] == str(pictures / "instances.json"), "read again, so files and lines are known"
    (pictures / "instances.json").write_text("{}")
    remembered = dataset_of_run(run)
    assert remembered.fingerprint == own.fingerprint and remembered.place_of(0) == ("", None)


def test_what_a_finding_shows(pictures):
    from analysis.datasets.doctor import Finding, Place

    dataset = load_dataset(pictures / "instances.json")
    pair = Finding("labelled twice", "warning", 1, "", "", (Place("", "", None, (0,), (0, 1)),))
    assert boxes_of_finding(pair) == [(0, 1)]
    small = Finding(
        "no anchor", "note", 2, "", "", (Place("", "", None, (0,), (0, 1)), Place("", "", None, (1,), (2,)))
    )
    assert boxes_of_finding(small) == [(0,), (1,), (2,)]
    copies = Finding("copy", "warning", 2, "", "", (Place("", "", None, (0, 2)), Place("", "", None, (1, 3))))
    assert images_of_finding(dataset, copies) == [(0, "#1"), (2, "#1"), (1, "#2"), (3, "#2")]
    assert images_of_finding(
        dataset, Finding("rare class", "warning", 1, "", "", (Place("", "", None, (0, 2)),))
    ) == [(0, ""), (2, "")]


def test_the_key_follows_splits_and_place(pictures):
    one, other = load_dataset(pictures / "instances.json"), load_dataset(pictures / "instances.json")
    assert key_of(one) == key_of(other)
    other.splits[0] = "train"
    assert key_of(one) != key_of(other)
