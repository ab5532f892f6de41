"""boxscope report, and evaluate's choices, on a small data set drawn here."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from app import cli
from tests.app.test_cli import boxscope, pictures, run_of  # noqa: F401 (a fixture)


def test_report_writes_the_page_and_its_tables(pictures, tmp_path):  # noqa: F811
    run = run_of(pictures, tmp_path / "run")
    out = tmp_path / "r.html"
    told = json.loads(boxscope("report", run, "--out", out, "--worst", 1, "--json"))
    assert told["report"] == str(out) and "</html>" in out.read_text()
    assert sorted(p.name for p in tmp_path.glob("r-*")) == sorted(
        [
            "r-classes.csv",
            "r-confusion.csv",
            "r-errors.csv",
            "r-evaluation.json",
            "r-mistakes.csv",
            "r-mistakes.json",
            "r-slices.csv",
        ]
    )
    assert (
        json.loads((tmp_path / "r-evaluation.json").read_text())["AP"]
        == json.loads(boxscope("evaluate", run, "--json"))["AP"]
    )
    failed = CliRunner().invoke(cli.app, ["report", str(run), "--out", str(tmp_path / "r.pdf")])
    assert failed.exit_code != 0 and ".html" in str(failed.exception)


def test_evaluate_takes_cocos_choices_and_says_the_others(pictures, tmp_path):  # noqa: F811
    run = run_of(pictures, tmp_path / "run")
    plain = json.loads(boxscope("evaluate", run, "--json"))
    assert plain == json.loads(
        boxscope(
            "evaluate", run, "--crowd", "ignore", "--interpolation", "101", "--max-detections", 100, "--json"
        )
    )
    other = json.loads(
        boxscope(
            "evaluate",
            run,
            "--interpolation",
            "11",
            "--area",
            "box",
            "--classes",
            "dog",
            "--empty-classes",
            "zero",
            "--json",
        )
    )
    assert (
        other["settings"]["interpolation"] == "11"
        and other["settings"]["area"] == "box"
        and list(other["per_class"]) == ["dog"]
    )
    saved = tmp_path / "t.yaml"
    boxscope("thresholds", run, "--save", saved)
    at = json.loads(boxscope("evaluate", run, "--thresholds", saved, "--json"))["at_operating_point"]
    assert set(at["operating_point"]["threshold"]) == {"car", "dog"} and at["tp"] + at["fn"] == at["objects"]


def test_evaluate_puts_pycocotools_beside(pictures, tmp_path):  # noqa: F811
    pytest.importorskip("pycocotools")
    found = json.loads(boxscope("evaluate", run_of(pictures, tmp_path / "run"), "--parity", "--json"))
    assert found["equal"] and len(found["rows"]) == 12 and found["conventions"]
