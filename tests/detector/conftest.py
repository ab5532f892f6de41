import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cells_model(tmp_path_factory) -> Path:
    """A tiny SavedModel like those of TF Hub; skips where TensorFlow is not installed."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    from tests.detector.models.saved_model_builder import export

    return export(tmp_path_factory.mktemp("cells") / "saved_model")


@pytest.fixture(scope="session")
def free_batch_model(tmp_path_factory) -> Path:
    """The same with a float input, any batch, logits without background, and other files beside it."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    from tests.detector.models.saved_model_builder import export

    return export(tmp_path_factory.mktemp("free") / "model", dtype="float32", batch=None, raw="logits")
