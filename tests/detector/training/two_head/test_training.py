"""Training a two-head network: goes on after a kill as if nothing had been, leaves a detector."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detector import load_detector
from detector.boxes import paired_iou
from detector.errors import DataError, ModelError, RunError
from detector.opening import recognise
from detector.training.two_head.folder import TwoHeadFolder
from detector.training.two_head.judge import figures, judge
from detector.training.two_head.recipe import Stage
from detector.training.two_head.splits import load_split
from detector.training.two_head.training import train_two_head
from tests.conftest import ROOT
from tests.detector.two_head.drawn import SMALL, drawn_pictures


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A short undisturbed training, and beside it ("killed") the same one thrown out after its 7th step, in
    the second stage.
    """
    root = tmp_path_factory.mktemp("two_head")
    train_two_head(SMALL, root / "whole", dataset=drawn_pictures(16))

    def progress(state):
        if state.step == 7:
            raise Killed

    with pytest.raises(Killed):
        train_two_head(SMALL, root / "killed", dataset=drawn_pictures(16), progress=progress)
    return root / "whole"


class Killed(BaseException):
    """Nothing catches it, and nothing is tidied up on its way: what a kill leaves behind."""


def test_both_heads_learn_from_fresh_weights(tmp_path):
    """Rectangles of two colours anywhere in the picture: no weights but those learned here, judged on
    pictures held out.
    """
    recipe = replace(
        SMALL,
        input_size=(64, 64),
        stages=(Stage(160, 1.0, 0.004),),
        batch_size=16,
        held_out=40,
        average=0.9,
        dropout=0.0,
        crop=0.1,
        zoom_out=0.0,
        class_widths=(16,),
        box_channels=16,
        box_widths=(64,),
        batch_norm_decay=0.9,
        evaluate_every=160,
        checkpoint_every=160,
    )
    dataset = drawn_pictures(240)
    train_two_head(recipe, tmp_path, dataset=dataset)
    found = json.loads((tmp_path / "state.json").read_text())["figures"]
    assert found["pictures"] == 40 and found["top-1"] >= 0.9, found
    # One box for all pictures, the middle of them, has a mean IoU of about 0.25 with objects that lie
    # anywhere.
    boxes = dataset.objects.xyxy
    middle = np.tile(np.median(boxes, axis=0), (len(boxes), 1))
    assert paired_iou(middle, boxes).mean() < 0.3 and found["mean IoU"] >= 0.4, found


