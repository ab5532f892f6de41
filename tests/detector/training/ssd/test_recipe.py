"""Training recipes: strict, resolvable, hashed by what decides the result."""

import pytest

from detector.errors import ConfigError
from detector.training.ssd.recipe import TrainRecipe


def test_defaults_are_the_zoo_s():
    recipe = TrainRecipe(steps=200)
    config = recipe.network(3)
    assert (config.architecture, config.num_classes, config.width, config.height) == (
        "ssd_mobilenet_v2_fpnlite",
        3,
        320,
        320,
    )
    assert recipe.augmentations == ("random_horizontal_flip", "random_crop_image")
    assert recipe.positive_weight == 0.25
    assert TrainRecipe(architecture="ssd_mobilenet_v2").positive_weight == 0.75
    schedule = recipe.schedule()
    assert (schedule.total_steps, schedule.warmup_steps, schedule.base_rate) == (200, 10, 0.01)
    assert schedule.warmup_rate == pytest.approx(0.01 / 3)


def test_changes_reach_the_network():
    config = TrainRecipe(
        input_size=[256, 192], alpha=0.35, l2=0.001, freeze_batchnorm=True, batch_norm_decay=0.9
    ).network(2)
    assert (config.width, config.height, config.alpha, config.freeze_batchnorm) == (256, 192, 0.35, True)
    assert config.l2 == config.predictor_l2 == 0.001
    assert config.batch_norm.decay == config.predictor_batch_norm.decay == 0.9


@pytest.mark.parametrize(
    "bad, words",
    [
        ({"stepz": 3}, "no key 'stepz'; did you mean 'steps'"),
        ({"steps": "many"}, "steps: expected a whole number, got 'many'"),
        ({"steps": 2.5}, "steps: expected a whole number"),
        ({"steps": True}, "steps: expected a whole number, got True"),
        ({"freeze_batchnorm": 1}, "true or false"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"batch_size": 6, "devices": 4}, "multiple of the 4 devices"),
        ({"architecture": "yolo"}, "expected one of ssd_mobilenet_v2"),
        ({"fine_tune_type": "fine_tune"}, "expected one of classification, detection, few_shot, full"),
        ({"precision": "int8"}, "expected one of float32"),
        ({"input_size": [300, 300]}, "multiples of 32"),
        ({"input_size": [320]}, "a list of 2"),
        ({"warmup_learning_rate": 0.5}, "at most the learning rate 0.01, got 0.5"),
        ({"warmup_steps": 1001}, "expected 0 to 1000"),
        ({"augment": ["mosaic"]}, "'mosaic' is not known"),
        ({"augment": "random_horizontal_flip"}, "augment: expected a list"),
        ({"momentum": 1.0}, "less than 1"),
        ({"focal_alpha": 1.5}, "between 0 and 1"),
        ({"batch_norm_decay": 1.0}, "between 0 and 1"),
        ({"alpha": 0.0}, "above 0"),
        ({"early_stop": 3}, "needs a val_split"),
    ],
)
def test_refusals(bad, words):
    with pytest.raises(ConfigError, match=words) as caught:
        TrainRecipe.from_dict(bad, "recipe.yaml")
    assert caught.value.path == "recipe.yaml"


def test_a_dict_and_a_file_give_it_back(tmp_path):
    recipe = TrainRecipe(
        data="x", input_size=(64, 96), augment=("random_horizontal_flip",), warmup_steps=0, l2=0.0
    )
    assert TrainRecipe.from_dict(recipe.as_dict()) == recipe
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "data: x\ninput_size: [64, 96]\naugment: [random_horizontal_flip]\nwarmup_steps: 0\nl2: 0.0\n"
    )
    assert TrainRecipe.from_file(file) == recipe


def test_a_file_s_error_names_its_line(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("data: x\n\nbatch_sizes: 8\n")
    with pytest.raises(ConfigError) as caught:
        TrainRecipe.from_file(file)
    assert str(caught.value).startswith(f"{file}:3: ") and "batch_size" in str(caught.value)
    file.write_text("data: x\nsteps: 10\nwarmup_steps: 11\n")
    with pytest.raises(ConfigError, match="warmup_steps: expected 0 to 10") as caught:
        TrainRecipe.from_file(file)
    assert caught.value.path == str(file)


def test_the_hash_changes_with_what_decides_the_result_only():
    base = TrainRecipe(data="a")
    assert base.hash == base.with_(data="b", name="other", workers=3, checkpoint_every=7).hash
    for change in ({"seed": 1}, {"batch_size": 4}, {"evaluate_every": 5}, {"learning_rate": 0.02}):
        assert base.hash != base.with_(**change).hash
