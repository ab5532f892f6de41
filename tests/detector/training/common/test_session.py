"""What every training does around its steps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from detector.errors import DownloadError, RunError
from detector.training.common.recipe import Recipe
from detector.training.common.session import Training, run_recipe
from detector.training.ssd.folder import SSDFolder as TrainFolder
from detector.training.ssd.recipe import TrainRecipe


class Quick(Training):
    """Ends at once, or fails as a training whose weights cannot be downloaded."""

    def __init__(self, recipe, folder, error=None):
        self.recipe, self.folder, self.error, self.figures = recipe, folder, error, {}

    def run(self, progress, should_stop):
        if self.error:
            raise self.error
        self.folder.write_recipe(self.recipe)
        self.step = self.recipe.steps
        return "done"


def test_a_training_that_failed_before_its_first_step_starts_with_resume(tmp_path):
    folder, recipe = TrainFolder(tmp_path / "t"), TrainRecipe(data="d", steps=3)
    with pytest.raises(DownloadError):
        run_recipe(folder, recipe, lambda _: Quick(recipe, folder, DownloadError("offline")), resume=False)
    assert folder.read_json("state.json")["state"] == "failed"
    assert folder.read_json("state.json")["error"] == "offline"
    run_recipe(folder, recipe, lambda _: Quick(recipe, folder), resume=True)
    assert folder.read_json("state.json")["state"] == "done"


def test_nothing_to_resume_is_refused(tmp_path):
    with pytest.raises(RunError, match="no training was started here"):
        run_recipe(TrainFolder(tmp_path / "t"), TrainRecipe(data="d"), lambda _: None, resume=True)


def test_reading_images_is_progress_too(tmp_path):
    folder, recipe, seen = TrainFolder(tmp_path / "t"), TrainRecipe(data="d", steps=3), []

    def make(reading):
        reading(32, 70)
        return Quick(recipe, folder)

    run_recipe(folder, recipe, make, resume=False, progress=seen.append)
    assert [(p.phase, p.step, p.steps) for p in seen] == [("checking images", 32, 70)]


@pytest.mark.parametrize(
    ("steps", "evaluation", "checkpoint"),
    [(1, 1, 1), (10, 10, 10), (49, 49, 10), (50, 50, 10), (400, 50, 20), (2000, 200, 100)],
)
def test_default_intervals(steps, evaluation, checkpoint):
    recipe = SimpleNamespace(steps=steps, evaluate_every=None, checkpoint_every=None)
    assert Recipe.evaluation_interval.fget(recipe) == evaluation
    assert Recipe.checkpoint_interval.fget(recipe) == checkpoint
    recipe.evaluate_every, recipe.checkpoint_every = 7, 3
    assert (Recipe.evaluation_interval.fget(recipe), Recipe.checkpoint_interval.fget(recipe)) == (7, 3)
