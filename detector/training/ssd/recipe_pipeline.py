"""A `pipeline.config` of the Object Detection API as a training recipe, and a recipe as a
`pipeline.config`.
"""

from __future__ import annotations

import glob
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detector.errors import ConfigError
from detector.ssd.config import SSDConfig
from detector.ssd.pipeline import prototext
from detector.ssd.pipeline.config import (
    PipelineConfig,
    TrainingSettings,
    parse_pipeline_config,
    read_pipeline_config,
)
from detector.ssd.pipeline.text import PREDICTORS, model_text
from detector.training.ssd.recipe import FINE_TUNE_TYPES, TrainRecipe

CROP = {
    "min_object_covered": 1.0,
    "min_aspect_ratio": 0.75,
    "max_aspect_ratio": 1.33,
    "min_area": 0.1,
    "max_area": 1.0,
    "overlap_thresh": 0.3,
    "clip_boxes": True,
    "random_coef": 0.0,
}
"""Defaults of preprocessor.proto's RandomCropImage."""
ZOO_CROP = CROP | {
    "min_object_covered": 0.0,
    "max_aspect_ratio": 3.0,
    "min_area": 0.75,
    "overlap_thresh": 0.0,
}

AUGMENTATION_FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "random_horizontal_flip": ({"probability": 0.5}, {"probability": 0.5}),
    "random_crop_image": (CROP, ZOO_CROP),
    "ssd_random_crop": ({}, {}),
}
"""What a file's fields mean when they are left out, and what `detector.training.common.augment` does under
the same name.
"""


def recipe_from_pipeline(path: str | Path) -> TrainRecipe:
    """The training a `pipeline.config` describes: network, schedule, losses, augmentation, start, data.

    `data` is the path of train_input_reader where one lies there, else "" (the caller names it); `val_data`
    and `label_map` likewise. Relative paths are taken from the working folder, then from the file's.

    Raises:
        ConfigError: a setting that would change the result and is not supported; it is named with its line.
    """
    path = Path(path)
    pipeline = read_pipeline_config(path)
    settings, config = pipeline.training, pipeline.ssd
    if settings.num_steps < 1:
        pipeline.refuse("train_config.num_steps", "expected the number of training steps, it is 0 or missing")
    start, kind = _start(pipeline, settings, path)
    loss = settings.loss
    try:
        return TrainRecipe(
            data=_data(pipeline.train_input_paths, path) or "",
            val_data=_data(pipeline.eval_input_paths, path),
            label_map=_label_map(pipeline.label_map_path, path),
            name=path.resolve().parent.name,
            num_classes=config.num_classes,
            architecture=config.architecture,
            pipeline=str(path.resolve()),
            start=start,
            fine_tune_type=kind,
            freeze_batchnorm=config.freeze_batchnorm,
            batch_size=settings.batch_size,
            steps=settings.num_steps,
            schedule_steps=settings.total_steps,
            learning_rate=settings.learning_rate_base,
            warmup_learning_rate=settings.warmup_learning_rate,
            warmup_steps=settings.warmup_steps,
            momentum=settings.momentum,
            clip_norm=settings.gradient_clipping_by_norm,
            match_iou=loss.matched_threshold,
            focal_alpha=loss.alpha,
            focal_gamma=loss.gamma,
            huber_delta=loss.delta,
            classification_weight=loss.classification_weight,
            localization_weight=loss.localization_weight,
            augment=_augment(pipeline, settings),
            precision="mixed_bfloat16" if settings.use_bfloat16 else "float32",
        )
    except ConfigError as error:
        raise ConfigError(error.message, path=error.path or path, line=error.line) from None


def pipeline_of(recipe: TrainRecipe, config: SSDConfig) -> PipelineConfig:
    """The `pipeline.config` of a training: the recipe's own file, or the zoo's network, with what the
    training set.

    The network's section keeps the file's fields; `train_config` is the recipe's. `fine_tune_checkpoint`
    holds what the recipe started from; "imagenet", a `.h5` file and the type "few_shot" are no names the
    Object Detection API knows.

    Args:
        config: the network the recipe made for its data.

    Raises:
        ConfigError: the format has no words for this network (a ResNet of another width).
    """
    base = (
        read_pipeline_config(recipe.pipeline)
        if recipe.pipeline
        else parse_pipeline_config(model_text(config))
    )
    ssd, extractor = "model.ssd", "model.ssd.feature_extractor.conv_hyperparams"
    predictor = f"model.ssd.box_predictor.{PREDICTORS[config.fpn]}.conv_hyperparams"
    written = base.changed(
        {
            f"{ssd}.num_classes": config.num_classes,
            f"{ssd}.freeze_batchnorm": config.freeze_batchnorm,
            f"{ssd}.image_resizer.fixed_shape_resizer.height": config.height,
            f"{ssd}.image_resizer.fixed_shape_resizer.width": config.width,
            f"{extractor}.batch_norm.decay": config.batch_norm.decay,
            f"{extractor}.regularizer.l2_regularizer.weight": config.l2,
            f"{predictor}.batch_norm.decay": config.predictor_batch_norm.decay,
            f"{predictor}.regularizer.l2_regularizer.weight": config.predictor_l2,
            f"{ssd}.matcher": _message(
                f"argmax_matcher {{ matched_threshold: {recipe.match_iou!r} unmatched_threshold:"
                f" {recipe.match_iou!r} force_match_for_each_row: true }}"
            ),
            f"{ssd}.similarity_calculator": _message("iou_similarity { }"),
            f"{ssd}.encode_background_as_zeros": True,
            f"{ssd}.loss": _message(
                f"classification_loss {{ weighted_sigmoid_focal {{ alpha: {recipe.positive_weight!r} gamma:"
                f" {recipe.focal_gamma!r} }} }} localization_loss {{ weighted_smooth_l1 {{ delta:"
                f" {recipe.huber_delta!r} }} }} classification_weight: {recipe.classification_weight!r}"
                f" localization_weight: {recipe.localization_weight!r}"
            ),
            f"{ssd}.normalize_loss_by_num_matches": True,
            f"{ssd}.normalize_loc_loss_by_codesize": True,
            "train_config": _message(_train_config(recipe)),
            "train_input_reader.label_map_path": "label_map.pbtxt",
            "eval_input_reader.label_map_path": "label_map.pbtxt",
        }
    )
    if written.ssd.with_(name="") != config.with_(name=""):
        raise ConfigError("a pipeline.config has no words for this network.")
    return written


