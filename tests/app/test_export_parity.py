"""Slow proof: each exported form of a trained network against the network in Keras, on held-out pictures, by
the commands.

It needs a detector trained on the blood cells (`boxscope train configs/finetune.yaml`): BOXSCOPE_BCCD names
its folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.app.test_cli import ROOT

pytestmark = pytest.mark.slow
# The most of the network's true positives that a form may lose; float32 keeps every object and score.
LOST = {"float32": "0", "float16": "0.5%", "dynamic": "3%", "int8": "3%"}


@pytest.fixture(scope="module")
def training() -> Path:
    folder = Path(os.environ.get("BOXSCOPE_BCCD", ""))
    if not (folder / "weights.npz").is_file():
        pytest.skip("set BOXSCOPE_BCCD to the folder of a training over the blood cells")
    return folder


def process(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3600,
    )


def outputs_of(path: Path, picture: np.ndarray) -> list[np.ndarray]:
    """As a phone app reads them: by place."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    interpreter.set_tensor(
        given["index"],
        picture[None] if given["dtype"] == np.uint8 else (picture[None].astype(np.float32) - 127.5) / 127.5,
    )
    interpreter.invoke()
    return [interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()]


@pytest.mark.parametrize("form", ["detections", "raw"])
@pytest.mark.parametrize("precision", list(LOST))
def test_an_exported_form_keeps_what_the_network_finds(precision, form, training, shared, tmp_path):
    data, out = shared / "data" / "bccd" / "BCCD", tmp_path / "cells.tflite"
    pictures = ["--data", data, "--split", "train"] if precision == "int8" else []
    done = process(
        "export", training, out, "--to", "tflite", "--precision", precision, "--form", form, *pictures
    )
    assert done.returncode == 0, done.stderr
    bounds = ["--max-lost", LOST[precision]]
    if precision == "float32":
        bounds += ["--every-object", "--max-score-difference", 1e-3, "--max-box-difference", 0.1]
    done = process(
        "parity", training, out, "--data", data, "--split", "test", "--json", "--no-causes", *bounds
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["images"] == 72 and figures["true_positives_a"] > 500
    if form == "detections":
        import cv2

        picture = cv2.imread(str(next(data.glob("JPEGImages/*.jpg"))))[..., ::-1]
        boxes, classes, scores, count = outputs_of(out, cv2.resize(picture, (320, 320)))
        assert (
            boxes.shape == (1, 100, 4) and classes.shape == scores.shape == (1, 100) and count.shape == (1,)
        )
        assert (
            set(np.unique(classes)) <= {0.0, 1.0, 2.0}
            and (np.diff(scores[0]) <= 0).all()
            and 0 < scores[0, 0] < 1
        )
        assert (boxes[0, 0, 2:] > boxes[0, 0, :2]).all()


def test_the_saved_model_keeps_every_object(training, shared, tmp_path):
    done = process("export", training, tmp_path / "out", "--to", "saved_model")
    assert done.returncode == 0, done.stderr
    done = process(
        "parity",
        training,
        tmp_path / "out" / "saved_model",
        "--data",
        shared / "data" / "bccd" / "BCCD",
        "--split",
        "test",
        "--limit",
        24,
        "--json",
        "--max-lost",
        0,
        "--every-object",
        "--max-score-difference",
        1e-3,
        "--max-box-difference",
        0.1,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["b"]["kind"] == "saved_model"
