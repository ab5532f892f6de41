"""The same training step on another Keras backend, and on two devices."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from detector.paths import ROOT
from detector.ssd.weights import save_arrays

STEP = """
import json, sys
from detector.training.ssd.training import train
from tests.detector.kill_training import RECIPE, datasets
start, out, devices = sys.argv[1:]
recipe = RECIPE.with_(batch_size=4, steps=1, start=start, fine_tune_type="full", devices=int(devices))
parts = []
note = lambda p: parts.append([p.classification, p.localization, p.regularization])
train(recipe, out, dataset=datasets()[0], progress=note)
print(json.dumps(parts[0]))
"""


def first_step(backend: str, start: Path, out: Path, devices: int = 1) -> list[float]:
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}" if backend == "jax" else "",
    }
    done = subprocess.run(
        [sys.executable, "-c", STEP, str(start), str(out), str(devices)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("backend, devices", [("jax", 1), ("jax", 2), ("torch", 1)])
def test_a_training_step_has_the_same_losses(backend, devices, tmp_path):
    if not importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is not installed")
    import keras

    from detector.ssd.model import build_ssd
    from detector.ssd.weights import network_arrays
    from tests.detector.kill_training import RECIPE

    keras.utils.set_random_seed(1)
    save_arrays(tmp_path / "weights.npz", network_arrays(build_ssd(RECIPE.network(3))))
    want = first_step("tensorflow", tmp_path, tmp_path / "tensorflow")
    got = first_step(backend, tmp_path, tmp_path / backend, devices)
    assert got == pytest.approx(want, rel=1e-5)
