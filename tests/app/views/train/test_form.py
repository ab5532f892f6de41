"""What the page asks before a training: recipes, controls, texts, and where paths may lead."""

from __future__ import annotations

import pytest

from app.views.train.form import controls, folder_stem, help_of, inside, other_settings, shipped, with_text
from detector.errors import ConfigError, InputError
from detector.training.recipes import read_recipe
from detector.training.sliding.recipe import SlidingRecipe
from detector.training.ssd.recipe import TrainRecipe

SHIPPED = shipped()


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_shipped_recipe_comes_back_from_its_controls_and_text(name):
    recipe = read_recipe(SHIPPED[name][0])
    values = {key: getattr(recipe, key) for key, _, _ in controls(recipe)}
    apart = {
        key: value
        for key, value in recipe.as_dict().items()
        if key in ("name", "data", "train_split", "val_split", "val_data", "start")
    }
    assert with_text(type(recipe)(), other_settings(recipe), values | apart) == recipe
    assert set(values) <= set(help_of(type(recipe))) | {"backbone", "alpha"}


def test_lists_without_a_recipe_are_not_offered():
    assert "finetune" in SHIPPED and not {"catalogue", "datasets", "class_aliases"} & set(SHIPPED)


def test_controls_by_the_recipe_s_own_fields():
    ssd, sliding = controls(TrainRecipe()), controls(SlidingRecipe())
    assert (
        ("evaluate_every", int, True) in ssd
        and ("freeze_batchnorm", bool, False) in ssd
        and ("learning_rate", float, False) in ssd
    )
    assert "rounds" in [name for name, _, _ in sliding] and "early_stop" not in [
        name for name, _, _ in sliding
    ]


def test_help_is_the_docstring_s():
    words = help_of(TrainRecipe)
    assert words["batch_size"] == "Images per step, over all devices."
    assert (
        words["val_split"].startswith("Names of the splits. None trains on the data's train split")
        and words["seed"] == "Decides fresh weights, order and augmentation."
    )


@pytest.mark.parametrize(
    "text, values, says",
    [
        ("momentum: 2", {}, "momentum: expected less than 1, got 2.0"),
        ("momentun: 0.5", {}, "did you mean 'momentum'"),
        ("", {"steps": 0}, "steps: expected at least 1, got 0"),
        ("", {"input_size": [100, 100]}, "100"),
        ("a: [", {}, "line 1 is none"),
        ("just words", {}, "lines of `key: value`"),
    ],
)
def test_what_does_not_fit_is_one_sentence(text, values, says):
    with pytest.raises(ConfigError, match=says.replace("[", r"\[")) as said:
        with_text(TrainRecipe(), text, values)
    assert "\n" not in said.value.message


def test_paths_lead_inside_the_roots_only(boxscope_home, tmp_path):
    (boxscope_home / "cars").mkdir()
    (boxscope_home / "net").mkdir()
    (boxscope_home / "net" / "ckpt-0.index").touch()
    (tmp_path / "secret.pbtxt").write_text("no label map")
    kept = inside(TrainRecipe(data="cars", start=str(boxscope_home / "net" / "ckpt-0")))
    assert kept.data == str((boxscope_home / "cars").resolve()) and kept.start == str(
        (boxscope_home / "net").resolve() / "ckpt-0"
    )
    assert inside(TrainRecipe(data="demo", start="imagenet")).data == "demo"
    for wrong in (
        {"data": str(tmp_path)},
        {"data": "cars", "label_map": str(tmp_path / "secret.pbtxt")},
        {"data": "cars", "start": "/etc/passwd"},
        {"val_data": "../.."},
    ):
        with pytest.raises(InputError, match="outside the folders"):
            inside(TrainRecipe(**wrong))


def test_the_folder_is_called_after_the_file_where_the_name_was_kept():
    path, title = SHIPPED["uiuc_cars"]
    recipe = read_recipe(path)
    assert (
        title == recipe.name and folder_stem(recipe, path, recipe.name) == "uiuc_cars"
    )  # where the catalogue looks for it
    assert folder_stem(recipe.with_(name="Red cars"), path, "Red cars") == "Red cars"
