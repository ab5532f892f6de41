"""boxscope parity: figures, bounds and exit codes, two detectors and two runs; a real .tflite against
itself.
"""

from __future__ import annotations

import json

from typer.testing import CliRunner

from app import cli
from tests.app.test_cli import boxscope, pictures, run_of

__all__ = ["pictures"]  # the drawn data set, as a fixture


def asked(*arguments: object):
    return CliRunner().invoke(cli.app, ["parity", *map(str, arguments)])


def test_a_detector_against_itself_loses_nothing(pictures):
    fake = f"fake:{pictures}"
    result = asked(
        fake,
        fake,
        "--data",
        pictures,
        "--max-lost",
        0,
        "--every-object",
        "--max-score-difference",
        0,
        "--max-box-difference",
        0,
        "--json",
    )
    assert result.exit_code == 0, result.output
    out = json.loads(result.stdout)
    assert (
        out["images"] == 3
        and out["objects_a"] == out["kept"] >= 2
        and out["lost"] == out["gained"] == 0
        and out["past_bounds"] == []
    )
    assert out["causes"] == {} and out["objects"] == [] and out["score_difference"]["largest"] == 0


def test_a_broken_bound_fails_the_command_and_is_said(pictures, tmp_path):
    fake, out = f"fake:{pictures}", tmp_path / "parity.json"
    result = asked(
        fake,
        fake,
        "--data",
        pictures,
        "--set-b",
        "seed=5",
        "--set-b",
        "miss=0.9",
        "--max-lost",
        "0.5%",
        "--out",
        out,
    )
    assert result.exit_code == 1
    assert (
        "past the bound: " in result.output
        and "true positives are lost" in result.output
        and "more than 0.5 %" in result.output
    )
    written = json.loads(out.read_text())
    assert written["lost"] >= 1 and sum(written["causes"].values()) >= written["lost"]
    first = written["objects"][0]
    assert (
        first["change"] == "lost" and first["why"]["cause"] in ("score", "box") and first["box_a"] is not None
    )
    assert written["a"]["weights_hash"] != written["b"]["weights_hash"]


def test_two_stored_runs(pictures, tmp_path):
    run = run_of(pictures, tmp_path / "r")
    out = json.loads(boxscope("parity", run, run, "--json"))
    assert out["lost"] == 0 and out["kept"] == out["objects_a"]
    assert "objects" in boxscope("parity", run, run, "--no-causes")


def test_what_does_not_fit_together_is_refused(pictures, tmp_path):
    run, fake = run_of(pictures, tmp_path / "r"), f"fake:{pictures}"
    assert "is a run and" in str(asked(run, fake).exception)
    assert "expected --data" in str(asked(fake, fake).exception)
    assert "they are what they are" in str(asked(run, run, "--data", pictures).exception)
    assert "NAME=VALUE" in str(asked(fake, fake, "--data", pictures, "--set-a", "seed").exception)
    assert "--max-lost" in str(asked(fake, fake, "--data", pictures, "--max-lost", "few").exception)


def test_a_phone_s_own_detector_against_itself(shared):
    """A real Object Detection API export, uint8, evaluated and paired with itself like any other detector."""
    folder = shared / "weights" / "ssd_mobilenet_v2_fpnlite_drowsiness"
    images = folder / "test_images"
    out = json.loads(
        boxscope(
            "parity",
            folder,
            folder,
            "--data",
            images,
            "--max-lost",
            0,
            "--every-object",
            "--max-score-difference",
            0,
            "--max-box-difference",
            0,
            "--json",
        )
    )
    assert (out["images"], out["objects_a"], out["kept"], out["true_positives_a"]) == (40, 39, 39, 39)
    run = json.loads(boxscope("detect", "--model", folder, "--data", images, "--json"))["run"]
    at = json.loads(boxscope("evaluate", run, "--json"))["at_operating_point"]
    assert (at["objects"], at["tp"], at["fp"], at["fn"]) == (40, 39, 0, 1)


def test_another_resize_loses_by_preprocessing(shared):
    """The same file fed as TensorFlow 1 resized: every loss at a high threshold is proved to come from the
    prepared picture.
    """
    folder = shared / "weights" / "ssd_mobilenet_v2_fpnlite_drowsiness"
    result = asked(
        folder,
        folder,
        "--data",
        folder / "test_images",
        "--set-b",
        "resize=legacy",
        "--threshold",
        0.9,
        "--json",
    )
    out = json.loads(result.stdout)
    assert (
        out["lost"] >= 1 and set(out["causes"]) == {"preprocessing"} and out["causes_proved"] == out["lost"]
    )
    assert all(o["why"]["how"] == "exchanged" for o in out["objects"] if o["change"] == "lost")
