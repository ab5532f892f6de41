"""A pipeline.config as a recipe, and a recipe as a pipeline.config."""

from __future__ import annotations

import pytest

from detector.errors import ConfigError
from detector.ssd.config import (
    MultiscaleAnchors,
    SSDAnchors,
    mobilenet_v2,
    mobilenet_v2_fpnlite,
    resnet50_fpn,
)
from detector.ssd.pipeline.config import parse_pipeline_config, read_pipeline_config
from detector.ssd.pipeline.text import model_text
from detector.ssd.postprocess import PostprocessSettings
from detector.training.recipes import read_recipe
from detector.training.ssd.recipe import TrainRecipe
from detector.training.ssd.recipe_pipeline import pipeline_of, recipe_from_pipeline
from tests.detector.ssd.small_zoo import PIPELINE

CROP = "random_crop_image { min_area: 0.75 overlap_thresh: 0.0 }"
ZOO = (
    "random_crop_image { min_object_covered: 0 min_aspect_ratio: 0.75 max_aspect_ratio: 3.0 min_area: 0.75"
    " max_area: 1.0 overlap_thresh: 0.0 }"
)
FILE = PIPELINE.replace(CROP, ZOO).replace("  fine_tune_checkpoint: \"some/\" 'ckpt-0'\n", "")


def written(tmp_path, *changes: tuple[str, str]):
    text = FILE
    for part, instead in changes:
        assert part in text, part
        text = text.replace(part, instead, 1)
    path = tmp_path / "owls" / "pipeline.config"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_every_setting_reaches_the_recipe(tmp_path):
    path = written(
        tmp_path, ("alpha: 0.25 }", "alpha: 0.3 gamma: 1.5 }"), ("weighted_smooth_l1 {}", "weighted_smooth_l1 { delta: 0.5 }"),
        ("localization_loss {", "classification_weight: 2 localization_weight: 3 localization_loss {"),
        ("force_match_for_each_row: true", "force_match_for_each_row: true matched_threshold: 0.4 unmatched_threshold: 0.4"),
        ("total_steps: 500", "total_steps: 700"), ("sync_replicas: true", "use_bfloat16: true gradient_clipping_by_norm: 10"),
        ("num_classes: 3", "num_classes: 3 freeze_batchnorm: true"),
    )  # fmt: skip
    recipe = recipe_from_pipeline(path)
    assert recipe == TrainRecipe(
        name="owls", pipeline=str(path), num_classes=3, architecture="ssd_mobilenet_v2_fpnlite", batch_size=8, steps=500,
        schedule_steps=700, learning_rate=0.08, warmup_learning_rate=0.02, warmup_steps=50, momentum=0.9, clip_norm=10.0,
        focal_alpha=0.3, focal_gamma=1.5, huber_delta=0.5, classification_weight=2.0, localization_weight=3.0, match_iou=0.4,
        augment=("random_horizontal_flip", "random_crop_image"), precision="mixed_bfloat16", freeze_batchnorm=True,
    )  # fmt: skip
    config = recipe.network(3)
    assert config == read_pipeline_config(path).ssd and (config.width, config.height, config.alpha) == (
        128,
        96,
        0.25,
    )
    assert (
        float(recipe.schedule()(700)) == pytest.approx(0, abs=1e-9) and float(recipe.schedule()(500)) > 0.01
    )
    assert read_recipe(path) == recipe


def test_paths_that_are_there_are_taken(tmp_path):
    path = written(tmp_path, ('"somewhere/else/label_map.pbtxt"', '"map.pbtxt"'), ('["x", "y"]', '"cars*"'))
    assert (recipe_from_pipeline(path).data, recipe_from_pipeline(path).label_map) == ("", None)
    (path.parent / "map.pbtxt").write_text("item { id: 1 name: 'owl' }")
    (path.parent / "cars-1").mkdir()
    recipe = recipe_from_pipeline(path)
    assert (
        recipe.data == str(path.parent / "cars-1")
        and recipe.label_map == str(path.parent / "map.pbtxt")
        and recipe.val_data is None
    )
    (path.parent / "cars-2").mkdir()  # several shards are no one data set
    assert recipe_from_pipeline(path).data == ""


def test_what_it_starts_from(tmp_path):
    given = (
        "sync_replicas: true",
        (
            'fine_tune_checkpoint_type: "full" fine_tune_checkpoint: "checkpoint/ckpt-0"'
            " fine_tune_checkpoint_version: V2"
        ),
    )
    path = written(tmp_path, given)
    with pytest.raises(ConfigError, match=r"fine_tune_checkpoint: .*nothing lies at 'checkpoint/ckpt-0'\."):
        recipe_from_pipeline(path)
    (path.parent / "checkpoint").mkdir()
    (path.parent / "checkpoint" / "ckpt-0.index").write_bytes(b"")
    recipe = recipe_from_pipeline(path)
    assert (recipe.start, recipe.fine_tune_type) == (str(path.parent / "checkpoint" / "ckpt-0"), "full")
    path = written(tmp_path, (given[0], 'fine_tune_checkpoint: "PATH_TO_BE_CONFIGURED/mobilenet_v2.ckpt-1"'))
    with pytest.raises(
        ConfigError, match=r"the checkpoint beside this file is .*owls/checkpoint/ckpt-0"
    ) as caught:
        recipe_from_pipeline(path)
    assert caught.value.line and caught.value.path == str(path)


