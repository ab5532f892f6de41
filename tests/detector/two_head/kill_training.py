"""Run as a program: a small training that kills itself, without any clean-up, after a given step."""

from __future__ import annotations

import os
import signal
import sys

from detector.training.two_head.training import train_two_head
from tests.detector.two_head.drawn import SMALL, drawn_pictures


def main(out: str, last_step: int) -> None:
    def progress(state):
        if state.step == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    train_two_head(SMALL, out, dataset=drawn_pictures(16), progress=progress)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
