"""Run as a program: a small training that kills itself, without any clean-up, after a given step."""

from __future__ import annotations

import os
import signal
import sys

from detector.training.ssd.recipe import TrainRecipe
from detector.training.ssd.training import train
from tests.detector.ssd.drawn import SCENES, drawn_dataset

RECIPE = TrainRecipe(
    steps=10,
    architecture="ssd_mobilenet_v2",
    input_size=(96, 64),
    alpha=0.25,
    batch_size=3,
    learning_rate=0.02,
    seed=5,
    evaluate_every=4,
    checkpoint_every=3,
)


def datasets():
    return drawn_dataset(), drawn_dataset(SCENES[1:], name="held out")


def main(out: str, last_step: int) -> None:
    def progress(state):
        if state.step == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    dataset, validation = datasets()
    train(RECIPE, out, dataset=dataset, validation=validation, progress=progress)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
