"""Why objects were missed, on the pages and on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.app.conftest import component, no_trouble

# The tiny run at 0.5: the dog of a.png is found at 0.3; the cat of b.png lies under a dog of 0.6.


def words(at) -> str:
    return " ".join(m.value for m in at.markdown) + " ".join(c.value for c in at.caption)


def test_the_image_page_tells_why_and_what_would_help(app, tiny_run):
    at = app("views/image/page.py", image="1", object="t2")
    no_trouble(at)
    text = words(at)
    assert (
        "Missed (a false negative): A **dog** was found here at 0.30 with IoU 0.95 and cut by the threshold"
        " 0.50." in text
    )
    assert (
        "A threshold of 0.30 brings it back" in text
        and "The threshold of dog at 0.3 over the whole run finds 1 more object and adds 0 false positives"
        in text
    )
    assert (
        "Proved. The stored detections matched again with the confidence threshold 0.5 → 0.3: it is found,"
        " score 0.3, IoU 0.95." in text
    )
    evidence = next(d.value for d in at.dataframe if "what" in d.value)
    assert dict(zip(evidence["what"], evidence["value"])) == {
        "score for its class": "0.30",
        "threshold": "0.50",
        "IoU of the box with it": "0.95",
    }


def test_a_confused_object_has_no_rescue(app, tiny_run):
    at = app("views/image/page.py", image="2", object="t3")
    no_trouble(at)
    assert "Seen as dog at 0.60; **cat** had less than the run kept (IoU 1.00)." in words(at)
    assert "No single change of a setting brings it back." in words(at)


def test_mistakes_are_counted_by_cause_and_open_their_boxes(app, tiny_run):
    at = app("views/mistakes/page.py", look="Causes")
    no_trouble(at)
    rows = component(at, "rows")["rows"]
    assert {(r["id"], r["count"]) for r in rows} == {("below threshold", "1"), ("wrong class", "1")}
    changes = next(d.value for d in at.dataframe if "change" in d.value)
    assert changes["change"][0] == "dog from 0.50 to 0.3" and changes["objects found"][0] == "+1"
    at = app("views/mistakes/page.py", boxes="cause/wrong%20class")
    no_trouble(at)
    crops = component(at, "crops")["crops"]
    assert len(crops) == 1 and "missed, wrong class" in words(at)
    from analysis.mistakes.box_lists import BoxList
    from analysis.runs.store import open_run
    from app.files.crops import selection_of

    run = open_run(tiny_run)
    cat = int(np.flatnonzero(run.truth.ids == 3)[0])
    beside = BoxList(
        "missed, wrong class",
        np.flatnonzero(run.detections.rows == run.position("2"))[:1],
        np.array([cat]),
        of_objects=True,
    )
    assert selection_of(run, beside, 0) == (
        "2",
        {"side": "truth", "index": cat - int(run.truth_offsets[run.position("2")])},
    ), "the object, not what lies on it"
    at = app("views/mistakes/page.py", look="Causes", conf="0.2", classes="dog")
    assert "No object is missed" in words(at)


def test_the_gallery_filters_by_cause(app, tiny_run):
    at = app("views/gallery/page.py", cause="below threshold")
    no_trouble(at)
    assert len(component(at, "grid")["tiles"]) == 1 and "by miss cause" in words(at)


def test_a_replayed_miss_names_its_suppressor_in_numbers():
    from analysis import autopsy
    from app.views.image.miss_panel import numbers
    from tests.analysis.misses.test_image_verdicts import DOGS, planted

    run, shown, names = planted(DOGS, ["found beside", "suppressed"])
    a = autopsy(run, candidates={0: shown}, settings=DOGS)
    assert {"what": "IoU with the box that suppressed it", "value": "0.60"} in numbers(a, 0)


@pytest.fixture
def why(tiny_run):
    from app.cli import app

    return lambda *args: CliRunner().invoke(app, ["why", str(tiny_run), *args])


def test_why_prints_a_sentence_a_miss(why):
    result = why()
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert (
        lines[0]
        == "1\t2\tdog\tbelow threshold\tA dog was found here at 0.30 with IoU 0.95 and cut by the threshold"
        " 0.50."
    )
    assert lines[1].startswith(
        "  rescue: The threshold of dog at 0.3 over the whole run finds 1 more object and adds 0 false"
        " positives"
    )
    assert lines[2].startswith("2\t3\tcat\twrong class\tSeen as dog at 0.60")
    assert "2 of 4 objects missed" in result.stderr and "best changes to make next" in result.stderr
    assert (
        why("--cause", "wrong class").stdout.startswith("2\t3\tcat") and len(why("--most", "0").stdout) == 0
    )


def test_why_of_an_image_proves_it_and_says_what_it_rests_on(why):
    result = why("--image", "1")
    assert result.exit_code == 0, result.output
    assert "  proof: The stored detections matched again" in result.stdout and "2\t3" not in result.stdout
    assert "does not say how to load its detector" in result.stderr
    value = json.loads(why("--image", "2", "--json").stdout)
    assert [(m["cause"], m["proof"]["holds"]) for m in value["misses"]] == [("wrong class", True)] and value[
        "images_replayed"
    ] == 0
    assert why("--image", "9").exit_code == 1 and why("--again").exit_code == 1


def test_why_of_a_simulated_detector_uses_its_candidates(boxscope_home):
    """Candidates, but no post-processing of its own to replay."""
    from typer.testing import CliRunner

    from analysis.runs.detect import detect_run
    from app.cli import app
    from detector.data.samples.scenes import demo_dataset
    from detector.models.fake import FakeDetector

    dataset = demo_dataset(boxscope_home / "demo", count=4)
    detect_run(FakeDetector(dataset), dataset, boxscope_home / "runs" / "four")
    plain = json.loads(CliRunner().invoke(app, ["why", "four", "--json"]).stdout)
    exact = json.loads(CliRunner().invoke(app, ["why", "four", "--exact", "--json"]).stdout)
    image = exact["misses"][0]["sample"]
    again = json.loads(
        CliRunner().invoke(app, ["why", "four", "--image", image, "--again", "--json"]).stdout
    )["misses"]
    assert all(
        "contrast stretched" in [t["change"] for t in m["again"]] and not any(t["found"] for t in m["again"])
        for m in again
    ), "it knows no changed picture"
    assert exact["images_shown"] == 4 and len(exact["misses"]) == len(plain["misses"]) > 0
    assert exact["causes"]["not stored"] == 0 < plain["causes"]["not stored"]
    assert all(np.isfinite(m["anchor_iou"]) for m in exact["misses"] if m["from"] == "candidates")
