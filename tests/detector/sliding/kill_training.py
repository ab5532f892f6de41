"""Run as a program: a small training that kills itself, without any clean-up, after a given step."""

from __future__ import annotations

import os
import signal
import sys

from detector.training.sliding.training import train_sliding_window
from tests.detector.sliding.drawn import QUICK, drawn_patches


def main(out: str, last_step: int) -> None:
    def progress(state):
        if state.step == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    train_sliding_window(QUICK, out, patches=drawn_patches(), progress=progress)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
