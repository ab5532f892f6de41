"""Runs made outside the data directory are remembered and listed beside its own."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from app import cli
from app.commands.common import find_run
from app.files.run_list import FILE, known_runs, note_run, noted_runs
from detector import load_dataset
from detector.errors import InputError
from tests.app.conftest import write_run


def test_nothing_noted(boxscope_home):
    assert noted_runs() == [] and known_runs() == {}
    for broken in ("", "{}", "[1, null]"):
        (boxscope_home / FILE).write_text(broken)
        assert noted_runs() == []


def test_a_run_elsewhere_is_listed_while_it_is_there(pictures, tiny_run, tmp_path):
    dataset = load_dataset(pictures / "instances.json")
    one, other = (write_run(dataset, tmp_path / place / "tiny") for place in ("a", "b"))
    for path in (one, other, one, tiny_run, tmp_path / "gone"):
        note_run(path)
    assert noted_runs() == [one, other], "each once, none of the data directory's, none that is not there"
    assert {name: summary.path for name, summary in known_runs().items()} == {
        "tiny": tiny_run,
        "tiny~2": one,
        "tiny~3": other,
    }
    shutil.rmtree(one)
    assert {name: summary.path for name, summary in known_runs().items()} == {
        "tiny": tiny_run,
        "tiny~2": other,
    }


def test_detect_notes_what_it_makes_and_commands_find_it_by_its_name(pictures, boxscope_home, tmp_path):
    truth = str(pictures / "instances.json")
    made = CliRunner().invoke(
        cli.app,
        ["detect", "--model", f"fake:{truth}", "--data", truth, "--out", str(tmp_path / "far" / "first")],
    )
    assert made.exit_code == 0, made.exception
    (listed,) = json.loads(CliRunner().invoke(cli.app, ["runs", "--json"]).stdout)
    assert (listed["name"], listed["path"], listed["state"]) == (
        "first",
        str(tmp_path / "far" / "first"),
        "done",
    )
    assert find_run(tmp_path.__class__("first")) == tmp_path / "far" / "first"
    with pytest.raises(InputError, match="is not a run"):
        find_run(tmp_path / "second")


def test_the_app_lists_it_too(app, pictures, tiny_run, tmp_path):
    note_run(write_run(load_dataset(pictures / "instances.json"), tmp_path / "elsewhere"))
    note_run(write_run(load_dataset(pictures / "instances.json"), tmp_path / "far" / "tiny"))
    at = app("views/image/page.py", run="elsewhere")
    assert not at.exception and {"tiny", "elsewhere"} <= set(at.selectbox(key="run").options)
    assert at.selectbox(key="run").value == "elsewhere"
    from app.frame.state import stored_runs

    assert {name: s.path for name, s in stored_runs().items()} == {
        name: s.path for name, s in known_runs().items()
    }, "named alike in both"
