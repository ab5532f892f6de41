"""Trainings as pages and commands see them: each a folder, and while it runs a process that holds its lock.

FOLDER/               what `detector.training.common.folder` lists: recipe.yaml, state.json, the weights, ...
FOLDER/asked.yaml     the recipe a page asked for, until the training has written its own
FOLDER/progress.json  how far the process is, and why it ended early
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from app.files.roots import inside_roots, roots
from app.jobs import detection, process
from app.jobs.job import ProcessJob
from detector.errors import BoxscopeError, RunError
from detector.locks import WorkerLock
from detector.paths import data_dir, write_atomically
from detector.training.common.preview import HeldOut
from detector.training.common.session import TrainProgress
from detector.training.recipes import Recipe, preview_training, read_recipe, train_recipe, training_state

ASKED = "asked.yaml"
LIVE = ("starting", "running", "stopping")
STEP = 0.5  # seconds between two writes of progress.json
LOOK = 10.0  # seconds between two looks through the roots
_looked: dict[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class TrainJob(ProcessJob):
    """The process that trains in a folder. How the training itself stands, `read` says.

    `started` is stored by who starts a process, and no more once that holds its lock: from then on the lock
    says whether it lives.

    Args:
        step, steps: done, and in all (0 while unknown).
        rate: images per second.
        seconds_left: at that rate; None while unknown.
        figures: of the newest evaluation of the held-out images.
        file: what the error is about.
        phase: what it does before its first step, in words; "" while it trains.
    """

    WHAT: ClassVar = "The training"
    LOCK: ClassVar = "train"
    FILE: ClassVar = "progress.json"
    STOP: ClassVar = "stop"

    step: int = 0
    steps: int = 0
    rate: float = 0.0
    seconds_left: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    file: str = ""
    phase: str = ""

    def execute(self) -> int:
        """Train by the recipe of the folder, then run the result on images it was not trained with."""
        try:
            recipe = read_recipe(recipe_file(self.folder))
            found = preview_training(recipe)
            for dataset in found.datasets:
                inside_roots(dataset)
            run_training(recipe, self.folder, resume=(self.folder / "recipe.yaml").is_file())
            unseen = [images for images in found.held_out if images.unseen]
            if training_state(self.folder).get("state") == "done" and unseen:
                try_on(self.folder, recipe.name, unseen[0])
        except BoxscopeError as error:
            self._fail(error)
            print(error, file=sys.stderr)
            return 1
        return 0

    def _fail(self, error: BoxscopeError) -> None:
        job_of(self.folder).save(started=0.0, error=error.message, file=error.path or "")


def job_of(folder: Path) -> TrainJob:
    """The job of a training's folder, started or not."""
    return TrainJob.stored(folder) or TrainJob(folder=folder)


@dataclass(frozen=True)
class Training:
    """How a training stands.

    Args:
        stage: "starting" (no step yet), "running", "stopping", "done", "stopped", "failed", or "interrupted":
            its process is gone without an error message.
        step, steps: done, and in all (0 while unknown).
        rate: images per second; seconds_left: at that rate, without the evaluations to come; None where
            unknown.
        figures: of the newest look at the held-out images; best: {"figure", "value", "step"} or None.
        error: why it failed, one sentence; file: the file that is about.
        begun: Unix time at which it was asked for.
        phase: what is done before the first step, with how far it is; notes: what was chosen or left out.
    """

    folder: Path
    stage: str
    step: int = 0
    steps: int = 0
    rate: float = 0.0
    seconds_left: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    best: dict[str, Any] | None = None
    error: str = ""
    file: str = ""
    begun: float = 0.0
    phase: str = ""
    notes: tuple[str, ...] = ()

    @property
    def live(self) -> bool:
        return self.stage in LIVE

    @property
    def fraction(self) -> float:
        """0..1."""
        return min(1.0, self.step / self.steps) if self.steps else 0.0

    def recipe(self) -> Recipe:
        """Raises ConfigError: it was edited into nonsense."""
        return read_recipe(recipe_file(self.folder))


def recipe_file(folder: Path) -> Path:
    """The training's own recipe, or while there is none the one that was asked for."""
    own = folder / "recipe.yaml"
    return own if own.is_file() else folder / ASKED


def start(recipe: Recipe, stem: str) -> Path:
    """Start a training in the background, in a new folder under the data directory's `models/`; returns the
    folder.

    Args:
        stem: the folder's name; a number is added where that is taken.
    """
    import yaml

    folder, number = data_dir("models") / slug(stem), 2
    while folder.exists():
        folder, number = folder.with_name(f"{slug(stem)}-{number}"), number + 1
    folder.mkdir()
    text = yaml.safe_dump(recipe.resolved().as_dict(), sort_keys=False, allow_unicode=True)
    write_atomically(folder / ASKED, text.encode())
    resume(folder)
    return folder


def slug(text: str) -> str:
    """A folder's name from what a person typed: "My cars, 2" gives "my-cars-2"."""
    return re.sub(r"[^\w.]+", "-", text.strip()).strip("-.").lower()[:60] or "training"


def resume(folder: Path) -> None:
    """Go on with a training in the background, from its newest checkpoint, or from the start where there is
    none.
    """
    TrainJob(folder=folder).start()


