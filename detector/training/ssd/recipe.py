"""A training recipe: everything that decides a training, in one frozen, checked value.

No deep-learning library is imported, so that a page or a command can check a recipe at once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from detector.config import checked
from detector.errors import ConfigError
from detector.ssd.config import ARCHITECTURES, PRESETS, SSDConfig
from detector.ssd.pipeline.config import read_pipeline_config
from detector.training.common.augment import compose
from detector.training.common.recipe import Recipe
from detector.training.common.schedules import CosineSchedule

FINE_TUNE_TYPES = ("classification", "detection", "few_shot", "full")
FREEZE = ("none", "backbone", "all_but_heads")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
FOCAL_ALPHA = {"ssd_mobilenet_v2": 0.75, "ssd_mobilenet_v2_fpnlite": 0.25, "ssd_resnet50_v1_fpn": 0.25}
"""The zoo's weight of a positive in the focal loss, by architecture."""
AUGMENT = {
    "ssd_mobilenet_v2": ("random_horizontal_flip", "ssd_random_crop"),
    "ssd_mobilenet_v2_fpnlite": ("random_horizontal_flip", "random_crop_image"),
    "ssd_resnet50_v1_fpn": ("random_horizontal_flip", "random_crop_image"),
}
"""The zoo's augmentations, by architecture."""


