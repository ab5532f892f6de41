"""The commands for what outgrows one machine: index, the engine's options, and questions to a run read in
windows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.metrics.evaluate import evaluate
from analysis.mistakes.errors import find_errors
from analysis.runs import streamed
from analysis.runs.ray import ABSENT
from analysis.runs.store import open_run
from app import cli
from detector.errors import InputError, UnavailableError
from tests.analysis.streamed_builders import crowded, store
from tests.detector.data.builders import picture


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for k in range(3):
        picture(tmp_path / "set" / f"{k}.png", 21 + k, 13)
    return tmp_path / "set"


def boxscope(*arguments: object):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def test_an_index_is_a_data_set_of_every_command(pictures, tmp_path):
    made = boxscope("index", pictures, "--out", tmp_path / "i.parquet", "--json")
    assert made.exit_code == 0, made.output
    told = json.loads(made.stdout)
    assert told["images"] == 3 and told["source"] == str(pictures) and told["left_out"] == 0
    run = boxscope(
        "detect",
        "--model",
        "demo",
        "--data",
        tmp_path / "i.parquet",
        "--limit",
        2,
        "--out",
        tmp_path / "run",
        "--json",
    )
    assert isinstance(run.exception, InputError) or run.exit_code == 0, (
        run.output
    )  # the demo detector wants labels; the pictures were read
    assert json.loads(boxscope("doctor", tmp_path / "i.parquet", "--json").stdout)["images"] == 3


def test_the_engines_options(pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    refused = boxscope("detect", "--model", "demo", "--data", pictures, "--engine", "ray").exception
    assert isinstance(refused, UnavailableError) and str(refused) == ABSENT
    for words, message in (
        (["--engine", "spark"], "expected one of local, ray"),
        (["--workers", "2"], "go with --engine ray"),
    ):
        refused = boxscope("detect", "--model", "demo", "--data", pictures, *words).exception
        assert isinstance(refused, InputError) and message in str(refused)


def test_questions_to_a_run_read_in_windows(tmp_path, monkeypatch):
    folder = store(tmp_path / "run", crowded(30))
    small = {
        name: boxscope(name, folder, *more, "--json").stdout
        for name, more in (
            ("evaluate", ()),
            ("thresholds", ()),
            ("kinds", ()),
            ("find", ("--classes", "car")),
        )
    }
    monkeypatch.setattr(streamed, "MEMORY_DETECTIONS", 10)
    monkeypatch.setattr(streamed, "WINDOW_IMAGES", 4)
    for name, answer in small.items():
        more = ("--classes", "car") if name == "find" else ()
        large = boxscope(name, folder, *more, "--json")
        assert large.exit_code == 0 and "read in 8 windows" in large.stderr, large.output
        assert json.loads(large.stdout) == json.loads(answer), name
    run = open_run(folder)
    assert (
        json.loads(small["evaluate"])["AP"] == evaluate(run)["AP"]
        and json.loads(small["kinds"])["counts"] == find_errors(run).counts
    )
    assert "classification" in boxscope("kinds", folder).stdout
