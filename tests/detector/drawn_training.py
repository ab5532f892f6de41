"""A training that only pretends, for the tests of sweeps: its figure is a formula of the recipe, each step a
short wait.

Run as a program it is one worker of a sweep: `python -m tests.detector.drawn_training SWEEP FOLDER
SECONDS_A_STEP`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import detector.sweep.run
from detector.sweep.recipe import load_sweep
from detector.sweep.run import run_sweep
from detector.training.two_head.folder import TwoHeadFolder


def pretend(seconds: float):
    def train_two_head(
        recipe, out, *, dataset=None, on_evaluation=None, should_stop=None, progress=None, resume=False, **_
    ):
        folder = TwoHeadFolder(out)
        step = folder.read_json("state.json")["step"] if resume else 0
        if not resume:
            folder.write_recipe(recipe)
        final = {"MobileNetV2": 0.9, "MobileNet": 0.4}[recipe.backbone] - recipe.dropout / 10
        state, figures = "done", {}
        while step < recipe.steps:
            time.sleep(seconds)
            step += 1
            folder.write_json("state.json", {"state": "running", "step": step, "figures": figures})
            if step % recipe.evaluation_interval == 0:
                figures = {"score": final * step / recipe.steps, "top-1": final}
                folder.append_history({"step": step, "figures": figures})
                if on_evaluation(step, figures) and step < recipe.steps:
                    state = "stopped"
                    break
        folder.write_json("state.json", {"state": state, "step": step, "figures": figures})
        return folder.path

    return train_two_head


if __name__ == "__main__":
    detector.sweep.run.train_two_head = pretend(float(sys.argv[3]))
    run_sweep(load_sweep(Path(sys.argv[1])), sys.argv[2])
