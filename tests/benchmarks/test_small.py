"""Benchmarks in their small mode: they run to the end and report rows. What they promise is judged at full
size.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

from tests.benchmarks.__main__ import NAMES, end_group, main, measure, table
from tests.benchmarks.table import kept


def test_every_benchmark_is_a_module_with_an_entry():
    for name in NAMES:
        assert callable(importlib.import_module(f"tests.benchmarks.bench_{name}").main), name


@pytest.mark.parametrize("name", ["threshold_move", "find_images", "nms", "run_open", "autopsy"])
def test_it_runs_small_and_reports(name):
    found = measure(name, small=True, limit=120)
    assert found["state"] == "kept", found["output"]
    assert found["rows"] and all(r["ours"] > 0 for r in found["rows"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coco_open", "evaluation"])
def test_it_runs_small_in_processes_of_its_own(name):
    test_it_runs_small_and_reports(name)


ROW = {
    "what": "x",
    "unit": "s",
    "ours": 2.0,
    "peer": 8.0,
    "ratio": 4.0,
    "promised": 4,
    "at_most": False,
    "spread": 0.1,
}


def test_a_promise_is_kept_at_its_bound_and_not_beyond():
    assert kept(ROW) and not kept(ROW | {"promised": 4.01})
    most = ROW | {"ratio": None, "at_most": True}
    assert kept(most | {"promised": 2}) and not kept(most | {"promised": 1.99})
    assert kept(ROW | {"promised": None})


def test_the_table_names_what_is_missed():
    lines = table([{"name": "a", "state": "missed", "rows": [ROW | {"promised": 5}]},
                   {"name": "b", "state": "too long", "rows": []}]).splitlines()  # fmt: skip
    assert lines[2] == "| x | 2 s | 8 s | 4 | at least 5 | 10%, **missed** |"
    assert lines[3] == "| b: too long | | | | | |"


def test_a_missed_promise_and_a_crash_fail_the_command(monkeypatch, tmp_path, capsys):
    from tests.benchmarks import __main__ as command

    states = {"nms": "missed", "autopsy": "kept"}
    monkeypatch.setattr(
        command,
        "measure",
        lambda name, **_: {"name": name, "state": states[name], "rows": [ROW], "output": ""},
    )
    out = tmp_path / "figures.json"
    assert main(["autopsy", "--out", str(out)]) == 0 and main(["nms", "autopsy"]) == 1
    figures = json.loads(out.read_text())
    assert figures["versions"]["numpy"] and figures["benchmarks"][0]["rows"] == [ROW]


def test_ending_a_group_ends_what_it_started():
    child = (
        "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True);"
        " time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", child], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    grandchild = int(process.stdout.readline())
    end_group(process)
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(grandchild)], capture_output=True, text=True
    ).stdout
    assert state.strip()[:1] in ("", "Z")