def _train_config(recipe: TrainRecipe) -> str:
    schedule = recipe.schedule()
    start = ""
    if recipe.start != "none":
        place = recipe.resolved().start
        quoted = place.replace("\\", "\\\\").replace('"', '\\"')
        start = (
            f'fine_tune_checkpoint: "{quoted}" fine_tune_checkpoint_type: "{recipe.fine_tune_type}"'
            " fine_tune_checkpoint_version: V2"
        )
    options = []
    for name in recipe.augmentations:
        fields = {
            k: v for k, v in AUGMENTATION_FIELDS[name][1].items() if v != AUGMENTATION_FIELDS[name][0][k]
        }
        options.append(
            f"data_augmentation_options {{ {name} {{ {' '.join(f'{k}: {v!r}' for k, v in fields.items())}"
            " } }"
        )
    return f"""
        batch_size: {recipe.batch_size} num_steps: {recipe.steps} {start}
        {" ".join(options)}
        optimizer {{
            momentum_optimizer {{
                learning_rate {{ cosine_decay_learning_rate {{
                    learning_rate_base: {schedule.base_rate!r} total_steps: {schedule.total_steps}
                    warmup_learning_rate: {min(schedule.warmup_rate, schedule.base_rate)!r}
                    warmup_steps: {schedule.warmup_steps}
                }} }}
                momentum_optimizer_value: {recipe.momentum!r}
            }}
            use_moving_average: false
        }}
        gradient_clipping_by_norm: {recipe.clip_norm!r}
        use_bfloat16: {"true" if recipe.precision == "mixed_bfloat16" else "false"}
        max_number_of_boxes: 100 unpad_groundtruth_tensors: false"""


def _message(text: str) -> list[prototext.Message]:
    return [prototext.parse(text)]


def _start(pipeline: PipelineConfig, settings: TrainingSettings, path: Path) -> tuple[str, str]:
    """(`start`, `fine_tune_type`) of the recipe."""
    prefix, kind = settings.fine_tune_checkpoint, settings.fine_tune_checkpoint_type
    if not prefix:
        return "none", "detection"
    if kind not in FINE_TUNE_TYPES:
        pipeline.refuse(
            "train_config.fine_tune_checkpoint_type",
            f"expected one of {', '.join(FINE_TUNE_TYPES)}, got {kind!r}",
        )
    if prefix == "imagenet":
        return prefix, kind
    for place in _places(prefix, path):
        if place.exists() or place.with_name(place.name + ".index").exists():
            return str(place.resolve()), kind
    own = path.resolve().parent / "checkpoint" / "ckpt-0"
    hint = (
        f'; the checkpoint beside this file is {own} (type "detection")'
        if own.with_name("ckpt-0.index").exists()
        else ""
    )
    pipeline.refuse(
        "train_config.fine_tune_checkpoint",
        f"expected a checkpoint without its suffix (.../ckpt-0), nothing lies at {prefix!r}{hint}",
    )


def _augment(pipeline: PipelineConfig, settings: TrainingSettings) -> tuple[str, ...]:
    where = "train_config.data_augmentation_options"
    for name, given in settings.augmentations:
        if name not in AUGMENTATION_FIELDS:
            pipeline.refuse(
                f"{where}.{name}",
                f"this augmentation is not supported; known are {', '.join(AUGMENTATION_FIELDS)}",
            )
        defaults, ours = AUGMENTATION_FIELDS[name]
        _compare(pipeline, f"{where}.{name}", defaults | dict(given), ours)
    return tuple(name for name, _ in settings.augmentations)


def _compare(pipeline: PipelineConfig, where: str, given: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    for field, value in given.items():
        if field == "keypoint_flip_permutation":
            continue  # boxes have no keypoints
        if field not in ours:
            pipeline.refuse(f"{where}.{field}", "this field is not supported")
        if not isinstance(value, (int, float)) or not math.isclose(value, ours[field], rel_tol=1e-6):
            pipeline.refuse(f"{where}.{field}", f"this is {value}, only {ours[field]} is supported")


def _places(value: str, path: Path) -> list[Path]:
    return [Path(value).expanduser(), path.parent / value]


def _data(patterns: Sequence[str], path: Path) -> str | None:
    """The one file or folder that these input paths (globs) name, if it is there."""
    for candidates in zip(*(_places(p, path) for p in patterns)):
        found = [name for place in candidates for name in sorted(glob.glob(str(place)))]
        if len(found) == 1:
            return str(Path(found[0]).resolve())
    return None


def _label_map(value: str, path: Path) -> str | None:
    return next((str(p.resolve()) for p in _places(value, path) if p.is_file()), None) if value else None
