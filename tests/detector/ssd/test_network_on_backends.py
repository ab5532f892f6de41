from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_another_backend_gives_the_same_numbers(tmp_path, backend):
    """All three networks, full width, seeded weights, in a process of the other backend: within 1e-4."""
    if not importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is not installed here; it is optional (KERAS_BACKEND={backend})")
    from tests.detector.ssd.other_backend import outputs

    here = outputs()
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": str(ROOT),
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.detector.ssd.other_backend", str(tmp_path / "out.npz")],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(tmp_path / "out.npz") as there:
        assert str(there["backend"]) == backend != str(here.pop("backend"))
        apart = {key: float(np.abs(there[key] - value).max()) for key, value in here.items()}
    print(apart)
    assert max(apart.values()) < 1e-4, apart
