"""Runs the trials of a sweep; `detector.sweep.state` says what its folder holds and reads it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from detector.data.dataset import Dataset
from detector.errors import ConfigError, ModelError, RunError
from detector.locks import FileLock, locked
from detector.paths import data_dir, write_atomically
from detector.sweep.recipe import SweepRecipe, as_wanted, coded, current, load_sweep
from detector.sweep.state import (
    SweepState,
    TrialState,
    continued,
    open_study,
    params_of,
    read_sweep,
    trial_folder,
)
from detector.training.common.folder import TrainFolder
from detector.training.common.session import TrainProgress
from detector.training.two_head.recipe import TwoHeadRecipe
from detector.training.two_head.training import train_two_head

if TYPE_CHECKING:
    import optuna

BASE = "base.yaml"  # the base recipe with its shared changes, in the sweep's folder
FAILURES = 3  # trials that fail one after another before the sweep gives up


def run_sweep(
    sweep: SweepRecipe,
    folder: str | Path,
    *,
    dataset: Dataset | None = None,
    progress: Callable[[int, TrainProgress], None] | None = None,
    on_trial: Callable[[TrialState, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> SweepState:
    """Run trials until all are done, alone or beside other processes that do the same; continues what was
    killed.

    Args:
        folder: a new one, or that of the same sweep (only `trials` may differ: the larger number counts).
        dataset: instead of what the recipe's `data` names.
        progress: (trial, progress) after every training step of this process' trial.
        on_trial: (trial, how many of all have ended) after each trial of this process.
        should_stop: True stops the running trial after a checkpoint; the next call goes on with it.

    Raises:
        RunError: another sweep lies in the folder. DataError, ImageError: the data cannot be used.
        ModelError, ConfigError: three trials in a row failed; the last one's error.
    """
    folder, should_stop = Path(folder), should_stop or (lambda: False)
    sweep = prepare(sweep, folder)
    _, study = open_study(folder, sweep)
    base, failures = sweep.base(), 0
    while not should_stop():
        with locked(folder / "lock"):
            _revive(study, folder)
            trial = _next_trial(study, sweep, base)
            if trial is None:
                break
            place = trial_folder(trial, folder)
            place.mkdir(parents=True, exist_ok=True)
            trial.set_user_attr("folder", str(place.relative_to(folder)))
            lock = FileLock(place / "lock")
        try:
            error = _run_trial(study, trial, sweep, base, place, dataset, progress, should_stop)
        finally:
            lock.release()
        if error is not None:
            failures += 1
            if failures == FAILURES:
                raise error
            continue
        failures = 0
        state = read_sweep(folder)
        write_leaderboard(state)
        if on_trial is not None and not should_stop():
            on_trial(state.trials[trial.number], sum(t.state in ("done", "pruned") for t in state.trials))
    state = read_sweep(folder)
    write_leaderboard(state)
    return state


def write_leaderboard(state: SweepState) -> None:
    """leaderboard.json: place, trial, value, figures and parameters of each ended trial."""
    rows = [
        {
            "place": i,
            "trial": t.number,
            "state": t.state,
            "value": t.value,
            "figures": t.figures,
            "params": t.params,
            "step": t.step,
            "folder": t.folder,
        }
        for i, t in enumerate(state.leaderboard, start=1)
    ]
    values = {"name": state.name, "figure": state.figure, "planned": state.planned, "leaderboard": rows}
    write_atomically(Path(state.folder) / "leaderboard.json", (json.dumps(values, indent=1) + "\n").encode())


def add_best_to_catalogue(state: SweepState, key: str) -> str:
    """Name the best trial's detector `key` in the data directory's sweeps.yaml, which the catalogue reads.

    Returns:
        The best trial's folder.

    Raises:
        RunError: no trial was trained to its end yet.
    """

    best = state.best
    if best is None:
        raise RunError("expected a trial that was trained to its end, there is none yet.", path=state.folder)
    path = data_dir() / "sweeps.yaml"
    entries = (yaml.safe_load(path.read_text()) or {}).get("detectors", {}) if path.is_file() else {}
    entries[key] = {
        "title": f"{state.name} (best of {len(state.leaderboard)} trials)",
        "description": (
            f"Trial {best.number} of the sweep: {state.figure} {best.value:.4g} on the held-out pictures it"
            " was chosen by."
        ),
        "sources": [str(Path(best.folder).resolve())],
    }
    head = (
        "# Written by boxscope sweep: the best detector of each. Entries of your own belong into"
        " catalogue.yaml.\n"
    )
    write_atomically(path, (head + yaml.safe_dump({"detectors": entries}, sort_keys=True)).encode())
    return best.folder


def _run_trial(
    study: optuna.Study,
    trial: optuna.Trial,
    sweep: SweepRecipe,
    base: TwoHeadRecipe,
    place: Path,
    dataset: Dataset | None,
    progress: Callable[[int, TrainProgress], None] | None,
    should_stop: Callable[[], bool],
) -> ConfigError | ModelError | None:
    """Train one trial and tell the study; the error that made it fail, if one did."""
    import optuna  # noqa: PLC0415  Optuna costs a second

    state = optuna.trial.TrialState

    def judged(step: int, figures: Mapping[str, float]) -> bool:
        trial.report(_value(figures, sweep), step)
        # The last evaluation decides by its figure, not by the median.
        pruned.append(step < base.steps and sweep.pruning == "median" and trial.should_prune())
        return pruned[-1]

    pruned: list[bool] = []
    try:
        recipe = sweep.trial(
            base, {k: as_wanted(v, current(base, k)) for k, v in params_of(trial.params, sweep).items()}
        )
        recipe = recipe.with_(name=f"{sweep.name} {trial.number}")
        folder = TrainFolder(place)
        resume = folder.started
        for line in folder.history() if resume else []:  # a trial that goes on: what it was judged by before
            if "figures" in line:
                trial.report(_value(line["figures"], sweep), line["step"])
        if "keras" in sys.modules:  # graphs of the trial before
            sys.modules["keras"].utils.clear_session()
        train_two_head(
            recipe,
            place,
            dataset=dataset,
            on_evaluation=judged,
            should_stop=should_stop,
            resume=resume,
            progress=None if progress is None else lambda p: progress(trial.number, p),
        )
    except (ConfigError, ModelError) as error:
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=state.FAIL)
        return error
    reached = folder.read_json("state.json")
    if reached["state"] == "done":
        # The weights that are the result need not be the last ones (`keep: best`).
        step = (reached.get("best") or reached)["step"]
        figures = next(
            (line["figures"] for line in folder.history() if "figures" in line and line["step"] == step),
            reached["figures"],
        )
        study.tell(trial, _value(figures, sweep))
    elif pruned and pruned[-1]:
        study.tell(trial, state=state.PRUNED)
    return None  # stopped: it stays "running" without a lock, which is how the next call finds it


def _value(figures: Mapping[str, float], sweep: SweepRecipe) -> float:
    if not figures:
        raise ConfigError(
            "expected held-out pictures to judge the trials by; set held_out, val_split or val_data."
        )
    name = sweep.figure or next(iter(figures))
    if name not in figures:
        raise ConfigError(f"figure: expected one of {', '.join(figures)}, got {name!r}.")
    return float(figures[name])


def _next_trial(study: optuna.Study, sweep: SweepRecipe, base: TwoHeadRecipe) -> optuna.Trial | None:
    """A trial to run, or None where all are done or in other hands."""
    import optuna  # noqa: PLC0415  Optuna costs a second

    trials = study.get_trials(deepcopy=False)
    waiting = any(t.state == optuna.trial.TrialState.WAITING for t in trials)
    begun = sum(
        t.state != optuna.trial.TrialState.WAITING and t.number not in continued(trials) for t in trials
    )
    if not waiting and begun >= sweep.trials:
        return None
    space: dict[str, Any] = {}
    for key, among in sweep.search.items():
        if isinstance(among, list):
            space[key] = optuna.distributions.CategoricalDistribution([coded(choice) for choice in among])
        elif isinstance(current(base, key), int):
            space[key] = optuna.distributions.IntDistribution(
                int(among.low), int(among.high), log=among.log, step=int(among.step or 1)
            )
        else:
            space[key] = optuna.distributions.FloatDistribution(
                among.low, among.high, log=among.log, step=among.step
            )
    return study.ask(space)


def _revive(study: optuna.Study, folder: Path) -> None:
    """Put trials whose process died back into the queue; their training goes on where it was."""
    import optuna  # noqa: PLC0415  Optuna costs a second

    state = optuna.trial.TrialState
    trials = study.get_trials(deepcopy=False)
    for trial in trials:
        if trial.state != state.RUNNING:
            continue
        place = trial_folder(trial, folder)
        place.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(place / "lock")
        except BlockingIOError:
            continue  # a living process works on it
        # Its process may have ended it since the list was read; it does so before it releases the lock.
        ended = study.get_trials(deepcopy=False)[trial.number].state != state.RUNNING
        lock.release()
        if ended:
            continue
        if trial.number not in continued(trials):
            study.enqueue_trial(
                trial.params, user_attrs={"folder": str(place.relative_to(folder)), "continues": trial.number}
            )
        study.tell(trial.number, state=state.FAIL)


def prepare(sweep: SweepRecipe, folder: str | Path) -> SweepRecipe:
    """Make a sweep's folder, or join the one there: the sweep it holds, with the larger of the two numbers of
    trials.

    Raises:
        RunError: another sweep lies there. ConfigError: one file of weights for several backbones.
    """

    sweep.refuse_one_start_for_several_backbones()
    folder = Path(folder)
    path, base_path = folder / "sweep.yaml", folder / BASE
    folder.mkdir(parents=True, exist_ok=True)
    base = sweep.base().resolved()
    plain = json.loads(sweep.model_dump_json()) | {"recipe": BASE, "set": {}}
    with locked(folder / "lock"):
        if path.is_file():
            before = load_sweep(path)
            stored = json.loads(before.model_dump_json()) | {"recipe": BASE, "set": {}}
            differing = sorted(k for k in plain if k != "trials" and stored[k] != plain[k])
            if before.base().hash != base.hash:
                differing.append("the base recipe")
            if differing:
                raise RunError(
                    f"another sweep lies here already ({', '.join(differing)} differ); name another folder.",
                    path=path,
                )
            plain["trials"] = max(plain["trials"], before.trials)
        else:
            write_atomically(
                base_path, yaml.safe_dump(base.as_dict(), sort_keys=False, allow_unicode=True).encode()
            )
        write_atomically(path, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode())
    return load_sweep(path)
