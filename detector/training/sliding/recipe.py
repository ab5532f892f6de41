"""The recipe of a sliding-window detector: everything that decides its training, in one frozen, checked
value.

A YAML file is one of these where it says `kind: sliding_window`. No deep-learning library is imported.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import get_type_hints

from detector.config import checked
from detector.errors import ConfigError
from detector.sliding.settings import SlidingWindowSettings
from detector.training.common.recipe import Recipe
from detector.training.common.schedules import CosineSchedule

KIND = "sliding_window"


@dataclass(frozen=True)
class SlidingRecipe(Recipe):
    """How to train a patch classifier and run it as a detector. Every field but `data` has a default.

    Args:
        kind: "sliding_window".
        data: patches of one size, as `detector.data.formats.uiuc.read_patches` takes them; "" where the
            caller hands them over.
        scenes: labelled pictures (as `load_dataset` takes them) whose regions free of objects give further
            negatives; None uses the patches alone. `scenes_split` names one of their splits.
        name: shown to people.
        class_name: of the object; one class.
        widths: channels of the two convolutions; dense: units of the hidden layer; dropout: before the
            logits.
        batch_norm_decay: how much of its statistics batch normalisation keeps each step. Keras' own 0.99
            needs more steps than such a training has.
        steps: training steps (batches) in all, the rounds of hard negatives included.
        batch_size: patches a step, half of them objects.
        learning_rate: the highest; warm-up over a twentieth of the steps, then half a cosine to 0 (Adam).
        weight_decay: of AdamW, off biases and batch normalisation.
        label_smoothing: how far targets stay from 0 and 1, so that confidences do not saturate.
        held_out: share of the patches, drawn by `seed`, that is never trained on and judges the classifier.
        rounds: how often hard negatives are looked for, at equal distances over the steps.
        hard_negatives: the most that are added a round.
        mosaics: pictures composed of negative patches (and some objects) that a round looks through.
        flip: mirror patches left to right; shift: most pixels an object is moved; zoom: most relative change
            of its size;
        brightness: most that is added, as a share of white; contrast: most relative change; noise: highest
            standard deviation, as a share of white; blur: highest standard deviation in pixels; cut: share of
            objects of which a border strip (up to a fifth) is lost, as at the border of a picture.
        window_widths, score_threshold, iou_threshold, inside_threshold, refine_iou, pad, max_detections: of
            the detector, see `SlidingWindowSettings`.
        seed: decides weights, held-out patches, order and augmentation.
        evaluate_every, checkpoint_every: steps between; None is a tenth and a twentieth of all steps.

    Raises:
        ConfigError: a value of the wrong type or out of range.
    """

    called = "a sliding-window recipe"

    kind: str = KIND
    data: str = ""
    scenes: str | None = None
    scenes_split: str | None = None
    name: str = "sliding window"
    class_name: str = "object"
    widths: tuple[int, int] = (32, 64)
    dense: int = 512
    dropout: float = 0.0
    batch_norm_decay: float = 0.9
    steps: int = 900
    batch_size: int = 64
    learning_rate: float = 0.001
    weight_decay: float = 0.0001
    label_smoothing: float = 0.02
    held_out: float = 0.2
    rounds: int = 2
    hard_negatives: int = 1500
    mosaics: int = 60
    flip: bool = True
    shift: float = 3.0
    zoom: float = 0.1
    brightness: float = 0.2
    contrast: float = 0.3
    noise: float = 0.03
    blur: float = 0.8
    cut: float = 0.15
    window_widths: tuple[float, ...] = (100.0,)
    score_threshold: float = 0.01
    iou_threshold: float = 0.2
    inside_threshold: float = 0.6
    refine_iou: float = 0.5
    pad: float = 0.2
    max_detections: int = 100
    seed: int = 0
    evaluate_every: int | None = None
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            object.__setattr__(
                self, field.name, checked(field.name, getattr(self, field.name), hints[field.name])
            )
        if self.kind != KIND:
            raise ConfigError(f"kind: expected {KIND!r}, got {self.kind!r}.")
        if not self.class_name.strip():
            raise ConfigError("class_name: expected a name for the object's class, it is blank.")
        if min(self.widths) < 1:
            raise ConfigError(f"widths: expected at least 1 channel, got {list(self.widths)}.")
        for name, least in (
            ("dense", 1),
            ("steps", 1),
            ("batch_size", 2),
            ("rounds", 0),
            ("hard_negatives", 1),
            ("mosaics", 1),
            ("seed", 0),
            ("evaluate_every", 1),
            ("checkpoint_every", 1),
            ("weight_decay", 0),
            ("shift", 0),
            ("noise", 0),
            ("blur", 0),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name}: expected at least {least}, got {value}.")
        for name in ("dropout", "label_smoothing", "zoom", "brightness", "contrast", "cut"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected 0 or more and less than 1, got {getattr(self, name)}.")
        for name in ("batch_norm_decay", "held_out"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected a number between 0 and 1, got {getattr(self, name)}.")
        if self.rounds >= self.steps:
            raise ConfigError(f"rounds: expected fewer than the {self.steps} steps, got {self.rounds}.")
        if self.scenes_split and not self.scenes:
            raise ConfigError("scenes_split: it names a split of `scenes`, which the recipe does not name.")
        self.settings()
        self.schedule()

    def settings(self) -> SlidingWindowSettings:
        """What the detector does with the classifier's answers."""
        return SlidingWindowSettings(**{f.name: getattr(self, f.name) for f in fields(SlidingWindowSettings)})

    def schedule(self) -> CosineSchedule:
        """The learning rate by step."""
        return CosineSchedule(self.learning_rate, self.steps, self.learning_rate / 3, self.steps // 20)

    @property
    def mining_steps(self) -> tuple[int, ...]:
        """The steps before which a round of hard negatives is looked for."""
        return tuple(max(1, self.steps * i // (self.rounds + 1)) for i in range(1, self.rounds + 1))

    def resolved(self) -> SlidingRecipe:
        """The same with absolute paths, so that it can be run again from another folder."""

        def absolute(value: str | None) -> str | None:
            return str(Path(value).resolve()) if value and Path(value).exists() else value

        return replace(self, data=absolute(self.data) or "", scenes=absolute(self.scenes))

    @property
    def hash(self) -> str:
        """16 hex digits over what decides the result; the data is known by its own fingerprint, not by its
        path.
        """
        ignored = ("name", "checkpoint_every", "data", "scenes")
        decisive = {k: v for k, v in self.as_dict().items() if k not in ignored}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]
