"""The recipe of a two-head network: everything that decides its training, in one frozen, checked value.

A YAML file is one of these where it says `kind: two_head`. No deep-learning library is imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import create_model

from detector.config import Config, checked
from detector.errors import ConfigError
from detector.training.common.recipe import Recipe
from detector.training.common.schedules import CosineSchedule
from detector.two_head.config import TwoHeadConfig

KIND = "two_head"
BOX_LOSSES = ("huber", "ciou")
LOSS_WEIGHTS = ("fixed", "learned")
OPTIMISERS = ("adamw", "adam", "sgd", "rmsprop")
MANY = ("leave_out", "largest")
KEEP = ("best", "last")
NETWORK = tuple(f.name for f in fields(TwoHeadConfig) if f.name != "num_classes")


@dataclass(frozen=True)
class Stage:
    """A part of a training with its own trained layers and learning rate.

    Args:
        steps: how long it is.
        unfrozen: share of the backbone's layers, from its end, that are trained: 0 none (the heads alone), 1
            all.
        learning_rate: the highest; warm-up over a twentieth of the steps, then half a cosine to 0.

    Raises:
        ConfigError: a value of the wrong type or out of range.
    """

    steps: int
    unfrozen: float = 0.0
    learning_rate: float = 0.001

    def __post_init__(self) -> None:
        for name, hint in (("steps", int), ("unfrozen", float), ("learning_rate", float)):
            object.__setattr__(self, name, checked(f"stages: {name}", getattr(self, name), hint))
        if not 0 <= self.unfrozen <= 1:
            raise ConfigError(f"stages: unfrozen: expected a share from 0 to 1, got {self.unfrozen}.")
        self.schedule()

    def schedule(self) -> CosineSchedule:
        """The learning rate by step of this stage."""
        return CosineSchedule(self.learning_rate, self.steps, self.learning_rate / 10, self.steps // 20)


@dataclass(frozen=True)
class TwoHeadRecipe(Recipe):
    """How to train a two-head network. Every field but `data` has a default.

    Args:
        kind: "two_head".
        data: the data set, as `detector.data.load_dataset` takes it; "" where the caller hands one over.
        data_format, images: passed to `load_dataset`; None lets it find out.
        name: shown to people.
        train_split, val_split: splits of the data to train on and to judge by; val_data: another data set to
            judge by.
        held_out: where no `val_split` or `val_data` is named: the share of each class (below 1), or the
            number of images in all, drawn by `seed`, that is never trained on and judges the network. 0 holds
            nothing back; None is a fifth of the training pictures, or 1,629 of the 8,144 of Stanford Cars
            (and 6,500 are trained on).
        train_images: at most this many images are trained on, drawn likewise; None takes all.
        many: what becomes of a picture with several objects: "leave_out", or "largest" keeps its largest one.
        backbone, alpha, input_size, resize, heads, class_widths, box_pool, box_channels, box_widths,
            box_format, dropout: see `TwoHeadConfig`.
        start: "none" (fresh weights), "imagenet" (Keras downloads them), a `.h5` file of the backbone without
            its top, or the folder of a two-head training, whose backbone (and heads, where they fit) are
            taken.
        freeze_batchnorm: batch norms keep their stored statistics; right for small batches on pretrained
            weights, and impossible with fresh ones, which have none. None: by the weights.
        batch_norm_decay: where they are not kept, how much of them each step keeps. None is the backbone's
            own (0.99 or 0.999) on pretrained weights, and 0.97 on fresh ones: the statistics would lag behind
            for thousands of steps.
        stages: one after the other, see `Stage`. A new stage starts with a fresh optimiser.
        batch_size: images per step.
        optimiser: "adamw", "adam", "sgd" (Nesterov momentum 0.9) or "rmsprop".
        weight_decay: of AdamW, off biases and batch normalisation. clip_norm: the gradients' global norm is
            cut to this; 0 off.
        label_smoothing: how far class targets stay from 0 and 1.
        box_loss: "huber" on the four corners, or "ciou". huber_delta: in shares of the input.
        class_weight, box_weight: of the two parts of the loss.
        loss_weights: "fixed", or "learned": multiplied by weights learned from each part's uncertainty
            (Kendall, Gal and Cipolla, "Multi-Task Learning Using Uncertainty", 2018).
        average: how much of the running average of the weights each step keeps (0.99, say); the average
            judges and is the result. 0 is off. It starts anew with each stage.
        flip: mirror half of the pictures left to right.
        crop: the most that is cut off at each side, zoom_out: the most that is added there, as shares of the
            picture.
        min_visible: share of the object that a crop keeps at least.
        colour: most relative change of brightness, contrast and saturation.
        flip_average: the detector's answer is the mean over the picture and its mirror image.
        top_k: how many of its classes the detector gives for its box.
        keep: which weights are the result: the "best" by the held-out images, or the "last" (they then choose
            nothing).
        seed: decides fresh weights, held-out images, order and augmentation.
        evaluate_every, checkpoint_every: steps between; None is a tenth and a twentieth of all steps.
        workers: input threads; None is one a core.

    Raises:
        ConfigError: a value of the wrong type or out of range, or fields that contradict each other.
    """

    called = "a two-head recipe"

    kind: str = KIND
    data: str = ""
    data_format: str | None = None
    images: str | None = None
    name: str = "two heads"
    train_split: str | None = None
    val_split: str | None = None
    val_data: str | None = None
    held_out: float | None = None
    train_images: int | None = None
    many: str = "leave_out"
    backbone: str = "MobileNetV2"
    alpha: float = 1.0
    input_size: tuple[int, int] = (224, 224)
    resize: str = "stretch"
    heads: str = "both"
    class_widths: tuple[int, ...] = ()
    box_pool: str = "flatten"
    box_channels: int = 64
    box_widths: tuple[int, ...] = (256,)
    box_format: str = "centre"
    dropout: float = 0.2
    start: str = "imagenet"
    freeze_batchnorm: bool | None = None
    batch_norm_decay: float | None = None
    stages: tuple[Stage, ...] = (Stage(300, 0.0, 0.001), Stage(700, 0.5, 0.0003))
    batch_size: int = 16
    optimiser: str = "adamw"
    weight_decay: float = 0.0001
    clip_norm: float = 1.0
    label_smoothing: float = 0.05
    box_loss: str = "ciou"
    huber_delta: float = 0.1
    class_weight: float = 1.0
    box_weight: float = 2.0
    loss_weights: str = "fixed"
    average: float = 0.98
    flip: bool = True
    crop: float = 0.25
    zoom_out: float = 0.1
    min_visible: float = 0.7
    colour: float = 0.3
    flip_average: bool = False
    top_k: int = 5
    keep: str = "best"
    seed: int = 0
    evaluate_every: int | None = None
    checkpoint_every: int | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            if field.name != "stages":
                object.__setattr__(
                    self, field.name, checked(field.name, getattr(self, field.name), hints[field.name])
                )
        object.__setattr__(self, "stages", _stages(self.stages))
        if self.kind != KIND:
            raise ConfigError(f"kind: expected {KIND!r}, got {self.kind!r}.")
        for name, known in (
            ("many", MANY),
            ("optimiser", OPTIMISERS),
            ("box_loss", BOX_LOSSES),
            ("loss_weights", LOSS_WEIGHTS),
            ("keep", KEEP),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}.")
        for name, least in (
            ("batch_size", 1),
            ("top_k", 1),
            ("seed", 0),
            ("weight_decay", 0),
            ("clip_norm", 0),
            ("class_weight", 0),
            ("box_weight", 0),
            ("held_out", 0),
            ("train_images", 1),
            ("evaluate_every", 1),
            ("checkpoint_every", 1),
            ("workers", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name}: expected at least {least}, got {value}.")
        if self.held_out is not None and self.held_out > 1 and self.held_out != int(self.held_out):
            raise ConfigError(
                f"held_out: expected a share below 1 or a whole number of images, got {self.held_out}."
            )
        for name in ("label_smoothing", "average", "crop", "colour"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected 0 or more and less than 1, got {getattr(self, name)}.")
        if self.crop >= 0.5:
            raise ConfigError(
                f"crop: expected less than 0.5, for it is cut off at both sides, got {self.crop}."
            )
        if not 0 <= self.zoom_out <= 1:
            raise ConfigError(f"zoom_out: expected 0 to 1, got {self.zoom_out}.")
        if not 0 < self.min_visible <= 1:
            raise ConfigError(f"min_visible: expected a share above 0 and at most 1, got {self.min_visible}.")
        if self.freeze_batchnorm and self.start == "none":
            raise ConfigError(
                "freeze_batchnorm: fresh weights (start: none) have no statistics to keep; leave it out, or"
                " say false."
            )
        if self.batch_norm_decay is not None and not 0 < self.batch_norm_decay < 1:
            raise ConfigError(
                f"batch_norm_decay: expected a number between 0 and 1, got {self.batch_norm_decay}."
            )
        if self.huber_delta <= 0:
            raise ConfigError(f"huber_delta: expected a number above 0, got {self.huber_delta}.")
        if self.train_split and self.train_split == self.val_split and not self.val_data:
            raise ConfigError(
                f"val_split: it is the split that is trained on, {self.train_split!r}; name another."
            )
        self.network(1)

    @property
    def keeps_statistics(self) -> bool:
        """Whether batch norms stay as the starting weights have them."""
        return self.start != "none" if self.freeze_batchnorm is None else self.freeze_batchnorm

    @property
    def statistics_decay(self) -> float | None:
        """How much of their statistics batch norms keep each step; None leaves the backbone's own."""
        return 0.97 if self.batch_norm_decay is None and self.start == "none" else self.batch_norm_decay

    def network(self, num_classes: int) -> TwoHeadConfig:
        """The network this recipe trains, for a data set of this many classes."""
        return TwoHeadConfig(num_classes=num_classes, **{name: getattr(self, name) for name in NETWORK})

    @property
    def steps(self) -> int:
        """Of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[int, int]:
        """(which stage, how far into it) for step 0..steps - 1."""
        for i, stage in enumerate(self.stages):
            if step < stage.steps:
                return i, step
            step -= stage.steps
        return len(self.stages) - 1, self.stages[-1].steps + step

    @classmethod
    def schema(cls) -> type[Config]:
        """As every recipe's, with the keys of a stage."""
        hints = get_type_hints(cls)
        stage = create_model(
            "stage", __base__=Config, steps=(int, ...), unfrozen=(float, 0.0), learning_rate=(float, 0.001)
        )
        keys: dict[str, Any] = {f.name: (hints[f.name], f.default) for f in fields(cls)}
        keys["stages"] = (tuple[stage, ...], tuple(stage(**asdict(s)) for s in cls.stages))
        return create_model("recipe", __base__=Config, **keys)

    def resolved(self) -> TwoHeadRecipe:
        """The same with absolute paths, so that it can be run again from another folder."""

        def absolute(value: str | None) -> str | None:
            return str(Path(value).resolve()) if value and Path(value).exists() else value

        return replace(
            self, **{name: absolute(getattr(self, name)) for name in ("data", "val_data", "images", "start")}
        )

    @property
    def hash(self) -> str:
        """16 hex digits over what decides the result; the data is known by its own fingerprint, not by its
        path.
        """
        ignored = ("name", "workers", "checkpoint_every", "data", "val_data", "images")
        decisive = {
            k: v
            for k, v in self.resolved().as_dict().items()
            if k not in ignored and (k, v) != ("batch_norm_decay", None)
        }
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def _stages(values: Any) -> tuple[Stage, ...]:
    if not isinstance(values, (list, tuple)) or not values:
        raise ConfigError(
            f"stages: expected a list of stages with steps, unfrozen and learning_rate, got {values!r}."
        )
    stages = []
    for value in values:
        if isinstance(value, Stage):
            stages.append(value)
            continue
        if (
            not isinstance(value, Mapping)
            or "steps" not in value
            or not set(value) <= {f.name for f in fields(Stage)}
        ):
            raise ConfigError(f"stages: expected steps, unfrozen and learning_rate of each, got {value!r}.")
        stages.append(Stage(**value))
    return tuple(stages)
