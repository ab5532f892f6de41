"""Trainings as pages see them: running, stopped, failed, cut off, done; most with a training that only
pretends.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import cv2
import pytest
import yaml

from app.jobs import process, trainings
from detector.errors import DataError, ModelError, RunError
from detector.locks import WorkerLock
from detector.training.common.folder import TrainFolder
from detector.training.common.session import TrainProgress
from detector.training.ssd.recipe import TrainRecipe
from tests.detector.ssd.drawn import SCENES, draw

RECIPE = TrainRecipe(data="x", steps=6)


def voc_folder(folder: Path, boxes: bool = True) -> Path:
    """The drawn pictures as a VOC data set: three to train on, one to validate on."""
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    for i, scene in enumerate(SCENES):
        cv2.imwrite(str(folder / "JPEGImages" / f"{i}.png"), draw(scene, seed=i)[..., ::-1])
        objects = (
            "".join(
                f"<object><name>{['box', 'disc', 'wedge'][kind]}</name><bndbox><xmin>{x1 + 1}</xmin>"
                f"<ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
                for kind, x1, y1, x2, y2 in scene
            )
            if boxes
            else ""
        )
        (folder / "Annotations" / f"{i}.xml").write_text(
            f"<annotation><filename>{i}.png</filename><size><width>200</width><height>160</height><depth>3</depth></size>{objects}</annotation>"
        )
    (folder / "ImageSets/Main/train.txt").write_text("0\n1\n2\n")
    (folder / "ImageSets/Main/val.txt").write_text("3\n")
    return folder


@pytest.fixture
def pretended(monkeypatch):
    """Instead of a training: six steps, each with what a real one writes; `seen(step)` is called after
    each.
    """

    def install(seen=lambda folder, step: None, error: Exception | None = None):
        def train_recipe(recipe, out, *, progress, should_stop, validate, resume):
            folder = TrainFolder(out)
            if not resume and folder.started:
                raise RunError(
                    "a training lies here already; resume it, or name another folder.", path=folder.path
                )
            folder.write_recipe(recipe)
            step = folder.read_json("state.json")["step"] if resume else 0
            stop = False
            while step < recipe.steps and not stop:
                step += 1
                if error is not None and step == 3:
                    folder.write_json(
                        "state.json",
                        {"state": "failed", "step": 2, "steps": recipe.steps, "error": str(error)},
                    )
                    raise error
                progress(
                    TrainProgress(
                        step,
                        recipe.steps,
                        1.0,
                        0.5,
                        0.25,
                        0.25,
                        0.01,
                        20.0,
                        (recipe.steps - step) / 5,
                        {"AP": 0.5},
                    )
                )
                seen(folder.path, step)
                stop = should_stop()
            best = {"figure": "AP", "value": 0.5, "step": step}
            folder.write_json(
                "state.json",
                {
                    "state": "stopped" if stop else "done",
                    "step": step,
                    "steps": recipe.steps,
                    "best": best,
                    "figures": {"AP": 0.5},
                    "written": time.time(),
                },
            )
            return folder.path

        monkeypatch.setattr(trainings, "train_recipe", train_recipe)
        monkeypatch.setattr(trainings, "STEP", -1.0)

    return install


def test_it_is_running_while_it_runs_and_done_after(pretended, tmp_path):
    stages = []
    pretended(lambda folder, step: stages.append(trainings.read(folder)))
    trainings.run_training(RECIPE, tmp_path / "run")
    assert [(t.stage, t.step, t.steps) for t in stages] == [("running", i, 6) for i in range(1, 7)]
    assert (stages[1].rate, stages[1].seconds_left, stages[1].figures, stages[2].fraction) == (
        20.0,
        0.8,
        {"AP": 0.5},
        0.5,
    )
    t = trainings.read(tmp_path / "run")
    assert (t.stage, t.step, t.best["value"], t.error, t.live) == ("done", 6, 0.5, "", False)
    with pytest.raises(RunError, match="lies here already"):  # and that leaves it as it is
        trainings.run_training(RECIPE, tmp_path / "run")
    assert trainings.read(tmp_path / "run").stage == "done"


def test_asked_to_stop_it_stops_and_goes_on(pretended, tmp_path):
    folder = tmp_path / "run"
    pretended(lambda path, step: step == 2 and trainings.stop(path))
    trainings.run_training(RECIPE, folder)
    assert (trainings.read(folder).stage, trainings.read(folder).step) == ("stopped", 2)
    trainings.run_training(
        RECIPE, folder, resume=True, should_stop=lambda: True
    )  # Ctrl-C does the same; the old wish is forgotten
    assert (trainings.read(folder).stage, trainings.read(folder).step) == ("stopped", 3)
    trainings.run_training(RECIPE, folder, resume=True)
    assert trainings.read(folder).stage == "done"


def test_two_processes_do_not_train_in_one_folder(pretended, tmp_path):
    pretended()
    lock = WorkerLock(tmp_path, trainings.TrainJob.LOCK)
    try:
        with pytest.raises(RunError, match="another process trains in this folder"):
            trainings.run_training(RECIPE, tmp_path)
        assert trainings.read(tmp_path).live
    finally:
        lock.release()


def test_why_it_failed_is_one_sentence(pretended, tmp_path):
    for name, error, says in (
        (
            "nan",
            ModelError("expected a finite loss, at step 3 of 6 it is nan; the batch held a.jpg."),
            "expected a finite loss, at step 3 of 6 it is nan; the batch held a.jpg.",
        ),
        (
            "data",
            DataError("expected boxes to train on, got none in 4 labelled images.", path="x/y.json"),
            "expected boxes to train on, got none in 4 labelled images.",
        ),
        (
            "bug",
            ValueError("shapes differ\nat layer 3"),
            f"The training failed (ValueError: shapes differ); its log is {tmp_path / 'bug' / 'log.txt'}.",
        ),
    ):
        pretended(error=error)
        with pytest.raises(type(error)):
            trainings.run_training(RECIPE, tmp_path / name)
        t = trainings.read(tmp_path / name)
        assert (t.stage, t.error, t.file) == ("failed", says, "x/y.json" if name == "data" else "")


def test_one_that_died_without_a_word_is_cut_off(tmp_path):
    folder = TrainFolder(tmp_path)
    folder.write_recipe(RECIPE)
    folder.write_json("state.json", {"state": "running", "step": 4, "steps": 6, "best": None, "figures": {}})
    (tmp_path / trainings.TrainJob.FILE).write_text(json.dumps({"started": 1.0, "step": 5, "steps": 6}))
    t = trainings.read(tmp_path)
    assert (t.stage, t.step, t.steps) == ("interrupted", 4, 6)  # step 5 is lost: the checkpoint is of step 4


def test_trainings_of_the_command_and_of_the_page_are_listed(pretended, boxscope_home, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "spawn", lambda *a: None)
    pretended()
    assert trainings.trainings() == []
    trainings.run_training(RECIPE, boxscope_home / "models" / "mine")
    first = trainings.start(RECIPE.with_(name="My cars, 2"), "My cars, 2")
    again = trainings.start(RECIPE, "My cars, 2")
    assert (first.name, again.name) == ("my-cars-2", "my-cars-2-2")
    os.utime(boxscope_home / "models" / "mine" / "recipe.yaml", (1, 1))
    assert [t.folder.name for t in trainings.trainings()][-1] == "mine" and len(trainings.trainings()) == 3
    assert trainings.read(first).recipe().name == "My cars, 2" and trainings.read(first).stage == "starting"
    assert yaml.safe_load((first / trainings.ASKED).read_text())["steps"] == 6


def test_refused_by_its_process_before_anything_is_built(boxscope_home):
    data = voc_folder(boxscope_home / "drawn", boxes=False)
    folder = trainings.start(TrainRecipe(data=str(data), train_split="train", steps=3), "none")
    deadline = time.monotonic() + 120
    while trainings.read(folder).live and time.monotonic() < deadline:
        time.sleep(0.1)
    t = trainings.read(folder)
    assert (t.stage, t.error) == (
        "failed",
        "expected boxes to train on, got none in 3 labelled images.",
    ), process.log_tail(folder)
