"""The first start: scenes drawn, the demo's own network run over them, its candidates at hand for every
page.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from app.files import demo
from tests.app.conftest import ROOT, component, no_trouble


@pytest.fixture
def few(monkeypatch):
    """A demo of eight scenes."""
    monkeypatch.setattr(demo, "SCENES", 8)


def test_the_demo_is_a_real_run_made_once(few, boxscope_home):
    from analysis.runs.store import open_run

    told = []
    folder = demo.demo_run(lambda what, done, total: told.append((what.split()[0], done, total)))
    run = open_run(folder)
    assert folder == boxscope_home / "runs" / "demo" and run.done.all() and len(run) == 8
    assert ("Drawing", 8, 8) in told and told[-1] == ("Running", 8, 8)
    detector = run.manifest.detector
    assert (
        not detector.simulated
        and detector.kind == "keras_ssd"
        and detector.source == "demo"
        and {"candidates", "anchors"} <= set(detector.capabilities)
    )
    assert set(run.splits) == {"test"} and len(run.truth) > 20 and len(run.detections) > 100

    before, told[:] = {p: p.stat().st_mtime_ns for p in boxscope_home.rglob("*") if p.is_file()}, []
    assert demo.demo_run(lambda *step: told.append(step)) == folder and told == []
    assert {p: p.stat().st_mtime_ns for p in boxscope_home.rglob("*") if p.is_file()} == before


def test_a_demo_of_another_detector_is_made_anew(few, boxscope_home):
    from analysis.runs.detect import detect_run
    from analysis.runs.manifest import read_manifest
    from detector.data.samples.scenes import demo_dataset
    from detector.models.fake import FakeDetector

    dataset = demo_dataset(boxscope_home / "demo", count=8)
    detect_run(FakeDetector(dataset), dataset, boxscope_home / "runs" / "demo", floor=0.01)
    assert not read_manifest(demo.demo_run()).detector.simulated


def test_every_miss_of_the_demo_has_an_exact_verdict(few):
    """From the run's manifest alone: its detector is loaded again, and its post-processing replays to what is
    stored.
    """
    from analysis.misses.run import autopsy
    from analysis.runs.manifest import read_manifest
    from analysis.runs.store import open_run
    from app.model.spec import spec_of
    from detector import load_detector

    folder = demo.demo_run()
    spec = spec_of(read_manifest(folder))
    assert spec["model"] == "demo"
    run, detector = open_run(folder), load_detector(spec["model"], runtime="litert")
    assert detector.info.weights_hash == run.manifest.detector.weights_hash
    found = autopsy(run, candidates=lambda i: detector.candidates([run.load_image(i)])[0])
    assert len(found) > 3 and found.counts()["not stored"] == 0
    assert {found.tier(q) for q in range(len(found))} == {"replay"}
    assert all(found.proof(q).holds for q in range(len(found)))


def test_the_first_start_opens_on_it_without_tensorflow(few, boxscope_home, app, monkeypatch):
    at = app()
    no_trouble(at)
    strip = component(at, "strip")
    assert strip["tag"] == "" and strip["objects"] > 20 and strip["now"]["correct"] > 0
    assert (
        any("Start here" in m.value for m in at.markdown)
        and (boxscope_home / "runs" / "demo" / "manifest.json").is_file()
    )


def test_the_first_start_loads_no_tensorflow(boxscope_home):
    code = (
        "import json, sys; from app.files import demo; demo.SCENES = 2; demo.demo_run(); print(json.dumps([m"
        " for m in ('tensorflow', 'keras', 'fiftyone', 'streamlit') if m in sys.modules]))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(out.splitlines()[-1]) == []


def test_scenes_to_train_on_by_command(tmp_path):
    from typer.testing import CliRunner

    from app.cli import app
    from detector.data import load_dataset
    from detector.errors import InputError

    out = tmp_path / "scenes"
    result = CliRunner().invoke(app, ["demo", "--scenes", "5", "--seed", "3", "--out", str(out)])
    assert result.exit_code == 0 and result.stdout.strip() == str(out), result.output
    assert np.array_equal(np.unique(load_dataset(out).splits, return_counts=True)[1], [4, 1])
    assert isinstance(CliRunner().invoke(app, ["demo", "--scenes", "5"]).exception, InputError)