@pytest.mark.slow
def test_a_killed_process_leaves_what_can_be_gone_on_with(finished, tmp_path):
    killed = subprocess.run(
        [sys.executable, "-m", "tests.detector.two_head.kill_training", str(tmp_path / "out"), "7"],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert killed.returncode == -9, killed.stdout
    train_two_head(SMALL, tmp_path / "out", dataset=drawn_pictures(16), resume=True)
    (a, _), (b, _) = (
        TwoHeadFolder(finished).load_checkpoint(),
        TwoHeadFolder(tmp_path / "out").load_checkpoint(),
    )
    for key in a:  # threads add up in another order in another process
        np.testing.assert_allclose(a[key], b[key], rtol=1e-3, atol=1e-4, err_msg=key)


def figures_of(folder: Path) -> list[dict]:
    """The history without clocks."""
    return [
        {k: v for k, v in line.items() if k not in ("time", "images_per_second")}
        for line in TwoHeadFolder(folder).history()
    ]


def test_resumed_after_a_kill_it_ends_with_the_same_weights(finished):
    killed = finished.parent / "killed"
    assert TwoHeadFolder(killed).load_checkpoint()[1]["step"] == 6
    assert json.loads((killed / "state.json").read_text())["state"] == "running"
    seen = []
    train_two_head(SMALL, killed, dataset=drawn_pictures(16), progress=seen.append, resume=True)
    assert [p.step for p in seen] == [7, 8] and seen[-1].seconds_left == 0
    assert seen[-1].loss == pytest.approx(
        seen[-1].classification + seen[-1].localization + seen[-1].regularization, rel=1e-5
    )
    (a, meta_a), (b, meta_b) = (
        TwoHeadFolder(finished).load_checkpoint(),
        TwoHeadFolder(killed).load_checkpoint(),
    )
    assert meta_a.keys() == meta_b.keys() and a.keys() == b.keys()
    for key in a:
        np.testing.assert_allclose(a[key], b[key], rtol=1e-3, atol=1e-4, err_msg=key)
    assert [line["step"] for line in figures_of(killed) if "figures" in line] == [3, 6, 8]


def test_the_folder_is_a_detector_and_says_what_it_came_from(finished):
    assert recognise(finished) == "two_head"
    start, state, split = (
        json.loads((finished / name).read_text()) for name in ("start.json", "state.json", "split.json")
    )
    assert start["images"] == 11 and start["held out"] == 5 and start["start"]["restored"] == 0
    assert (
        state["state"] == "done"
        and state["step"] == 8
        and list(state["figures"])
        == ["score", "top-1", "top-5", "mean IoU", "right and IoU >= 0.5", "pictures"]
    )
    assert len(split["held_out"]) == 5 and (finished / "tensorboard").is_dir()
    detector = load_detector(str(finished))
    assert (
        detector.info.kind == "two_head"
        and detector.info.class_map.names == ("red", "blue")
        and detector.info.name == "drawn"
    )
    best = max(line["figures"]["score"] for line in figures_of(finished) if "figures" in line)
    dataset = drawn_pictures(16)
    again = judge(detector, dataset, load_split(SMALL, dataset).held_out)
    assert again["score"] == pytest.approx(best, abs=1e-5) and state["best"]["value"] == pytest.approx(
        best, abs=1e-5
    ), "the best weights were kept"


def test_refusals(finished, tmp_path):
    with pytest.raises(RunError, match="a training lies here already"):
        train_two_head(SMALL, finished, dataset=drawn_pictures(16))
    with pytest.raises(RunError, match="no training was started here"):
        train_two_head(SMALL, tmp_path / "new", dataset=drawn_pictures(16), resume=True)
    with pytest.raises(RunError, match="expected the recipe this training was started with"):
        train_two_head(SMALL.with_(seed=9), finished, dataset=drawn_pictures(16), resume=True)
    assert train_two_head(SMALL, finished, dataset=drawn_pictures(16), resume=True) == finished, "it is done"
    with pytest.raises(DataError, match="expected `data` in the recipe"):
        train_two_head(SMALL, tmp_path / "other")
    assert json.loads((tmp_path / "other" / "state.json").read_text())["state"] == "failed"


def test_weights_of_another_network_are_refused(tmp_path):
    wrong = tmp_path / "wrong.h5"
    wrong.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="expected weights of keras.applications' MobileNet without its top"):
        train_two_head(SMALL.with_(start=str(wrong)), tmp_path / "out", dataset=drawn_pictures(16))


@pytest.mark.slow
def test_a_training_starts_from_another_and_is_stopped_by_its_judge(finished, tmp_path):
    told = []
    out = train_two_head(
        SMALL.with_(start=str(finished), box_widths=(12,), heads="both", keep="last", average=0.0),
        tmp_path / "out",
        dataset=drawn_pictures(16),
        on_evaluation=lambda step, found: told.append(step) or step >= 3,
    )
    state, start = (json.loads((out / name).read_text()) for name in ("state.json", "start.json"))
    assert told == [3] and state["state"] == "stopped" and state["step"] == 3
    assert start["start"]["fresh"] == 3, "kernel and bias of the narrower layer, and the kernel after it"


@pytest.mark.parametrize(
    "heads, names",
    [
        pytest.param("class", ["top-1", "top-5", "pictures"], marks=pytest.mark.slow),
        ("box", ["mean IoU", "right and IoU >= 0.5", "pictures"]),
    ],
)
def test_one_head_alone(heads, names, tmp_path):
    recipe = SMALL.with_(heads=heads, stages=(Stage(1, 0.0, 0.001),), loss_weights="learned", optimiser="sgd")
    out = train_two_head(recipe, tmp_path / "out", dataset=drawn_pictures(12))
    assert list(json.loads((out / "state.json").read_text())["figures"]) == names
    detector = load_detector(str(out))
    (found,) = detector.detect([drawn_pictures(1).load_image(0)])
    if heads == "class":
        assert found.xyxy[0].tolist() == [0, 0, *found.image_size] and found.scores.sum() == pytest.approx(
            1, abs=1e-5
        )
    else:
        assert detector.info.class_map.names == ("object",) and found.scores.tolist() == [1.0]


def test_figures_by_hand():
    got = figures(np.array([0, 0, 3, 6]), np.array([0.9, 0.4, 0.7, 0.2]), "both")
    assert got == pytest.approx(
        {
            "score": (0.5 + 0.55) / 2,
            "top-1": 0.5,
            "top-5": 0.75,
            "mean IoU": 0.55,
            "right and IoU >= 0.5": 0.25,
            "pictures": 4,
        }
    )
    assert figures(np.array([0]), np.array([0.6]), "box") == {
        "mean IoU": 0.6,
        "right and IoU >= 0.5": 1.0,
        "pictures": 1.0,
    }