@pytest.mark.parametrize("part, instead, says", [
    ("min_area: 0.75", "min_area: 0.5", "random_crop_image.min_area: this is 0.5, only 0.75 is supported"),
    ("min_object_covered: 0 ", "", "random_crop_image.min_object_covered: this is 1.0, only 0.0"),
    ("random_horizontal_flip {}", "random_horizontal_flip { probability: 0.3 }", "random_horizontal_flip.probability: this is 0.3, only 0.5"),
    ("random_horizontal_flip {}", "random_adjust_hue {}", "random_adjust_hue: this augmentation is not supported"),
    ("random_horizontal_flip {}", "ssd_random_crop { operations { random_coef: 0.5 } }", "ssd_random_crop.operations: this field is not supported"),
    ("sync_replicas: true", "fine_tune_checkpoint_version: V1", "fine_tune_checkpoint_version: this is V1, only V2"),
    ("sync_replicas: true", 'fine_tune_checkpoint: "x" fine_tune_checkpoint_type: "fine_tune"', "fine_tune_checkpoint_type: expected one of"),
    ("sync_replicas: true", "use_new_loss: true", "train_config.use_new_loss: this field is not supported"),
    ("sync_replicas: true", "merge_multiple_label_boxes: true", "merge_multiple_label_boxes: this is true"),
    ("train_input_reader: {", "train_input_reader: { sample_1_of_n_examples: 10 ", "sample_1_of_n_examples: this is 10, only 1"),
    ("num_steps: 500", "", "train_config.num_steps: expected the number of training steps"),
    ("alpha: 0.25 }", "alpha: 1.0 }", "focal_alpha: expected a number between 0 and 1"),
])  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(part, instead, says, tmp_path):
    path = written(tmp_path, (part, instead))
    with pytest.raises(ConfigError, match=says) as caught:
        recipe_from_pipeline(path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize("config", [
    mobilenet_v2(num_classes=2, height=96, width=160, alpha=0.35, freeze_batchnorm=True,
                 anchors=SSDAnchors(6, 0.1, 0.9, (1.0, 2.0), 0.0, False), l2=1e-3, class_bias=-2.0),
    mobilenet_v2_fpnlite(num_classes=7, height=64, width=96, alpha=0.5, depth=96, predictor_depth=64, tower_layers=2,
                         anchors=MultiscaleAnchors(3, 7, 3.0, (1.0, 0.4), 3), box_scales=(8.0, 9.0, 4.0, 6.0),
                         postprocess=PostprocessSettings(0.02, 0.5, 20, 40)),
    resnet50_fpn(num_classes=1, height=128, width=320),
])  # fmt: skip
def test_a_network_s_text_reads_back_as_the_network(config):
    assert parse_pipeline_config(model_text(config)).ssd == config.with_(name="")


@pytest.mark.parametrize("make", [mobilenet_v2, mobilenet_v2_fpnlite, resnet50_fpn])
def test_the_zoo_s_files_written_again_with_what_a_training_changed(shared, tmp_path, make):
    recipe = TrainRecipe(
        architecture=make().architecture, pipeline=str(shared / "golden" / make().name / "pipeline.config"), steps=40, batch_size=4,
        learning_rate=0.02, start="imagenet", fine_tune_type="detection", batch_norm_decay=0.9, l2=1e-5, match_iou=0.45, augment=(),
    )  # fmt: skip
    config = recipe.network(2)
    pipeline_of(recipe, config).write(tmp_path / "pipeline.config")
    again = recipe_from_pipeline(tmp_path / "pipeline.config")
    assert again.network(2) == config.with_(name=tmp_path.name)
    assert (again.num_classes, again.steps, again.batch_size, again.start, again.augment) == (
        2,
        40,
        4,
        "imagenet",
        (),
    )
    assert (
        again.schedule() == recipe.schedule()
        and again.positive_weight == recipe.positive_weight
        and again.match_iou == 0.45
    )
    assert "coco_detection_metrics" in (tmp_path / "pipeline.config").read_text()


def test_a_recipe_without_a_file_gets_one_that_says_the_same(tmp_path):
    recipe = TrainRecipe(
        architecture="ssd_mobilenet_v2", steps=40, input_size=(128, 96), alpha=0.35, learning_rate=0.02, focal_gamma=1.5,
        huber_delta=0.5, clip_norm=3.0, freeze_batchnorm=True, schedule_steps=60, precision="mixed_bfloat16", batch_size=3,
    )  # fmt: skip
    config = recipe.network(3)
    pipeline_of(recipe, config).write(tmp_path / "pipeline.config")
    again = recipe_from_pipeline(tmp_path / "pipeline.config")
    assert again.network(3) == config.with_(name=tmp_path.name)
    same = (
        "steps",
        "batch_size",
        "learning_rate",
        "focal_gamma",
        "huber_delta",
        "clip_norm",
        "freeze_batchnorm",
        "precision",
        "start",
        "momentum",
    )
    assert [getattr(again, name) for name in same] == [getattr(recipe, name) for name in same]
    assert again.schedule() == recipe.schedule() and again.augmentations == recipe.augmentations


def test_a_narrow_resnet_has_no_pipeline_config():
    recipe = TrainRecipe(architecture="ssd_resnet50_v1_fpn", input_size=(64, 64), alpha=0.25)
    with pytest.raises(ConfigError, match="a ResNet has no narrower version"):
        pipeline_of(recipe, recipe.network(2))