@dataclass(frozen=True)
class TrainRecipe(Recipe):
    """How to train a detector. Every field but `data` and `steps` has a default.

    Args:
        data: the data set, as `detector.data.load_dataset` takes it; "" where the caller hands one over.
        steps: training steps (batches) in all.
        name: shown to people.
        data_format, images: passed to `load_dataset`; None lets it find out.
        train_split, val_split: names of the splits. None trains on the data's train split where there is one
            (and validates on its validation split), else on everything and validates on nothing.
        val_data: a data set to validate on, instead of a split of `data`; `val_split` is then a split of it.
        label_map: a label map that decides which classes there are and in which order; None takes the data's.
        num_classes: how many classes the data must have; None takes them as they are.
        architecture: which of the zoo's networks: SSD MobileNetV2, SSD MobileNetV2 FPNLite, or SSD ResNet50
            V1 FPN.
        pipeline: a `pipeline.config` that describes the network (of this `architecture`) instead of the zoo's
            own; `input_size` and `alpha` are then its. Number of classes and training settings are the
            recipe's.
        input_size: (width, height) in pixels; None takes the zoo's. FPN networks need multiples of 32.
        alpha: width multiplier; the zoo has 1.0.
        start: "none" (fresh weights), "imagenet" (Keras downloads a backbone), or a path: a zoo archive or
            its checkpoint, a training's folder, or a `.h5` file of a `keras.applications` backbone without
            its top.
        fine_tune_type: what is taken from `start` when it is a detector: "classification" the backbone,
            "detection" backbone and neck, "few_shot" everything but the class head, "full" everything (same
            classes).
        freeze: which weights stay as `start` gave them: "none", "backbone" (with its batch norms), or
            "all_but_heads" (only the last layers for boxes and classes learn; for few images).
        freeze_batchnorm: batch norms keep their stored statistics; for small batches on pretrained weights.
        batch_norm_decay: how much of the stored statistics each step keeps; None keeps the network's (0.997,
            or 0.97 for SSD MobileNetV2). Statistics need about 3 / (1 - decay) steps: fresh networks trained
            for less than a thousand steps need a lower one.
        batch_size: images per step, over all devices.
        learning_rate: the highest rate. The zoo's rates belong to its batches of 64 to 512.
        warmup_learning_rate: the rate of step 0; None is a third of the highest.
        warmup_steps: None is a twentieth of all steps.
        schedule_steps: the step at which the rate reaches 0; None is `steps`. The rate is 0 after it.
        momentum: of SGD.
        clip_norm: the gradients' global norm is cut to this; 0 is off, as in the zoo.
        l2: weight of the L2 penalty as pipeline.config writes it; None keeps the network's.
        focal_alpha, focal_gamma: of the classification loss; alpha None is the zoo's for the architecture.
        huber_delta: of the localisation loss; classification_weight, localization_weight: of the two losses.
        match_iou: an anchor belongs to the object it overlaps by at least this.
        augment: names of `detector.training.common.augment.AUGMENTATIONS`; None is the zoo's for the
            architecture.
        precision: "float32", "mixed_bfloat16" or "mixed_float16".
        devices: GPUs to share each batch between (Keras' JAX backend).
        seed: decides fresh weights, order and augmentation.
        evaluate_every: steps between two evaluations on the validation split; None is a tenth of all steps,
            at least 50.
        checkpoint_every: steps between two checkpoints; None is a twentieth of all steps, at least 10.
        early_stop: stop after this many evaluations in a row without a better figure; 0 never.
        workers: input threads; None is one a core.

    Raises:
        ConfigError: a value of the wrong type or out of range, or fields that contradict each other.
    """

    data: str = ""
    steps: int = 1000
    name: str = "training"
    data_format: str | None = None
    images: str | None = None
    train_split: str | None = None
    val_split: str | None = None
    val_data: str | None = None
    label_map: str | None = None
    num_classes: int | None = None
    architecture: str = "ssd_mobilenet_v2_fpnlite"
    pipeline: str | None = None
    input_size: tuple[int, int] | None = None
    alpha: float = 1.0
    start: str = "none"
    fine_tune_type: str = "detection"
    freeze: str = "none"
    freeze_batchnorm: bool = False
    batch_norm_decay: float | None = None
    batch_size: int = 8
    learning_rate: float = 0.01
    warmup_learning_rate: float | None = None
    warmup_steps: int | None = None
    schedule_steps: int | None = None
    momentum: float = 0.9
    clip_norm: float = 0.0
    l2: float | None = None
    focal_alpha: float | None = None
    focal_gamma: float = 2.0
    huber_delta: float = 1.0
    classification_weight: float = 1.0
    localization_weight: float = 1.0
    match_iou: float = 0.5
    augment: tuple[str, ...] | None = None
    precision: str = "float32"
    devices: int = 1
    seed: int = 0
    evaluate_every: int | None = None
    checkpoint_every: int | None = None
    early_stop: int = 0
    workers: int | None = None

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            object.__setattr__(
                self, field.name, checked(field.name, getattr(self, field.name), hints[field.name])
            )
        _one_of("architecture", self.architecture, ARCHITECTURES)
        _one_of("fine_tune_type", self.fine_tune_type, FINE_TUNE_TYPES)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("freeze", self.freeze, FREEZE)
        if self.freeze != "none" and self.start == "none":
            raise ConfigError(
                f"freeze: {self.freeze} keeps what start gives, and start is none; name starting weights, or"
                " set freeze to none."
            )
        for name, least in (
            ("batch_size", 1),
            ("devices", 1),
            ("early_stop", 0),
            ("evaluate_every", 1),
            ("checkpoint_every", 1),
            ("workers", 1),
            ("seed", 0),
            ("momentum", 0),
            ("clip_norm", 0),
            ("l2", 0),
            ("focal_gamma", 0),
            ("num_classes", 1),
            ("schedule_steps", 1),
            ("steps", 1),
            ("classification_weight", 0),
            ("localization_weight", 0),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name}: expected at least {least}, got {value}.")
        if self.momentum >= 1:
            raise ConfigError(f"momentum: expected less than 1, got {self.momentum}.")
        if self.alpha <= 0:
            raise ConfigError(f"alpha: expected a width above 0, got {self.alpha}.")
        if self.batch_norm_decay is not None and not 0 < self.batch_norm_decay < 1:
            raise ConfigError(
                f"batch_norm_decay: expected a number between 0 and 1, got {self.batch_norm_decay}."
            )
        if self.focal_alpha is not None and not 0 < self.focal_alpha < 1:
            raise ConfigError(f"focal_alpha: expected a number between 0 and 1, got {self.focal_alpha}.")
        if self.huber_delta <= 0:
            raise ConfigError(f"huber_delta: expected a number above 0, got {self.huber_delta}.")
        if not 0 < self.match_iou <= 1:
            raise ConfigError(f"match_iou: expected a number above 0 and at most 1, got {self.match_iou}.")
        if self.batch_size % self.devices:
            raise ConfigError(
                f"batch_size: expected a multiple of the {self.devices} devices, got {self.batch_size}."
            )
        if self.early_stop and not (self.val_split or self.val_data):
            raise ConfigError("early_stop: it needs a val_split or val_data to judge by, none is named.")
        if self.pipeline and (self.input_size is not None or self.alpha != 1.0):
            raise ConfigError(
                "pipeline: the file decides input_size and alpha; leave both out of the recipe."
            )
        if not self.pipeline:  # a file is read when the training starts
            self.network(1)
        compose(self.augmentations)
        self.schedule()

    def schedule(self) -> CosineSchedule:
        """The learning rate by step."""
        total = self.schedule_steps or self.steps
        warmup = total // 20 if self.warmup_steps is None else self.warmup_steps
        start = self.learning_rate / 3 if self.warmup_learning_rate is None else self.warmup_learning_rate
        return CosineSchedule(self.learning_rate, total, start, warmup)

    def network(self, num_classes: int) -> SSDConfig:
        """The network this recipe trains, for a data set of this many classes.

        Raises:
            ConfigError: no such network can be built, or the pipeline.config cannot be read.
        """
        changes: dict[str, Any] = {"num_classes": num_classes, "freeze_batchnorm": self.freeze_batchnorm}
        if self.l2 is not None:
            changes |= {"l2": self.l2, "predictor_l2": self.l2}
        if self.pipeline:
            base = read_pipeline_config(self.pipeline).ssd_config()
            if base.architecture != self.architecture:
                raise ConfigError(
                    f"pipeline: expected a network of {self.architecture}, the file describes"
                    f" {base.architecture}.",
                    path=self.pipeline,
                )
        else:
            base = next(make() for make in PRESETS.values() if make().architecture == self.architecture)
            changes["alpha"] = self.alpha
            if self.input_size is not None:
                changes |= {"width": self.input_size[0], "height": self.input_size[1]}
        if self.batch_norm_decay is not None:
            for name in ("batch_norm", "predictor_batch_norm"):
                changes[name] = replace(getattr(base, name), decay=self.batch_norm_decay)
        return base.with_(**changes)

    @property
    def augmentations(self) -> tuple[str, ...]:
        """Names of the augmentations, the zoo's for the architecture where the recipe names none."""
        return AUGMENT[self.architecture] if self.augment is None else self.augment

    @property
    def positive_weight(self) -> float:
        """Alpha of the focal loss."""
        return FOCAL_ALPHA[self.architecture] if self.focal_alpha is None else self.focal_alpha

    def resolved(self) -> TrainRecipe:
        """The same with absolute paths, so that it can be run again from another folder."""

        def absolute(value: str | None) -> str | None:
            # A checkpoint is named by its prefix: only PREFIX.index and PREFIX.data-* are files.
            there = value and (Path(value).exists() or Path(f"{value}.index").exists())
            return str(Path(value).resolve()) if there else value

        places = {
            name: absolute(getattr(self, name))
            for name in ("data", "val_data", "images", "label_map", "pipeline", "start")
        }
        return replace(self, **places)

    @property
    def hash(self) -> str:
        """16 hex digits over what decides the result; the data is known by its own fingerprint, not by its
        path.
        """
        ignored = ("name", "workers", "checkpoint_every", "data", "val_data", "images")
        decisive = {k: v for k, v in self.resolved().as_dict().items() if k not in ignored}
        if self.freeze == "none":  # trainings started before there was this key go on
            del decisive["freeze"]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name}: expected one of {', '.join(known)}, got {value!r}.")
