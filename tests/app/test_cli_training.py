"""boxscope train, and evaluate --rule uiuc, on patches and a database drawn here."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
import yaml
from typer.testing import CliRunner

from app import cli
from detector.errors import ConfigError, InputError, RunError
from tests.detector.sliding.drawn import QUICK, drawn_patches, scene
from tests.detector.training.ssd.test_recipe_pipeline import FILE


def invoke(*arguments: object):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


@pytest.fixture
def recipe(tmp_path) -> Path:
    path = tmp_path / "bars.yaml"
    path.write_text(
        yaml.safe_dump(
            QUICK.with_(steps=4, rounds=1, mosaics=1, evaluate_every=4, class_name="car").as_dict()
        )
    )
    return path


@pytest.fixture
def patches(tmp_path) -> Path:
    drawn = drawn_patches(10, 10)
    for i, (patch, label) in enumerate(zip(drawn.images, drawn.labels)):
        folder = tmp_path / "patches" / ("positive" if label else "negative")
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{i}.png"), patch)
    return tmp_path / "patches"


@pytest.fixture
def database(tmp_path) -> Path:
    root = tmp_path / "CarData"
    (root / "TestImages_Scale").mkdir(parents=True)
    for i, places in enumerate(([(40, 20)], [])):
        cv2.imwrite(str(root / "TestImages_Scale" / f"test-{i}.pgm"), scene(places)[..., 0])
    (root / "trueLocations_Scale.txt").write_text("0: (20,40,28)\n1:\n")
    return root


def test_trained_detected_and_judged_by_the_rule(recipe, patches, database, tmp_path):
    done = invoke("train", recipe, "--data", patches, "--out", tmp_path / "bars", "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    told = json.loads(done.stdout)
    assert (
        told["folder"] == str(tmp_path / "bars")
        and (told["state"], told["step"]) == ("done", 4)
        and 0 <= told["figures"]["accuracy"] <= 1
    )
    assert isinstance(
        invoke("train", recipe, "--data", patches, "--out", tmp_path / "bars").exception, RunError
    )
    assert invoke(
        "train", recipe, "--data", patches, "--out", tmp_path / "bars", "--resume"
    ).stdout.strip() == str(tmp_path / "bars")

    done = invoke("detect", "--model", tmp_path / "bars", "--data", database, "--out", tmp_path / "run")
    assert done.exit_code == 0, (done.output, done.exception)
    done = invoke("evaluate", tmp_path / "run", "--rule", "uiuc", "--plot", tmp_path / "curve.png", "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    [split] = json.loads(done.stdout)["splits"]
    assert (split["split"], split["rule"], split["images"], split["objects"]) == (
        "multi_scale",
        "uiuc location and scale",
        2,
        1,
    )
    at = split["at_threshold"]
    assert (
        at["threshold"] == 0.5 and at["tp"] + at["fn"] == 1 and (tmp_path / "curve.png").stat().st_size > 5000
    )
    text = invoke("evaluate", tmp_path / "run", "--rule", "uiuc").stdout
    assert "multi_scale: 2 images, 1 object," in text and "25% ellipse" in text and "equal error rate" in text


def test_what_is_refused(recipe, tmp_path):
    assert "names no data" in str(invoke("train", recipe).exception)
    (tmp_path / "odd.yaml").write_text("kind: forest\n")
    assert isinstance(invoke("train", tmp_path / "odd.yaml", "--data", tmp_path).exception, ConfigError)
    assert isinstance(invoke("evaluate", tmp_path, "--rule", "voc").exception, InputError)
    assert "expected a RUN alone" in str(
        invoke("evaluate", "--rule", "uiuc", "--truth", recipe, "--predictions", recipe).exception
    )
    assert "--plot" in str(invoke("evaluate", tmp_path, "--plot", tmp_path / "x.png").exception)


def test_a_pipeline_config_is_a_recipe(tmp_path, monkeypatch):
    """What reaches the trainer: the file's settings, the data and splits of the command line, a folder by the
    zoo's name.
    """
    given = {}
    monkeypatch.setattr(
        "app.jobs.trainings.train_recipe",
        lambda recipe, out, **rest: given.update(recipe=recipe, out=out),
    )
    file = tmp_path / "my_zoo_network" / "pipeline.config"
    file.parent.mkdir()
    file.write_text(FILE)
    assert isinstance(invoke("train", file).exception, InputError)  # no data lies where the file says
    done = invoke("train", file, "--data", tmp_path, "--train-split", "train", "--val-split", "val")
    assert done.exit_code == 0, (done.output, done.exception)
    recipe = given["recipe"]
    assert (recipe.data, recipe.train_split, recipe.val_split) == (str(tmp_path), "train", "val")
    assert (recipe.steps, recipe.batch_size, recipe.pipeline) == (500, 8, str(file)) and given[
        "out"
    ].name == "my_zoo_network"


def test_splits_are_no_setting_of_a_sliding_window_detector(recipe, patches, tmp_path):
    said = invoke(
        "train", recipe, "--data", patches, "--train-split", "train", "--out", tmp_path / "x"
    ).exception
    assert isinstance(said, ConfigError) and "no key 'train_split'" in str(said)


def test_any_key_is_set_on_the_command_line(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(
        "app.jobs.trainings.train_recipe", lambda recipe, out, **rest: given.update(recipe=recipe)
    )
    file = tmp_path / "own.yaml"
    file.write_text("steps: 30\nname: Own\n")
    asked = (
        "--data",
        tmp_path,
        "--val-data",
        "elsewhere",
        "--set",
        "steps=8",
        "--set",
        "augment=[]",
        "--set",
        "alpha=0.35",
        "--start",
        "none",
        "--set",
        "learning_rate=2e-3",
    )
    done = invoke("train", file, *asked)
    assert done.exit_code == 0, (done.output, done.exception)
    recipe = given["recipe"]
    assert (
        recipe.steps,
        recipe.augment,
        recipe.alpha,
        recipe.val_data,
        recipe.name,
        recipe.learning_rate,
    ) == (8, (), 0.35, "elsewhere", "Own", 0.002)
    assert "did you mean 'steps'" in str(
        invoke("train", file, "--data", tmp_path, "--set", "step=8").exception
    )
    assert "expected KEY=VALUE" in str(invoke("train", file, "--data", tmp_path, "--set", "steps").exception)
    assert "a whole number" in str(invoke("train", file, "--data", tmp_path, "--set", "steps=many").exception)
    assert "expected a value" in str(invoke("train", file, "--data", tmp_path, "--set", "steps=[").exception)
