"""What comes home from FiftyOne, as the page shows it: the change table, promises, copies; no FiftyOne is
needed here.
"""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from analysis.fiftyone.pull.changes import Change, ChangeList, Truth
from analysis.fiftyone.pull.expectations import Expectation, Outcome, expectations_file, save_expectations
from analysis.runs.store import open_run
from app import cli
from app.frame import expectations as expected
from app.views.fiftyone import corrections
from tests.app.test_cli import boxscope, pictures, run_of

__all__ = ["pictures"]  # the drawn data set, as a fixture

DOG = Truth("dog", (80.0, 10.0, 110.0, 70.0), 3)


def test_a_change_says_what_was_and_what_is():
    moved = Change(
        "box",
        "2",
        DOG,
        Truth("dog", (82.0, 10.0, 110.0, 70.0), 3),
        "IoU 0.93",
        "my set",
        "2026-01-02T03:04:05",
    )
    [row] = corrections.change_rows(ChangeList("my set", "r", "f", (moved,)))
    assert row == {
        "image": "2",
        "what": "box",
        "before": "dog [80, 10, 110, 70]",
        "after": "dog [82, 10, 110, 70]",
        "known by": "IoU 0.93",
        "who": "my set",
        "when": "2026-01-02T03:04:05",
    }
    [added] = corrections.change_rows(ChangeList("my set", "r", "f", (Change("added", "7", None, DOG),)))
    assert added["before"] == "" and added["after"].startswith("dog")
    assert corrections.change_rows(ChangeList("my set", "r", "f")) == []


def test_broken_promises_come_first_and_a_score_may_be_missing():
    outcomes = [
        Outcome(Expectation("must-detect", s, None, "dog", (0, 0, 1, 1)), state, score)
        for s, state, score in (("a", "kept", 0.9), ("b", "broken", -1.0), ("c", "lost", -1.0))
    ]
    rows = expected.expectation_rows(outcomes)
    assert [r["image"] for r in rows] == ["b", "a", "c"] and [r["best score"] for r in rows] == [
        None,
        0.9,
        None,
    ]


@pytest.fixture
def promised(pictures, tmp_path):
    run = run_of(pictures, tmp_path / "r")
    source = open_run(run).manifest.dataset.source
    save_expectations(
        [
            Expectation("must-detect", "1", 1, "dog", (10.0, 10.0, 70.0, 50.0)),
            Expectation("ok-to-miss", "2", 3, "dog", (80.0, 10.0, 110.0, 70.0)),
        ],
        expectations_file(source),
    )
    return run


def test_check_fails_on_a_broken_promise_and_names_it(promised):
    states = json.loads(
        CliRunner().invoke(cli.app, ["check", str(promised), "--threshold", "1.0", "--json"]).stdout
    )
    assert states["broken"] == 1 and states["excused"] == 1
    result = CliRunner().invoke(cli.app, ["check", str(promised), "--threshold", "1.0"])
    assert result.exit_code == 1 and result.stdout.startswith("must-detect: dog in 1")


def test_excused_objects_are_left_out_of_the_evaluation_and_counted(promised):
    plain = json.loads(boxscope("evaluate", promised, "--json"))
    excused = json.loads(boxscope("evaluate", promised, "--excuse-tagged", "--json"))
    assert plain["objects"] == 3 and excused["objects"] == 2 and excused["excused_objects"] == 1
    assert "1 object tagged ok-to-miss or label-wrong is neither" in boxscope(
        "evaluate", promised, "--excuse-tagged"
    )


def test_undo_takes_the_corrections_out_of_the_corrected_copy(promised, tmp_path):
    run = open_run(promised)
    from analysis.fiftyone.pull.changes import as_dataset, write_changed

    before = next(c for c in as_dataset(run).annotations(run.position("2")).xyxy.tolist() if c[0] == 80)
    gone = ChangeList(
        "my set", "r", "f", (Change("deleted", "2", Truth("dog", tuple(before), 3, (), 1800.0), None),)
    )
    gone.save(tmp_path / "list.json")
    write_changed(as_dataset(run), gone, tmp_path / "corrected")
    assert boxscope("find", tmp_path / "corrected", "--classes", "dog").split() == ["1"]
    boxscope(
        "pull",
        promised,
        "--undo",
        tmp_path / "list.json",
        "--of",
        tmp_path / "corrected",
        "--write",
        tmp_path / "undone",
    )
    assert boxscope("find", tmp_path / "undone", "--classes", "dog").split() == ["1", "2"]
