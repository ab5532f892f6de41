"""Sweeps: what is searched, pruning, the leaderboard, a killed trial that goes on, several workers. No
network is trained.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import detector.sweep.run
from detector.catalogue import list_catalogue
from detector.errors import ConfigError, ModelError, RunError
from detector.paths import ROOT
from detector.sweep.recipe import applied, load_sweep
from detector.sweep.run import add_best_to_catalogue, run_sweep
from detector.sweep.state import importance, list_sweeps, read_sweep
from detector.training.two_head.recipe import TwoHeadRecipe
from tests.detector.drawn_training import pretend

BASE = (
    "kind: two_head\nstart: none\nstages: [{steps: 3, learning_rate: 0.01}, {steps: 7, unfrozen:"
    " 0.5}]\nevaluate_every: 2\n"
)
SEARCH = (
    "search:\n  backbone: [MobileNetV2, MobileNet]\n  dropout: {low: 0.0, high: 0.5}\n  input_size: [[64,"
    " 96], [128, 96]]\n"
)


def written(folder: Path, sweep: str, base: str = BASE) -> Path:
    (folder / "base.yaml").write_text(base)
    path = folder / "sweep.yaml"
    path.write_text(f"recipe: base.yaml\n{sweep}")
    return path


@pytest.fixture
def pretended(monkeypatch):
    monkeypatch.setattr(detector.sweep.run, "train_two_head", pretend(0))


def test_a_dotted_key_reaches_into_a_stage():
    recipe = applied(TwoHeadRecipe(), {"stages.1.learning_rate": 0.5, "dropout": 0.3})
    assert [s.learning_rate for s in recipe.stages] == [0.001, 0.5] and recipe.dropout == 0.3
    for wrong in ("stages.2.steps", "stages.x.steps", "stages.0.rate", "stages.0"):
        with pytest.raises(ConfigError, match=r"stages\.N\.KEY with N below 2"):
            applied(TwoHeadRecipe(), {wrong: 1})


@pytest.mark.parametrize(
    "sweep, message",
    [
        ("trials: 3\nsearch: {}\n", "at least one key"),
        ("search: {dropout: []}\n", "at least one choice"),
        ("search: {dropuot: [0.1]}\n", "did you mean 'dropout'"),
        ("search: {dropout: {low: 0.5, high: 0.1}}\n", "low below high"),
        ("search: {dropout: {low: 0, high: 0.1, log: true}}\n", "above 0"),
        (
            "search: {dropout: {low: 0.1, high: 1.5}}\n",
            "search: dropout: dropout: expected 0 or more and less than 1, got 1.5",
        ),
        ("search: {backbone: [MobileNetV2, Mobilenet]}\n", "expected one of MobileNet"),
        ("trails: 3\nsearch: {dropout: [0.1]}\n", "did you mean 'trials'"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused_before_it_starts(tmp_path, sweep, message):
    with pytest.raises(ConfigError, match=message):
        load_sweep(written(tmp_path, sweep))


def test_trials_are_ranked_and_the_best_is_named_in_the_catalogue(tmp_path, pretended, monkeypatch):
    monkeypatch.setenv("BOXSCOPE_HOME", str(tmp_path / "home"))
    sweep = load_sweep(written(tmp_path, f"name: cars\ntrials: 8\npruning: none\n{SEARCH}"))
    told = []
    state = run_sweep(
        sweep, tmp_path / "home" / "sweeps" / "cars", on_trial=lambda t, ended: told.append((t.number, ended))
    )
    assert told == [(i, i + 1) for i in range(8)]
    assert [t.state for t in state.trials] == ["done"] * 8 and state.figure == "score" and state.planned == 8
    for trial in state.trials:
        final = {"MobileNetV2": 0.9, "MobileNet": 0.4}[trial.params["backbone"]] - trial.params[
            "dropout"
        ] / 10
        assert trial.value == pytest.approx(final)
        assert trial.params["input_size"] in ([64, 96], [128, 96])
        assert trial.curve == tuple((step, pytest.approx(final * step / 10)) for step in (2, 4, 6, 8, 10))
        assert (trial.step, trial.steps) == (10, 10)
    values = [t.value for t in state.leaderboard]
    assert values == sorted(values, reverse=True) and state.best.value == max(values)
    stored = json.loads((tmp_path / "home" / "sweeps" / "cars" / "leaderboard.json").read_text())
    assert [row["trial"] for row in stored["leaderboard"]] == [t.number for t in state.leaderboard]
    assert list_sweeps() == [tmp_path / "home" / "sweeps" / "cars"]
    assert max(importance(state.folder).items(), key=lambda item: item[1])[0] == "backbone"
    assert add_best_to_catalogue(state, "cars") == state.best.folder
    (entry,) = [e for e in list_catalogue() if e.name == "cars"]
    assert entry.sources == (str(Path(state.best.folder)),) and "8 trials" in entry.title


def test_a_trial_below_the_median_is_pruned_and_ranks_after_those_that_ended(tmp_path, pretended):
    sweep = load_sweep(
        written(
            tmp_path,
            "trials: 8\nstartup_trials: 2\nprune_after: 3\nsearch: {backbone: [MobileNetV2, MobileNet]}\n",
        )
    )
    state = run_sweep(sweep, tmp_path / "out")
    pruned = [t for t in state.trials if t.state == "pruned"]
    assert pruned and all(t.params["backbone"] == "MobileNet" and t.step == 4 for t in pruned)
    assert [t.state for t in state.leaderboard] == sorted(
        (t.state for t in state.leaderboard), key=["done", "pruned"].index
    )
    assert all(t.value == pytest.approx(0.38 * 4 / 10) for t in pruned), (
        "the newest figure, that of step 4 of 10"
    )


def test_a_finished_sweep_runs_no_trial_and_a_larger_one_adds(tmp_path, pretended):
    search = "search: {dropout: {low: 0.0, high: 0.5}}\n"
    run_sweep(load_sweep(written(tmp_path, f"trials: 2\n{search}")), tmp_path / "out")
    assert len(run_sweep(load_sweep(written(tmp_path, f"trials: 2\n{search}")), tmp_path / "out").trials) == 2
    assert len(run_sweep(load_sweep(written(tmp_path, f"trials: 3\n{search}")), tmp_path / "out").trials) == 3
    with pytest.raises(RunError, match=r"another sweep lies here already \(search differ\)"):
        run_sweep(
            load_sweep(written(tmp_path, "trials: 3\nsearch: {dropout: [0.1, 0.2]}\n")), tmp_path / "out"
        )


def test_failing_trials_are_told_with_their_error_and_end_the_sweep_after_three(tmp_path, monkeypatch):
    def fails(recipe, out, **_):
        raise ModelError(f"no {recipe.backbone} today.")

    monkeypatch.setattr(detector.sweep.run, "train_two_head", fails)
    with pytest.raises(ModelError, match="no MobileNetV2 today"):
        run_sweep(
            load_sweep(written(tmp_path, "trials: 9\nsearch: {dropout: [0.1, 0.2]}\n")), tmp_path / "out"
        )
    state = read_sweep(tmp_path / "out")
    assert [(t.state, t.error) for t in state.trials] == [("failed", "no MobileNetV2 today.")] * 3
    assert state.best is None and state.leaderboard == ()


def test_no_sweep_here(tmp_path):
    with pytest.raises(RunError, match=r"no sweep\.yaml"):
        read_sweep(tmp_path)


def worker(sweep: Path, out: Path, seconds: float) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.detector.drawn_training", str(sweep), str(out), str(seconds)], cwd=ROOT
    )


def wait_for(what, limit: float = 90) -> None:
    deadline = time.monotonic() + limit
    while not what():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_a_killed_trial_goes_on_from_its_checkpoint_under_a_new_number(tmp_path, pretended):
    path, out = (
        written(tmp_path, "trials: 2\npruning: none\nsearch: {dropout: {low: 0.0, high: 0.5}}\n"),
        tmp_path / "out",
    )
    process = worker(path, out, 0.3)
    state = out / "trials" / "0000" / "state.json"
    try:
        wait_for(lambda: state.is_file() and json.loads(state.read_text())["step"] >= 3)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (killed,) = read_sweep(out).trials
    assert killed.state == "killed" and killed.curve[0][0] == 2
    reached = json.loads(state.read_text())["step"]
    after = run_sweep(load_sweep(path), out)
    assert [t.state for t in after.trials] == ["killed", "done", "done"]
    again = after.trials[1]
    assert again.continues == 0 and again.params == killed.params and Path(again.folder).name == "0000"
    assert again.curve[: len(killed.curve)] == killed.curve, "it remembers what it was judged by before"
    assert 3 <= reached < 10 and again.step == 10


def test_two_workers_share_the_trials(tmp_path):
    path, out = (
        written(tmp_path, "trials: 4\npruning: none\nsearch: {dropout: {low: 0.0, high: 0.5}}\n"),
        tmp_path / "out",
    )
    workers = [worker(path, out, 0.05) for _ in range(2)]
    assert [w.wait(timeout=120) for w in workers] == [0, 0]
    state = read_sweep(out)
    assert [t.state for t in state.trials] == ["done"] * 4 and len({t.folder for t in state.trials}) == 4


def test_a_trial_that_ends_while_it_is_looked_at_is_left_alone(tmp_path, monkeypatch):
    from detector.sweep import run as sweep_run
    from detector.sweep.state import open_study

    out = tmp_path / "out"
    sweep = sweep_run.prepare(
        load_sweep(written(tmp_path, "trials: 2\nsearch: {dropout: {low: 0.0, high: 0.5}}\n")), out
    )
    _, study = open_study(out, sweep)
    sweep_run._next_trial(study, sweep, sweep.base())
    lock = sweep_run.FileLock

    def slow_lock(path):
        study.tell(0, 0.5)  # its process ends it, and releases the lock
        return lock(path)

    monkeypatch.setattr(sweep_run, "FileLock", slow_lock)
    sweep_run._revive(study, out)
    assert [t.state for t in read_sweep(out).trials] == ["done"]
