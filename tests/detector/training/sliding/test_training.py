"""Training a window classifier: learns, goes on after a kill as if nothing had been, leaves a detector."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from detector import load_detector
from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import DataError, ModelError, RunError
from detector.opening import recognise
from detector.training.sliding.folder import SlidingFolder
from detector.training.sliding.recipe import SlidingRecipe
from detector.training.sliding.training import train_sliding_window
from tests.conftest import ROOT
from tests.detector.nearly import nearly
from tests.detector.sliding.drawn import QUICK, drawn_patches, scene


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A short undisturbed training, and beside it ("killed") the same one killed after its 11th step, the
    second round over.
    """
    root = tmp_path_factory.mktemp("sliding")
    killed = subprocess.Popen(
        [sys.executable, "-m", "tests.detector.sliding.kill_training", str(root / "killed"), "11"],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        train_sliding_window(QUICK, root / "whole", patches=drawn_patches())
        said, _ = killed.communicate(timeout=300)
    finally:
        killed.kill()
    assert killed.returncode == -9, said
    return root / "whole"


def figures_of(folder: Path) -> list[dict]:
    """The history without clocks."""
    return [
        {k: v for k, v in line.items() if k not in ("time", "images_per_second")}
        for line in SlidingFolder(folder).history()
    ]


def test_resumed_after_a_kill_it_ends_with_the_same_weights(finished):
    killed = finished.parent / "killed"
    arrays, meta = SlidingFolder(killed).load_checkpoint()
    assert (meta["step"], meta["rounds_done"]) == (
        10,
        2,
    )  # of the checkpoints at 9 (a round), 9 again (mined) and 10; step 11 is lost
    assert json.loads((killed / "state.json").read_text())["state"] == "running"
    seen = []
    train_sliding_window(QUICK, killed, patches=drawn_patches(), progress=seen.append, resume=True)
    assert [p.step for p in seen] == [11, 12, 13, 14] and seen[-1].seconds_left == 0
    (a, meta_a), (b, meta_b) = (
        SlidingFolder(finished).load_checkpoint(),
        SlidingFolder(killed).load_checkpoint(),
    )
    assert (
        meta_a == nearly(meta_b)
        and a.keys() == b.keys()
        and a["hard_negatives"].shape[1:] == (20, 28)
        and len(a["hard_negatives"]) > 10
    )
    for key in a:
        np.testing.assert_allclose(a[key], b[key], rtol=1e-3, atol=1e-5, err_msg=key)
    assert figures_of(finished) == nearly(figures_of(killed))
    assert [line["step"] for line in figures_of(finished) if "figures" in line] == [5, 10, 14]
    x = load_detector(finished).detect([scene([(30, 20)])])[0]
    assert x.equals(load_detector(killed).detect([scene([(30, 20)])])[0], atol=1e-4)


def test_the_folder_says_all_there_is_to_say(finished):
    assert recognise(finished) == "sliding_window"
    folder = SlidingFolder(finished)
    start, state = folder.read_json("start.json"), folder.read_json("state.json")
    assert start["patches"] == {"object": 24, "background": 26, "held out": 12} and start["left_out"] == {
        "unreadable patches": 0
    }
    assert state["state"] == "done" and state["best"] == {
        "figure": "accuracy",
        "value": state["figures"]["accuracy"],
        "step": 14,
    }
    assert folder.read_recipe(SlidingRecipe).hash == QUICK.hash
    detector = load_detector(finished)
    assert detector.info.class_map.names == ("bar",) and "12 held-out patches" in detector.info.notes[0]
    one = load_detector(finished, window_widths=[28])
    assert one.settings.window_widths == (28.0,) and one.info.weights_hash != detector.info.weights_hash


def test_another_training_is_not_overwritten_and_another_recipe_not_resumed(finished, tmp_path):
    with pytest.raises(RunError, match="a training lies here already"):
        train_sliding_window(QUICK, finished, patches=drawn_patches())
    with pytest.raises(RunError, match="expected the recipe this training was started with"):
        train_sliding_window(QUICK.with_(seed=9), finished, patches=drawn_patches(), resume=True)
    with pytest.raises(RunError, match="no training was started here"):
        train_sliding_window(QUICK, tmp_path / "nothing", resume=True)
    assert train_sliding_window(QUICK, finished, patches=drawn_patches(), resume=True) == finished


def test_other_patches_are_not_gone_on_with_and_a_stop_keeps_its_checkpoint(tmp_path):
    out = train_sliding_window(QUICK, tmp_path / "run", patches=drawn_patches(), should_stop=lambda: True)
    folder = SlidingFolder(out)
    assert folder.read_json("state.json")["state"] == "stopped" and folder.load_checkpoint()[1]["step"] == 1
    with pytest.raises(RunError, match="patches and scenes this training was started with"):
        train_sliding_window(QUICK, out, patches=drawn_patches(seed=4), resume=True)
    with pytest.raises(
        ModelError, match="there is none yet: the training that makes it has not got that far"
    ):
        load_detector(out)


def test_patches_and_scenes_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(DataError, match="expected `data` in the recipe"):
        train_sliding_window(QUICK, tmp_path / "a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"positive \(object\) patches"):
        train_sliding_window(QUICK.with_(data=str(tmp_path / "empty")), tmp_path / "b")
    blank = Dataset(
        name="x",
        format="memory",
        source="",
        class_map=ClassMap(()),
        sample_ids=["a"],
        files=[""],
        loader=lambda i: scene([]),
    )
    with pytest.raises(DataError, match="none is labelled"):
        train_sliding_window(QUICK, tmp_path / "c", patches=drawn_patches(), scenes=blank)
    assert (
        json.loads((tmp_path / "c" / "state.json").read_text())["state"] == "failed"
        and not (tmp_path / "c" / "recipe.yaml").exists()
    )


@pytest.mark.slow
def test_learns_the_drawn_bar_and_finds_it_where_it_is(tmp_path):
    """With a scene of known truth as further background; 28 and 40 pixels wide windows, an unseen picture."""
    from detector import boxes

    known = Dataset(
        name="scenes",
        format="memory",
        source="",
        class_map=ClassMap(("bar",)),
        sample_ids=["a"],
        files=[""],
        sizes=np.array([[97, 61]]),
        objects=ObjectTable.build([0], [[40, 21, 68, 41]], [0]),
        loader=lambda i: scene([(40, 21)]),
    )
    recipe = QUICK.with_(
        steps=150, widths=(8, 12), dense=32, mosaics=10, evaluate_every=50, shift=3.0
    )  # windows are 4 pixels apart
    out = train_sliding_window(recipe, tmp_path / "run", patches=drawn_patches(60, 60), scenes=known)
    assert SlidingFolder(out).read_json("state.json")["figures"]["accuracy"] == 1
    found = load_detector(out).detect([scene([(10, 30), (60, 6)], seed=8)])[0].above(0.5)
    overlap = boxes.iou(found.xyxy, np.array([[10, 30, 38, 50], [60, 6, 88, 26]]))
    assert len(found) == 2 and sorted(overlap.argmax(axis=1)) == [0, 1] and overlap.max(axis=1).min() > 0.6
