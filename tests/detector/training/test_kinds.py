"""A kind of network is reached through its registration alone: its recipes are read, previewed and
trained.
"""

from dataclasses import dataclass

import pytest

from detector.errors import ConfigError
from detector.training import kinds
from detector.training.common.kind import NetworkKind
from detector.training.common.preview import TrainingPreview
from detector.training.common.recipe import Recipe
from detector.training.recipes import preview_training, read_recipe, train_recipe
from detector.training.sliding.recipe import SlidingRecipe
from detector.training.ssd.recipe import TrainRecipe
from detector.training.two_head.recipe import TwoHeadRecipe


@dataclass(frozen=True)
class CentreRecipe(Recipe):
    kind: str = "centre"
    steps: int = 7
    evaluate_every: int | None = None
    checkpoint_every: int | None = None


def test_a_new_kind_needs_its_registration_only(tmp_path, monkeypatch):
    trained = []

    def train(recipe, out, *, progress=None, should_stop=None, resume=False):
        trained.append((recipe, out, resume))
        return out

    def preview(recipe):
        return TrainingPreview((f"{recipe.steps} steps",), (), (), 3, ())

    centre = NetworkKind("centre", CentreRecipe, train, preview)
    path = tmp_path / "centre.yaml"
    path.write_text("kind: centre\nsteps: 9\n")
    with pytest.raises(ConfigError, match="'sliding_window' or 'two_head', or no kind .* got 'centre'"):
        read_recipe(path)
    monkeypatch.setitem(kinds.KINDS, "centre", centre)
    recipe = read_recipe(path)
    assert recipe == CentreRecipe(steps=9)
    assert preview_training(recipe).words == ("9 steps",)
    # It takes no `validate`: the figures a caller offers are not for it.
    assert train_recipe(recipe, tmp_path, validate=lambda *_: {}, resume=True) == tmp_path
    assert trained == [(recipe, tmp_path, True)]


@pytest.mark.parametrize(
    "recipe, name, exports, anchors",
    [
        (TrainRecipe(), "ssd", True, True),
        (TwoHeadRecipe(), "two_head", True, False),
        (SlidingRecipe(), "sliding_window", False, False),
    ],
)
def test_the_kind_of_a_recipe(recipe, name, exports, anchors):
    kind = kinds.kind_of(recipe)
    assert (kind.name, kind.exports, kind.has_anchors) == (name, exports, anchors)


def test_a_recipe_of_no_kind():
    with pytest.raises(LookupError, match="CentreRecipe"):
        kinds.kind_of(CentreRecipe())
