"""The public names of `detector` import, are the same objects as in their modules, and cost nothing before
use.
"""

import importlib
import subprocess
import sys

import pytest

import detector
from tests.conftest import ROOT

HEAVY = {"build_ssd", "make_optimizer", "SSDTrainer"}  # they are Keras code: their import loads TensorFlow


def test_the_table_is_the_list_of_public_names():
    assert sorted(detector._HOME) == sorted(detector.__all__)
    assert {"load_dataset", "load_detector", "train", "TrainRecipe", "export_saved_model"} <= set(
        dir(detector)
    )


@pytest.mark.parametrize("name", sorted(set(detector._HOME) - HEAVY))
def test_a_public_name_imports(name):
    home = importlib.import_module(detector._HOME[name])
    assert getattr(detector, name) is getattr(home, name)


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = detector.nothing


def test_the_light_names_load_no_deep_learning_library():
    names = sorted(set(detector._HOME) - HEAVY)
    code = (
        "import sys, detector\n"
        f"[getattr(detector, name) for name in {names!r}]\n"
        "print(sorted({'tensorflow', 'keras', 'matplotlib', 'optuna'} & set(sys.modules)))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert child.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(HEAVY))
def test_a_public_name_of_keras_code_imports(name):
    assert callable(getattr(detector, name))
