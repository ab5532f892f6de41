"""A sweep: many short trainings of one recipe with varied keys, judged by the same held-out pictures.

The folder of a sweep:

    sweep.yaml        what is searched, as it was started; base.yaml the recipe that varies
    study.db          Optuna's SQLite storage: every trial with its parameters, reported figures and state
    trials/0007/      the training of trial 7, a folder like any other training's; lock is held while it runs
    leaderboard.json  the finished trials, best first; written anew after each

Killed at any moment, the same call goes on: a trial that was running is found by its lock, which died with
its process, and trained further from its checkpoint under a new number. Several processes may work on one
folder at once.

To look at a sweep (a page does this, also while it runs): `list_sweeps`, `read_sweep`, `importance`.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.errors import RunError, UnavailableError
from detector.locks import is_held, locked
from detector.paths import data_dir
from detector.sweep.recipe import Range, SweepRecipe, decoded, load_sweep
from detector.training.common.folder import TrainFolder

if TYPE_CHECKING:
    import optuna

STATES = ("done", "pruned", "running", "waiting", "failed", "killed")


@dataclass(frozen=True)
class TrialState:
    """One trial.

    Args:
        number: from 0, in the order they began.
        state: one of `STATES`; "killed" trials were continued (or will be) under another number.
        value: the figure of the weights it ended with, None before; of a pruned trial the newest.
        params: searched key -> value, as the recipe takes it.
        curve: (step, figure) of each evaluation so far. figures: all figures of the newest.
        step, steps: training steps done, and in all. seconds: since it began, or until it ended.
        folder: of its training. continues: the number of the killed trial it goes on with. error: why it
            failed.
    """

    number: int
    state: str
    value: float | None
    params: dict[str, Any]
    curve: tuple[tuple[int, float], ...]
    figures: dict[str, float]
    step: int
    steps: int
    seconds: float | None
    folder: str
    continues: int | None = None
    error: str = ""


@dataclass(frozen=True)
class SweepState:
    """A sweep as it stands.

    Args:
        name, folder: of the sweep. figure: what is to be high ("" before the first evaluation).
        planned: trials in all. search: the searched keys as sweep.yaml writes them.
        trials: by number.
    """

    name: str
    folder: str
    figure: str
    planned: int
    search: dict[str, Any]
    trials: tuple[TrialState, ...]

    @property
    def leaderboard(self) -> tuple[TrialState, ...]:
        """Done and pruned trials, best first; pruned ones, whose figure is an earlier step's, after all done
        ones.
        """
        ended = [t for t in self.trials if t.state in ("done", "pruned") and t.value is not None]
        return tuple(sorted(ended, key=lambda t: (t.state != "done", -t.value, t.number)))

    @property
    def best(self) -> TrialState | None:
        """The best trial that was trained to its end."""
        return next((t for t in self.leaderboard if t.state == "done"), None)


def list_sweeps() -> list[Path]:
    """Folders of the sweeps under the data directory, by name."""
    return sorted(p.parent for p in data_dir("sweeps").glob("*/sweep.yaml"))


def read_sweep(folder: str | Path) -> SweepState:
    """A sweep as it stands, also while others work on it.

    Raises:
        RunError: no sweep lies here.
    """
    folder = Path(folder)
    sweep, study = open_study(folder)
    steps = sweep.base().steps
    stored = study.get_trials(deepcopy=False)
    gone_on = continued(stored)
    trials = tuple(_trial_state(t, folder, sweep, steps, t.number in gone_on) for t in stored)
    figure = sweep.figure or next((name for t in trials for name in t.figures), "")
    search = {k: v.model_dump() if isinstance(v, Range) else v for k, v in sweep.search.items()}
    return SweepState(sweep.name, str(folder), figure, sweep.trials, search, trials)


def importance(folder: str | Path) -> dict[str, float]:
    """Searched key -> its share of what made trials differ, the largest first; {} before four trials ended.

    Optuna's functional ANOVA (Hutter, Hoos and Leyton-Brown, 2014) where scikit-learn is installed, else
    PED-ANOVA, which needs many trials.

    Raises:
        RunError: no sweep lies here.
    """
    import optuna  # noqa: PLC0415  Optuna costs a second

    _, study = open_study(Path(folder))
    ended = [t for t in study.get_trials(deepcopy=False) if t.state == optuna.trial.TrialState.COMPLETE]
    if len(ended) < 4 or len({t.value for t in ended}) < 2:
        return {}
    kinds = optuna.importance
    forest = importlib.util.find_spec("sklearn") is not None
    try:
        found = kinds.get_param_importances(
            study,
            evaluator=(
                kinds.FanovaImportanceEvaluator(seed=0) if forest else kinds.PedAnovaImportanceEvaluator()
            ),
        )
    except (ValueError, RuntimeError):  # no key was drawn twice with different values
        return {}
    return {key: float(value) for key, value in found.items()}


def open_study(folder: Path, sweep: SweepRecipe | None = None) -> tuple[SweepRecipe, optuna.Study]:
    """The sweep in a folder and its study; `sweep` instead of the folder's file, if it is known already.

    Raises:
        RunError: no sweep lies here. UnavailableError: Optuna is not installed.
    """
    try:
        import optuna  # noqa: PLC0415  Optuna costs a second
    except ImportError as error:
        raise UnavailableError(
            f"A sweep needs Optuna, which cannot be imported here ({error}); pip install optuna."
        ) from error
    if sweep is None:
        if not (folder / "sweep.yaml").is_file():
            raise RunError("expected the folder of a sweep, it holds no sweep.yaml.", path=folder)
        sweep = load_sweep(folder / "sweep.yaml")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(
        n_startup_trials=sweep.startup_trials, n_warmup_steps=sweep.prune_after
    )
    with locked(folder / "storage-lock"):  # two processes creating the same tables at once: one would fail
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{folder.resolve() / 'study.db'}", engine_kwargs={"connect_args": {"timeout": 120}}
        )
        study = optuna.create_study(
            study_name="sweep",
            storage=storage,
            direction="maximize",
            load_if_exists=True,
            pruner=pruner,
            sampler=optuna.samplers.TPESampler(
                seed=sweep.seed + len(list((folder / "trials").glob("*"))), constant_liar=True
            ),
        )
    return sweep, study


def _trial_state(t: Any, folder: Path, sweep: SweepRecipe, steps: int, gone_on: bool) -> TrialState:
    place = trial_folder(t, folder)
    states = {
        "COMPLETE": "done",
        "PRUNED": "pruned",
        "RUNNING": "running",
        "WAITING": "waiting",
        "FAIL": "failed",
    }
    state = "killed" if gone_on else states[t.state.name]
    if state == "running" and not is_held(place / "lock"):
        state = "killed"
    curve = tuple((int(step), float(value)) for step, value in sorted(t.intermediate_values.items()))
    figures, step = {}, curve[-1][0] if curve else 0
    if state in ("done", "pruned", "running"):
        training = TrainFolder(place)
        figures = next((line["figures"] for line in reversed(training.history()) if "figures" in line), {})
        try:
            step = int(training.read_json("state.json")["step"])
        except (RunError, KeyError):
            step = 0  # it has not begun to train
    began = t.datetime_start.timestamp() if t.datetime_start else None
    ended = t.datetime_complete.timestamp() if t.datetime_complete else time.time()
    return TrialState(
        number=t.number,
        state=state,
        value=t.value if t.value is not None else (curve[-1][1] if curve else None),
        params=params_of(t.params, sweep),
        curve=curve,
        figures=figures,
        step=step,
        steps=steps,
        seconds=None if began is None else ended - began,
        folder=str(place),
        continues=t.user_attrs.get("continues"),
        error=t.user_attrs.get("error", ""),
    )


def trial_folder(trial: Any, folder: Path) -> Path:
    """The training's folder of one of Optuna's trials; one that goes on with a killed trial has that
    one's.
    """
    return folder / trial.user_attrs.get("folder", f"trials/{trial.number:04d}")


def continued(trials: Iterable[Any]) -> set[int]:
    """Numbers of the killed trials that another one goes on with."""
    return {t.user_attrs["continues"] for t in trials if "continues" in t.user_attrs}


def params_of(stored: Mapping[str, Any], sweep: SweepRecipe) -> dict[str, Any]:
    """Optuna's parameters as the recipe takes them."""
    return {
        k: decoded(v, among) if isinstance(among := sweep.search.get(k), list) else v
        for k, v in stored.items()
    }


def as_json(state: SweepState) -> dict[str, Any]:
    """Plain values of a sweep, for `--json`."""
    return asdict(state) | {
        "best": asdict(state.best) if state.best else None,
        "leaderboard": [t.number for t in state.leaderboard],
    }
