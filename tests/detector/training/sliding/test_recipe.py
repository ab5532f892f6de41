"""Sliding-window recipes: what is refused and how it is said; which trainer a file belongs to."""

from __future__ import annotations

import pytest

from detector.errors import ConfigError
from detector.training.recipes import read_recipe
from detector.training.sliding.recipe import SlidingRecipe
from detector.training.ssd.recipe import TrainRecipe
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"steps": "many"}, "steps: expected a whole number, got 'many'"),
        ({"flip": 1}, "flip: expected true or false"),
        ({"held_out": 0.0}, "held_out: expected a number between 0 and 1"),
        ({"held_out": 1.0}, "held_out: expected a number between 0 and 1"),
        ({"widths": (32,)}, "widths: expected a list of 2"),
        ({"widths": (0, 4)}, "widths: expected at least 1 channel"),
        ({"window_widths": ()}, "window_widths: expected at least one positive width"),
        ({"window_widths": (80.0, -1.0)}, "window_widths: expected at least one positive width"),
        ({"pad": 0.6}, r"pad in 0\.\.0\.5"),
        ({"iou_threshold": 1.5}, r"iou_threshold: expected 0\.\.1"),
        ({"rounds": 900}, "rounds: expected fewer than the 900 steps"),
        ({"cut": 1.0}, "cut: expected 0 or more and less than 1"),
        ({"class_name": " "}, "class_name"),
        ({"kind": "ssd"}, "kind: expected 'sliding_window'"),
        ({"scenes_split": "train"}, "scenes_split: it names a split of `scenes`"),
        ({"learning_rate": 0.0}, "learning_rate: expected a number above 0"),
    ],
)
def test_nonsense_is_refused_by_name(changes, words):
    with pytest.raises(ConfigError, match=words):
        SlidingRecipe(**changes)


def test_unknown_and_repeated_keys_name_file_and_line(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("kind: sliding_window\nsteps: 20\nbatchsize: 4\n")
    with pytest.raises(ConfigError, match=r"r\.yaml:3: batchsize: unknown key; did you mean 'batch_size'"):
        SlidingRecipe.from_file(path)
    path.write_text("kind: sliding_window\nsteps: 20\nsteps: 30\n")
    with pytest.raises(ConfigError, match=r"r\.yaml:3: 'steps' is written twice"):
        read_recipe(path)


def test_the_kind_decides_the_trainer(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("data: x\nsteps: 20\n")
    assert isinstance(read_recipe(path), TrainRecipe)
    path.write_text("kind: sliding_window\n")
    assert isinstance(read_recipe(path), SlidingRecipe)
    path.write_text("kind: forest\n")
    with pytest.raises(
        ConfigError, match="'sliding_window' or 'two_head', or no kind for an SSD network, got 'forest'"
    ):
        read_recipe(path)
    path.write_text("steps: [")
    with pytest.raises(ConfigError, match="expected YAML"):
        read_recipe(path)


def test_the_shipped_recipe_and_the_round_trip(tmp_path):
    recipe = read_recipe(ROOT / "configs" / "uiuc_cars.yaml")
    assert isinstance(recipe, SlidingRecipe) and recipe.class_name == "car" and recipe.data == ""
    again = SlidingRecipe.from_dict(recipe.with_(data=str(tmp_path)).resolved().as_dict())
    assert again.hash == recipe.hash and again.window_widths == recipe.window_widths
    assert recipe.with_(seed=1).hash != recipe.hash


def test_rounds_divide_the_steps():
    assert SlidingRecipe(steps=900, rounds=2).mining_steps == (300, 600)
    assert SlidingRecipe(steps=3, rounds=2).mining_steps == (1, 2)
    assert SlidingRecipe(rounds=0).mining_steps == ()