def stop(folder: Path) -> None:
    """Ask a training to stop after the current step; its checkpoint is written first. Before its first step
    it ends at once.
    """
    job = job_of(folder)
    job.cancel()
    if read(folder).stage == "starting":
        job.terminate()


def try_on(folder: Path, name: str, held_out: HeldOut) -> detection.Detection:
    """Run the training's detector, in the background, on images it was not trained with."""
    ids = None if held_out.ids is None else tuple(held_out.ids)
    return detection.start(
        f"{name} on {held_out.words}", str(folder), held_out.data, split=held_out.split, ids=ids
    )


def tried(folder: Path) -> detection.Detection | None:
    """The newest detection with this training's weights as they are now, asked for by `try_on` or on the page
    Detect.
    """
    made = training_state(folder).get("written", 0.0)
    return next((job for job in detection.jobs() if job.model == str(folder) and job.started >= made), None)


def _notes(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(json.loads((folder / "start.json").read_text(encoding="utf-8")).get("notes", ()))
    except (OSError, ValueError):
        return ()  # not written yet


def read(folder: Path) -> Training:
    """How the training in this folder stands, whichever process runs it."""
    # The lock is looked at before the state: a training writes its end before it lets go.
    lives = job_of(folder).alive
    state, job = training_state(folder), job_of(folder)
    step = max(state.get("step") or 0, job.step) if lives else state.get("step") or 0
    common = {
        "step": step,
        "steps": job.steps or state.get("steps") or 0,
        "figures": job.figures or state.get("figures") or {},
        "best": state.get("best"),
        "begun": _begun(folder),
        "phase": job.phase,
        "notes": _notes(folder),
    }
    if lives and state.get("state") == "done" and not (job.started or job.step):
        lives = False  # its process only has to end yet
    if lives:
        stage = "stopping" if job.stop_requested else "running" if job.step else "starting"
        return Training(folder, stage, rate=job.rate, seconds_left=job.seconds_left, **common)
    if job.error:
        return Training(folder, "failed", error=job.error, file=job.file, **common)
    if state.get("state") == "failed":
        return Training(folder, "failed", error=state.get("error", ""), **common)
    if state.get("state") in ("done", "stopped"):
        return Training(folder, state["state"], **common)
    return Training(folder, "stopped" if job.stop_requested else "interrupted", **common)


def trainings() -> list[Training]:
    """Those under the data directory and in the roots, the newest first."""
    found = {path.resolve(): None for path in [*_in(data_dir("models")), *_in_roots()]}
    return sorted((read(path) for path in found), key=lambda t: -t.begun)


def _begun(folder: Path) -> float:
    for name in (ASKED, "start.json", "recipe.yaml"):  # none of them is written again
        try:
            return (folder / name).stat().st_mtime
        except OSError:
            continue
    return 0.0


def _in(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            folders = [Path(e.path) for e in entries if e.is_dir() and not e.name.startswith(".")]
    except OSError:
        return []
    return [
        f
        for f in [*folders, place]
        if (f / ASKED).is_file() or ((f / "recipe.yaml").is_file() and (f / "state.json").is_file())
    ]


def _in_roots() -> list[Path]:
    # A user's folder may hold a hundred thousand pictures; it is looked through now and then, not at every
    # rerun.
    key, now = tuple(roots()[1:]), time.monotonic()
    if _looked.get("roots") != key or now - _looked["at"] > LOOK:
        _looked.update(roots=key, at=now, found=[folder for place in key for folder in _in(place)])
    return _looked["found"]


# ---- the process that trains


def run_training(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    progress: Callable[[TrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Path:
    """Train in this process, as the command does and the page's process; pages see how far it is and may stop
    it.

    Raises:
        RunError: another process trains in this folder. Whatever `detector.training.recipes.train_recipe`
            raises.
    """
    from analysis.metrics.validation import average_precision

    folder.mkdir(parents=True, exist_ok=True)
    job = TrainJob(folder=folder, stage="running")
    try:
        lock = WorkerLock(folder, TrainJob.LOCK)
    except RunError:
        raise RunError(
            "another process trains in this folder; wait for it, stop it, or name another folder.",
            path=folder,
        ) from None
    written = 0.0

    def note(p: TrainProgress) -> None:
        nonlocal written
        if time.monotonic() - written > STEP:
            written = time.monotonic()
            job.save(
                step=0 if p.phase else p.step,
                phase=f"{p.phase}: {p.step:,} of {p.steps:,}" if p.phase else "",
                steps=p.steps,
                rate=p.images_per_second,
                seconds_left=p.seconds_left,
                figures=dict(p.figures),
            )
        if progress is not None:
            progress(p)

    def stop_requested() -> bool:
        return (should_stop is not None and should_stop()) or job.stop_requested

    try:
        (folder / TrainJob.STOP).unlink(missing_ok=True)
        job.save()
        train_recipe(
            recipe,
            folder,
            progress=note,
            should_stop=stop_requested,
            validate=average_precision,
            resume=resume,
        )
        job.save()
    except BoxscopeError as error:
        # A RunError is the wrong command in the right folder: the training in it stays as it is.
        if not isinstance(error, RunError):
            job.save(error=error.message, file=error.path or "")
        raise
    except Exception as error:
        job.save(error=process.sentence(error, job.WHAT, folder))
        raise
    finally:
        lock.release()
    return folder
