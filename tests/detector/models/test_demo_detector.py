"""The demo's detector as it is shipped: whole, small, made by configs/demo.yaml, and as good and bad as the
page says.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from detector import load_detector
from detector.data.samples.scenes import DEMO_CLASSES, DEMO_SEED, MOST_SCENES, scene
from detector.paths import DEMO_DETECTOR as DEMO
from detector.paths import ROOT
from detector.ssd.litert import SHIPPED, litert_file, network_digest, weights_digest
from detector.ssd.stored import read_ssd
from detector.ssd.weights import load_arrays
from detector.training.common.folder import TrainFolder
from detector.training.ssd.recipe import TrainRecipe


def test_it_is_what_the_recipe_made():
    folder = TrainFolder(DEMO)
    recipe = TrainRecipe.from_file(ROOT / "configs" / "demo.yaml")
    assert (
        folder.read_recipe(TrainRecipe).hash == recipe.hash == folder.read_json("start.json")["recipe_hash"]
    )
    state = folder.read_json("state.json")
    assert state["state"] == "done" and state["step"] == recipe.steps and state["best"]["figure"] == "AP"
    stored = read_ssd(DEMO)
    config, classes = stored.config, stored.classes
    assert classes.names == DEMO_CLASSES.names and (config.width, config.height, config.alpha) == (
        320,
        320,
        0.35,
    )


def test_its_folder_is_small_and_names_no_ones_machine():
    files = [p for p in DEMO.iterdir() if p.is_file()]
    assert sum(p.stat().st_size for p in files) <= 6e6
    for file in files:
        if file.suffix in (".json", ".jsonl", ".yaml", ".config", ".pbtxt", ".md"):
            assert not any(word in file.read_text() for word in (": /", '"/', "home/")), file


def test_its_litert_build_is_of_these_weights():
    stored = read_ssd(DEMO)
    config, weights = stored.config, stored.weights
    digest = weights_digest(load_arrays(weights)[0])
    builds = list(DEMO.glob("*.tflite"))
    assert SHIPPED == DEMO and [b.name for b in builds] == [
        f"{config.architecture}-{network_digest(config, digest)[:24]}.tflite"
    ]
    assert litert_file(config, load_arrays(weights)[0], digest) == builds[0], (
        "the first start needs no TensorFlow"
    )


@pytest.mark.slow
def test_its_litert_build_answers_as_keras_does():
    images = [scene(DEMO_SEED * MOST_SCENES + k)[0] for k in range(4)]
    quick, sure = (
        load_detector("demo", runtime=runtime).candidates(images) for runtime in ("litert", "keras")
    )
    for a, b in zip(quick, sure):
        assert np.abs(a.scores - b.scores).max() < 1e-3 and np.abs(a.xyxy - b.xyxy).max() < 0.5


def test_what_it_finds_in_the_demos_first_scenes():
    """Stored numbers against the network run now: the same boxes wherever it runs."""
    golden = json.loads((ROOT / "tests" / "golden" / "demo_detector.json").read_text())
    detector = load_detector("demo", runtime="litert")
    for k, rows in enumerate(golden["scenes"]):
        [found] = detector.detect([scene(DEMO_SEED * MOST_SCENES + k)[0]])
        keep = np.flatnonzero(found.scores >= golden["threshold"]).tolist()
        assert len(keep) == len(rows), k
        for name, score, *box in rows:
            same = [
                n
                for n in keep
                if DEMO_CLASSES.names[found.class_ids[n]] == name
                and abs(found.scores[n] - score) < 0.01
                and np.abs(found.xyxy[n] - box).max() < 1
            ]
            assert len(same) == 1, (k, name, score)


@pytest.mark.slow
def test_it_is_good_and_not_perfect(tmp_path):
    """On the 120 scenes of the demo, none of which it was trained on: AP50 between 0.6 and 0.85, worse on
    small objects.
    """
    from analysis.metrics.validation import average_precision
    from detector.data.samples.scenes import demo_dataset

    figures = average_precision(load_detector("demo", runtime="litert"), demo_dataset(tmp_path))
    assert 0.6 <= figures["AP50"] <= 0.85
