"""Heat maps of a chosen object: step by step in the model's process, on the page, by the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from analysis.saliency.methods import explain, last
from app import cli
from app.model.heat_map_job import HeatMapJob, HeatMapJobs
from app.model.process import ModelProcess
from detector import load_detector
from detector.errors import CapabilityError, InputError
from tests.app import evidence_run
from tests.app.conftest import no_trouble
from tests.app.test_browser import CHROMIUM, page  # noqa: F401 (fixture)
from tests.app.test_browser import server as _server
from tests.detector.models.tflite_builder import cell_picture

pytest.importorskip("ai_edge_litert")
ASK = {"box": evidence_run.BOX, "class_id": 1, "missed": False, "score": 0.9, "anchor_id": -1}
SETTINGS = {"masks": 96, "seed": 3}


@pytest.fixture
def run(boxscope_home):
    return evidence_run.write(boxscope_home)


@pytest.fixture
def detector(run, boxscope_home):
    return load_detector(boxscope_home / "cells" / "cells.tflite")


def picture() -> np.ndarray:
    return cell_picture(1, 2, 1, *evidence_run.SIZE)


def request(key, **changes):
    return {
        "key": key,
        "picture": "p",
        "ask": ASK,
        "method": "d_rise",
        "settings": SETTINGS,
        "check": True,
        "image": picture(),
        "seen": None,
    } | changes


def steps(job) -> list:
    found = [job.step()]
    while found[-1].stage != "done":
        found.append(job.step())
    return found


def in_cell(heat) -> bool:
    y, x = np.unravel_index(heat.values.argmax(), heat.values.shape)
    return (
        evidence_run.BOX[0] - 3 <= x < evidence_run.BOX[2] + 3
        and evidence_run.BOX[1] - 3 <= y < evidence_run.BOX[3] + 3
    )


def test_a_job_goes_in_short_steps_from_map_to_check(detector):
    job = HeatMapJob(detector, picture(), ASK, "d_rise", settings=SETTINGS)
    found = steps(job)
    stages = [p.stage for p in found]
    assert stages == sorted(stages, key=["map", "check", "done"].index) and stages.count("check") == 4
    assert all(0 <= p.share <= 1 for p in found) and found[0].heat is None, (
        "the first picture takes 64 masks, a step is 8"
    )
    last_one = found[-1]
    assert (
        last_one.heat.done
        and in_cell(last_one.heat)
        and set(last_one.verdict.baselines) == {"random", "edge", "gaussian"}
    )
    assert job.step() is last_one
    alone = last(explain(detector, picture(), [job.target], "d_rise", **SETTINGS))[0]
    np.testing.assert_array_equal(alone.values, last_one.heat.values)
    assert (
        steps(HeatMapJob(detector, picture(), ASK, "d_rise", check=False, settings=SETTINGS))[-1].verdict
        is None
    )


def test_methods_of_one_object_share_the_baselines_and_a_map_is_sent_once(detector):
    jobs = HeatMapJobs()
    assert jobs.step(detector, request("a", image=None)) is None, "nothing is known of it: send the picture"
    progress = jobs.step(detector, request("a"))
    while progress.heat is None:
        progress = jobs.step(detector, request("a", image=None))
    seen = progress.heat.forwards
    again = jobs.step(detector, request("a", image=None, seen=seen))
    assert again.heat is None or again.heat.forwards > seen
    while progress.stage != "done":
        progress = jobs.step(detector, request("a", image=None))
    other = jobs.step(detector, request("b", settings={"masks": 64, "seed": 4}))
    while other.stage != "done":
        other = jobs.step(detector, request("b", image=None))
    assert other.verdict.baselines["edge"] is progress.verdict.baselines["edge"]


def test_in_its_own_process_it_is_the_same_and_errors_come_back(run, detector, boxscope_home):
    spec = {"model": str(boxscope_home / "cells" / "cells.tflite"), "data": None, "options": {}}
    process = ModelProcess()
    try:
        progress = process.evidence(spec, request(("k", 1.5)))
        while progress.stage != "done":
            progress = process.evidence(spec, request(("k", 1.5), image=None))
        here = steps(HeatMapJob(detector, picture(), ASK, "d_rise", settings=SETTINGS))[-1]
        np.testing.assert_array_equal(progress.heat.values, here.heat.values)
        assert progress.verdict.sentence() == here.verdict.sentence()
        with pytest.raises(CapabilityError, match="black box; D-RISE asks it from outside"):
            process.evidence(spec, request("gradients", method="layer_cam"))
    finally:
        process.stop()


def test_a_contrast_is_a_job_without_a_check(detector):
    one = steps(HeatMapJob(detector, picture(), ASK, "d_rise", settings=SETTINGS, rival=0))[-1]
    alone = steps(HeatMapJob(detector, picture(), ASK, "d_rise", settings=SETTINGS, check=False))[-1]
    assert one.verdict is None and one.heat.target.kind == "contrast" and in_cell(one.heat)
    assert one.heat.value > alone.heat.value > 0, "green's logit less red's, which is below zero"
    with pytest.raises(InputError, match="shows support only"):
        HeatMapJob(detector, picture(), ASK, "layer_cam", rival=0)


def explained(run, *more: str):
    return CliRunner().invoke(
        cli.app, ["explain", str(run), "--image", "1", "--out", str(run.parent / "maps"), *more]
    )


def test_the_command_writes_picture_numbers_and_facts(run):
    result = explained(
        run,
        "--object",
        "d0",
        "--method",
        "d_rise",
        "--method",
        "confidence_map",
        "--method",
        "layer_cam",
        "--masks",
        "96",
        "--json",
    )
    assert result.exit_code == 0, result.output
    sampled, confidence, impossible = json.loads(result.stdout)["maps"]
    values = np.load(sampled["npy"])
    assert values.shape == evidence_run.SIZE[::-1] and values.dtype == np.float32
    facts = json.loads((run.parent / "maps" / "1-d0-d_rise.json").read_text())
    assert (
        facts["seed"] == 0
        and facts["params"]["masks"] <= 96
        and facts["class"] == "green"
        and facts["faithfulness"]["baselines"]
    )
    assert (run.parent / "maps" / "1-d0-d_rise.png").stat().st_size > 500
    assert np.load(confidence["npy"]).max() <= 1 and confidence["faithfulness"] is None
    assert impossible["impossible"] and "needs gradients" in impossible["words"][0]


def test_the_command_says_why_there_is_no_map_in_its_place(run):
    result = explained(run, "--object", "d0", "--method", "layer_cam")
    (line,) = result.stdout.splitlines()
    assert "\tlayer_cam\t" in line and "needs gradients" in line and "None" not in line


def test_the_command_explains_what_was_missed_and_says_what_there_is(run):
    result = explained(run, "--masks", "64", "--no-check")
    assert (
        result.exit_code == 0
        and "t11\tred\tmissed\tconfidence_map" in result.stdout
        and "t11\tred\tmissed\td_rise" in result.stdout
    )
    wrong = explained(run, "--object", "d99")
    assert wrong.exit_code != 0 and "t11 (missed red)" in str(wrong.exception)
    assert "one of confidence_map" in str(explained(run, "--method", "grad_cam").exception)


def test_the_command_tells_a_class_from_another(run):
    result = explained(run, "--object", "d0", "--rather-than", "red", "--masks", "64", "--json")
    assert result.exit_code == 0, result.output
    (only,) = json.loads(result.stdout)["maps"]
    facts = json.loads((run.parent / "maps" / "1-d0-d_rise-rather-than-red.json").read_text())
    assert (
        facts["rather_than"] == "red"
        and facts["faithfulness"] is None
        and only["value"] == facts["value"] > 0
    )
    assert "got 'gren'; did you mean green" in str(
        explained(run, "--object", "d0", "--rather-than", "gren").exception
    )
    assert "Expected a class of the run, got 'cat'" in str(
        explained(run, "--object", "d0", "--rather-than", "cat").exception
    )
    assert "which show evidence against too" in str(
        explained(run, "--rather-than", "red", "--method", "layer_cam").exception
    )


def test_two_images_never_share_a_file(run):
    from types import SimpleNamespace

    from app.model.heat_map_files import stem
    from app.model.questions import Question

    ids = ("a/1", "a_1", "x" * 90, "x" * 91)
    row = SimpleNamespace(verdict="wrong", det=3, truth=-1)
    names = [stem(SimpleNamespace(sample_ids=ids), i, row, "d_rise", Question()) for i in range(4)]
    assert len(set(names)) == 4 and names[1] == "a_1-d3-d_rise" and all("/" not in name for name in names)


def test_the_command_takes_several_images(run):
    result = explained(run, "--image", "1", "--masks", "64", "--no-check", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["images"] == ["1"], (
        "the same image twice is one"
    )
    assert {m["image"] for m in json.loads(result.stdout)["maps"]} == {"1"}
    assert "holds" not in str(result.stdout)


def test_the_command_asks_for_the_box(run):
    result = explained(run, "--object", "d0", "--side", "left", "--masks", "64", "--json")
    assert result.exit_code == 0, result.output
    (only,) = json.loads(result.stdout)["maps"]
    facts = json.loads((run.parent / "maps" / "1-d0-d_rise-box-left.json").read_text())
    assert (
        facts["side"] == "left"
        and facts["target"]["kind"] == "box"
        and facts["target"]["sides"] == [0]
        and facts["unit"] == "share slope"
    )
    assert any("holds its left side out" in line for line in only["words"])
    impossible = explained(run, "--object", "d0", "--side", "all", "--method", "integrated_gradients")
    assert impossible.exit_code == 1 and "needs gradients" in impossible.stdout, "no map was made"
    assert "expected all, left, top, right, bottom, without --rather-than, got 'middle'" in str(
        explained(run, "--side", "middle").exception
    )
    assert "got 'left' with it" in str(explained(run, "--side", "left", "--rather-than", "red").exception)


def test_without_its_detector_a_run_still_gives_confidence_maps(run, boxscope_home):
    (boxscope_home / "cells" / "cells.tflite").unlink()
    result = explained(run, "--object", "d0", "--json")
    assert result.exit_code == 0, result.output
    (only,) = json.loads(result.stdout)["maps"]
    assert (
        only["method"] == "confidence_map"
        and "detections the run kept" in only["words"][1]
        and np.load(only["npy"]).max() > 0.5
    )
    assert "cannot be had" in str(explained(run, "--method", "d_rise").exception)


def test_the_page_shows_the_map_with_its_worth(run, app):
    from app.model.process import model_process

    try:
        at = app("views/image/page.py", run="cells", image="1", object="d0")
        at.session_state["heat-method"] = "D-RISE"
        at.run(timeout=300)
        no_trouble(at)
        words = " ".join(c.value for c in at.caption)
        assert (
            "reliability" in words
            and "Orange speaks for it, purple against" in words
            and "insertion less deletion" in words
        )
        assert len(at.get("image")) + len(at.get("imgs")) == 1
        from analysis.runs.store import open_run
        from app.model import heat_map_files

        stored = open_run(run)
        kept = heat_map_files.kept_of(stored)
        facts = json.loads((kept / "1-d0-d_rise.json").read_text())
        assert (
            facts["weights_hash"] == stored.manifest.detector.weights_hash
            and heat_map_files.kept_maps(stored) == 1
        )
        assert (kept / "1-d0-d_rise.png").stat().st_size > 500
        (question,) = [b for b in at.selectbox if b.label == "Evidence for"]
        assert question.options[0] == "green" and question.options[-5:] == [
            "the box as a whole",
            *(f"the box's {side} side" for side in ("left", "top", "right", "bottom")),
        ]
        question.select_index(len(question.options) - 1)
        at.run(timeout=300)
        no_trouble(at)
        assert any("holds its bottom side out" in c.value for c in at.caption)
        assert heat_map_files.kept_maps(stored) == 1, "of a box: no label to push, so it is not kept"
        assert len(at.get("download_button")) == 1
        at.session_state["heat-method"] = "LayerCAM"
        at.run(timeout=300)
        assert any("needs gradients" in i.value for i in at.info) and any(
            "D-RISE instead" in b.label for b in at.button
        )
        at.session_state["heat-method"] = "Confidence map"
        at.run(timeout=300)
        no_trouble(at)
        assert any("at most" in c.value and "almost detected" in c.value for c in at.caption)
    finally:
        model_process().stop()


@pytest.fixture
def tiny_run(run):
    """The server fixture runs on this run."""
    return run


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not there (Debian: apt install chromium)")
def test_in_the_browser_a_map_grows_and_a_black_box_is_told_apart(page, server):  # noqa: F811
    from playwright.sync_api import expect

    expect.set_options(timeout=90_000)
    page.set_default_timeout(90_000)
    page.goto(f"{server}/image?run=cells&image=1&object=d0")
    section = page.locator(".st-key-heat-maps")
    section.get_by_text("LayerCAM", exact=True).click()
    section.get_by_text("this detector is a black box").wait_for()
    section.get_by_role("button", name="Show D-RISE instead").click()
    section.get_by_text("insertion less deletion").wait_for()
    expect(section.locator("img")).to_have_count(1)
    expect(section.get_by_text("reliability")).not_to_have_count(0)
    expect(section.get_by_role("button", name="Stop")).to_have_count(0)
    assert not page.locator("[data-testid=stException]").count()


server = _server
