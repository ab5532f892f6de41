"""Runs made outside the data directory are remembered and listed beside its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import cli
from app.files.run_list import FILE, find_run, known_runs, named_runs, note_run, noted_runs
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
    assert named_runs() == {"tiny": tiny_run, "tiny@a": one, "tiny@b": other}
    shutil.rmtree(one)
    assert named_runs() == {"tiny": tiny_run, "tiny@b": other}


def test_a_run_keeps_its_name_when_further_ones_are_made(pictures, boxscope_home, tmp_path):
    """The oldest keeps the plain name, whatever is noted first; a broken one, whose age is unknown, is
    last.
    """
    dataset = load_dataset(pictures / "instances.json")
    places = [tmp_path / x / "one" / "my_run" for x in ("third", "first", "second")]
    made = dict(zip(("third", "first", "second"), places))
    for place in places:
        write_run(dataset, place)
        note_run(place)
    for day, which in enumerate(("first", "second", "third"), 1):
        _created(made[which], f"2026-01-0{day}T00:00:00+00:00")
    assert named_runs() == {
        "my_run@one~3": made["third"],
        "my_run@one~2": made["second"],
        "my_run@one": made["first"],
    }
    broken = tmp_path / "aaa" / "one" / "my_run"
    broken.mkdir(parents=True)
    (broken / "manifest.json").write_text("{")
    note_run(broken)
    assert named_runs()["my_run@one~4"] == broken and named_runs()["my_run@one"] == made["first"]
    write_run(dataset, boxscope_home / "runs" / "my_run")
    assert named_runs()["my_run"] == boxscope_home / "runs" / "my_run"
    assert named_runs()["my_run@one"] == made["first"], "a run of the data directory takes no name away"


def _created(run, when: str) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest | {"created": when}))


def test_the_command_and_the_page_open_the_same_run_by_the_same_name(app, pictures, boxscope_home, tmp_path):
    """Two runs of one folder name, of 3 and of 2 images: either name is one run, for both."""
    old, new = tmp_path / "one" / "my_run", tmp_path / "two" / "my_run"
    truth = str(pictures / "instances.json")
    for place, limit in ((old, "3"), (new, "2")):
        detect = [
            "detect",
            "--model",
            f"fake:{truth}",
            "--data",
            truth,
            "--limit",
            limit,
            "--out",
            str(place),
        ]
        assert CliRunner().invoke(cli.app, detect).exit_code == 0
    images = {}
    for name, place in (("my_run@one", old), ("my_run@two", new)):
        assert find_run(Path(name)) == place
        shown = CliRunner().invoke(cli.app, ["evaluate", name, "--json"])
        at = app("views/image/page.py", run=name)
        assert at.selectbox(key="run").value == name
        images[name] = json.loads(shown.stdout)["images"], len(at.session_state["_shared"].run)
    assert images == {"my_run@one": (3, 3), "my_run@two": (2, 2)}


def test_a_bare_name_is_never_answered_with_a_run_of_another_folder(pictures, boxscope_home, tmp_path):
    dataset = load_dataset(pictures / "instances.json")
    elsewhere = write_run(dataset, tmp_path / "one" / "run")
    note_run(elsewhere)
    with pytest.raises(InputError, match=r"run is not a run here.*run@one") as refused:
        find_run(Path("run"))
    assert str(elsewhere) in str(refused.value)
    ended = CliRunner().invoke(cli.app, ["evaluate", "run"])
    assert isinstance(ended.exception, InputError) and ended.stdout == ""


def test_a_link_made_while_a_name_was_bare_still_opens_its_run(app, pictures, tiny_run, tmp_path):
    dataset = load_dataset(pictures / "instances.json")
    old, new = (write_run(dataset, tmp_path / place / "mine") for place in ("one", "two"))
    for place, when in ((new, "2026-01-02"), (old, "2026-01-01")):
        _created(place, f"{when}T00:00:00+00:00")
        note_run(place)
    at = app("views/image/page.py", run="mine")
    assert at.selectbox(key="run").value == "mine@one", "the oldest of that folder name"
    assert not at.warning


def test_detect_notes_what_it_makes_and_commands_find_it_by_its_name(pictures, boxscope_home, tmp_path):
    truth = str(pictures / "instances.json")
    made = CliRunner().invoke(
        cli.app,
        ["detect", "--model", f"fake:{truth}", "--data", truth, "--out", str(tmp_path / "far" / "first")],
    )
    assert made.exit_code == 0, made.exception
    (listed,) = json.loads(CliRunner().invoke(cli.app, ["runs", "--json"]).stdout)
    assert (listed["name"], listed["path"], listed["state"]) == (
        "first@far",
        str(tmp_path / "far" / "first"),
        "done",
    )
    assert find_run(Path("first@far")) == tmp_path / "far" / "first"
    with pytest.raises(InputError, match="is not a run"):
        find_run(tmp_path / "second")


def test_the_app_lists_it_too(app, pictures, tiny_run, tmp_path):
    note_run(write_run(load_dataset(pictures / "instances.json"), tmp_path / "elsewhere"))
    note_run(write_run(load_dataset(pictures / "instances.json"), tmp_path / "far" / "tiny"))
    name = f"elsewhere@{tmp_path.name}"
    at = app("views/image/page.py", run=name)
    assert not at.exception and {"tiny", name} <= set(at.selectbox(key="run").options)
    assert at.selectbox(key="run").value == name
    from app.frame.state import stored_runs

    assert {name: s.path for name, s in stored_runs().items()} == {
        name: s.path for name, s in known_runs().items()
    }, "named alike in both"


def test_of_equal_names_the_data_directorys_run_comes_first_however_young(pictures, boxscope_home, tmp_path):
    dataset = load_dataset(pictures / "instances.json")
    elsewhere = write_run(dataset, tmp_path / "a" / "tiny")
    own = write_run(dataset, boxscope_home / "runs" / "tiny@a")
    note_run(elsewhere)
    _created(elsewhere, "2026-01-01T00:00:00+00:00")
    _created(own, "2026-01-02T00:00:00+00:00")
    assert named_runs() == {"tiny@a": own, "tiny@a~2": elsewhere}


def test_of_equal_names_and_ages_the_path_decides(pictures, tmp_path):
    dataset = load_dataset(pictures / "instances.json")
    later, earlier = (write_run(dataset, tmp_path / x / "one" / "my_run") for x in ("b", "a"))
    for place in (later, earlier):
        note_run(place)
        _created(place, "2026-01-01T00:00:00+00:00")
    assert named_runs() == {"my_run@one": earlier, "my_run@one~2": later}
