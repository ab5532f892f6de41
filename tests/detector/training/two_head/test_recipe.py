"""The recipe of a two-head network: what it refuses, how it travels."""

from __future__ import annotations

import pytest

from detector.errors import ConfigError
from detector.paths import ROOT
from detector.training.recipes import changed, read_recipe
from detector.training.two_head.recipe import Stage, TwoHeadRecipe


@pytest.mark.parametrize(
    "values, message",
    [
        ({"kind": "sliding_window"}, "kind: expected 'two_head'"),
        ({"backbone": "VGG16"}, "backbone: expected one of MobileNet, "),
        ({"backbone": "ResNet50", "alpha": 0.5}, "ResNet50 has none"),
        ({"heads": "none"}, "heads: expected one of both, class, box"),
        ({"input_size": (224, 16)}, "at least 32 pixels"),
        ({"stages": []}, "stages: expected a list"),
        ({"stages": [{"unfrozen": 1.0}]}, "expected steps, unfrozen and learning_rate"),
        ({"stages": [{"steps": 5, "rate": 1.0}]}, "expected steps, unfrozen and learning_rate"),
        ({"stages": [{"steps": 5, "unfrozen": 1.5}]}, "a share from 0 to 1"),
        ({"stages": [{"steps": 5, "learning_rate": 0}]}, "learning_rate: expected a number above 0"),
        ({"box_loss": "giou"}, "box_loss: expected one of huber, ciou"),
        ({"loss_weights": "auto"}, "loss_weights"),
        ({"held_out": 3.5}, "a share below 1 or a whole number"),
        ({"crop": 0.5}, "cut off at both sides"),
        ({"zoom_out": 1.5}, "zoom_out: expected 0 to 1"),
        ({"min_visible": 0}, "min_visible"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"dropout": "much"}, "dropout: expected a number"),
        ({"batch_size": True}, "batch_size: expected a whole number"),
        ({"train_split": "a", "val_split": "a"}, "the split that is trained on"),
        ({"start": "none", "freeze_batchnorm": True}, "fresh weights .* have no statistics to keep"),
        ({"batch_norm_decay": 1.0}, "batch_norm_decay: expected a number between 0 and 1"),
        ({"bakcbone": "MobileNet"}, "did you mean 'backbone'"),
    ],
)  # fmt: skip
def test_refusals(values, message):
    with pytest.raises(ConfigError, match=message):
        TwoHeadRecipe.from_dict(values)


def test_batch_norms_go_by_the_starting_weights():
    fresh, known = TwoHeadRecipe(start="none"), TwoHeadRecipe(start="imagenet")
    assert (
        fresh.keeps_statistics,
        fresh.statistics_decay,
        known.keeps_statistics,
        known.statistics_decay,
    ) == (False, 0.97, True, None)
    assert (
        not TwoHeadRecipe(freeze_batchnorm=False).keeps_statistics
        and TwoHeadRecipe(start="none", batch_norm_decay=0.9).statistics_decay == 0.9
    )
    assert (
        known.hash
        == TwoHeadRecipe(start="imagenet", batch_norm_decay=None).hash
        != TwoHeadRecipe(start="imagenet", batch_norm_decay=0.9).hash
    )


def test_stages_follow_each_other():
    recipe = TwoHeadRecipe(stages=(Stage(3), Stage(2, 0.5, 0.1)))
    assert recipe.steps == 5
    assert [recipe.stage_at(step) for step in range(5)] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


def test_a_file_is_read_by_its_kind_and_comes_back_as_it_was(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "kind: two_head\nbackbone: ResNet50\nstages:\n  - {steps: 7}\n  - {steps: 3, unfrozen: 1.0,"
        " learning_rate: 0.01}\nclass_widths: [32, 16]\n"
    )
    recipe = read_recipe(path)
    assert (
        isinstance(recipe, TwoHeadRecipe)
        and recipe.stages == (Stage(7), Stage(3, 1.0, 0.01))
        and recipe.class_widths == (32, 16)
    )
    assert TwoHeadRecipe.from_dict(recipe.as_dict()) == recipe
    assert changed(recipe, {"stages": [{"steps": 2}], "dropout": 0.5}).stages == (Stage(2),)


def test_an_error_in_a_file_names_its_line(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("kind: two_head\nstages:\n  - {steps: 7, unfreeze: 0.5}\n")
    with pytest.raises(ConfigError, match="unfreeze") as caught:
        TwoHeadRecipe.from_file(path)
    assert caught.value.line == 3


def test_the_hash_knows_what_decides_the_result():
    recipe = TwoHeadRecipe()
    assert recipe.with_(name="other", workers=7, checkpoint_every=3, data="elsewhere").hash == recipe.hash
    for change in (
        {"seed": 1},
        {"stages": (Stage(5),)},
        {"box_loss": "huber"},
        {"held_out": 0.1},
        {"start": "none"},
    ):
        assert recipe.with_(**change).hash != recipe.hash, change


def test_the_recipes_that_come_along_can_be_read():

    for name in ("two_head.yaml", "car_identification.yaml"):
        assert isinstance(read_recipe(ROOT / "configs" / name), TwoHeadRecipe)
