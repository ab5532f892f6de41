"""Train a detector by a recipe: `train(recipe, out)` makes a folder that is the detector and all it came
from.

Killed at any moment, `train(recipe, out, resume=True)` goes on at the last checkpoint with the batches the
undisturbed training would have seen, and ends with its weights.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.core import ClassMap, Detector
from detector.data import load_dataset
from detector.data.dataset import Dataset
from detector.data.label_map import read_label_map
from detector.errors import ConfigError, DataError, ModelError, RunError
from detector.models.keras_ssd import KerasSSD
from detector.ssd.anchors import anchors
from detector.ssd.coder import BoxCoder
from detector.ssd.preprocess import preprocess
from detector.ssd.weights import assign_arrays, network_arrays, save_arrays
from detector.training.common.batches import TrainingBatches, usable_boxes
from detector.training.common.folder import rounded
from detector.training.common.kind import Validate
from detector.training.common.material import ChosenSplits, Material, choose_splits, sound_material
from detector.training.common.session import (
    LOG_EVERY,
    OPTIMIZER,
    Training,
    TrainProgress,
    run_recipe,
    versions,
)
from detector.training.ssd.folder import SSDFolder
from detector.training.ssd.recipe import TrainRecipe

if TYPE_CHECKING:
    from detector.models.keras_ssd import KerasSSD
    from detector.training.ssd.trainer import SSDTrainer


def train(
    recipe: TrainRecipe,
    out: str | Path,
    *,
    dataset: Dataset | None = None,
    validation: Dataset | None = None,
    progress: Callable[[TrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    validate: Validate | None = None,
    resume: bool = False,
) -> Path:
    """Train, and return the folder of the result.

    Args:
        out: a new folder, or with `resume` that of a training that was killed or stopped.
        dataset, validation: instead of what `recipe.data` and the splits name.
        progress: called after every step.
        should_stop: asked after every step; True ends the training after a checkpoint (state "stopped").
        validate: figures on the validation images, e.g. AP; without it their loss decides which weights are
            best. Without validation images the last weights are the result.
        resume: go on at the newest checkpoint; a training that is done is returned as it is.

    Raises:
        RunError: `out` holds a training already (or, with `resume`, none or one of another recipe or data
            set).
        DataError: nothing to train on, or a class id out of range; ImageError: an image cannot be read.
        ModelError: the starting weights do not fit, or the loss is no longer finite (names batch and files).
        ConfigError: the recipe asks for something this machine or backend cannot do.
    """
    folder = SSDFolder(out)

    def make(reading: Callable[[int, int], None]) -> _Training:
        if dataset is None:
            chosen, held_out, splits = load_splits(recipe)
        else:
            chosen, held_out, splits = dataset, validation, ChosenSplits(None, None)
        material = sound_material(folder, chosen, held_out, reading)
        return _Training(recipe, folder, replace(material, notes=(*splits.notes, *material.notes)), validate)

    return run_recipe(folder, recipe, make, resume=resume, progress=progress, should_stop=should_stop)


def load_splits(recipe: TrainRecipe) -> tuple[Dataset, Dataset | None, ChosenSplits]:
    """(training images, validation images, the splits they are) of a recipe's data, with the classes of its
    label map where it names one. Data with a train split are trained on by that split alone; see
    `choose_splits`.

    Raises:
        DataError, InputError: the data cannot be read, has no such split, or classes the label map lacks.
    """
    if not recipe.data:
        raise DataError("expected `data` in the recipe: the path of a labelled data set.")
    whole = load_dataset(recipe.data, format=recipe.data_format, images=recipe.images)
    splits = choose_splits(
        whole, recipe.train_split, recipe.val_split, other_validation=bool(recipe.val_data)
    )
    chosen = whole.split(splits.train) if splits.train else whole
    if recipe.val_data:
        held_out = load_dataset(recipe.val_data, split=recipe.val_split)
    else:
        held_out = whole.split(splits.validation) if splits.validation else None
    if recipe.label_map:
        classes = read_label_map(recipe.label_map)
        if recipe.label_map.endswith(".pbtxt") and classes.external_ids != tuple(range(1, len(classes) + 1)):
            raise DataError(
                f"expected ids 1 to {len(classes)} to train on, got {list(classes.external_ids)}.",
                path=recipe.label_map,
            )
        chosen = chosen.with_classes(classes)
    if held_out is not None and (recipe.val_data or recipe.label_map):
        held_out = held_out.with_classes(chosen.class_map)
    return chosen, held_out, splits


class _Training(Training):
    def __init__(
        self,
        recipe: TrainRecipe,
        folder: SSDFolder,
        material: Material,
        validate: Validate | None,
    ):
        dataset, validation, notes = material.train, material.validation, material.notes
        self.recipe, self.folder, self.validate = recipe, folder, validate
        if validation is not None and validation.class_map.names != dataset.class_map.names:
            raise DataError(
                f"expected the same classes to train and validate on, got {list(dataset.class_map.names)} and"
                f" {list(validation.class_map.names)}.",
                path=validation.source or None,
            )
        if recipe.num_classes not in (None, len(dataset.class_map)):
            names = ", ".join(dataset.class_map.names[:8]) + (", ..." if len(dataset.class_map) > 8 else "")
            raise ConfigError(
                f"num_classes: expected the data's number of classes, {len(dataset.class_map)} ({names}), got"
                f" {recipe.num_classes}.",
                path=recipe.pipeline,
            )
        if validation is not None and not (usable_boxes(validation) & ~validation.objects.crowd).any():
            notes += (
                (
                    f"The {len(validation)} validation images hold no object, so there is no average"
                    " precision to judge by: the last weights are the result."
                ),
            )
            validation = None
        self.class_map, self.validation, self.notes = dataset.class_map, validation, notes
        self.damaged = material.damaged
        self.config = recipe.network(len(dataset.class_map))
        common: dict[str, Any] = {
            "anchors": anchors(self.config).boxes,
            "preprocess": lambda image: preprocess(image, self.config),
            "num_classes": self.config.num_classes,
            "batch_size": recipe.batch_size,
            "coder": BoxCoder(self.config.box_scales),
            "threshold": recipe.match_iou,
            "workers": recipe.workers,
        }
        # Refusals come before the network is built: they are quick, importing Keras is not.
        self.batches = TrainingBatches(dataset, augment=recipe.augmentations, seed=recipe.seed, **common)
        self.held_out = None if validation is None else TrainingBatches(validation, shuffle=False, **common)
        self.schedule = recipe.schedule()
        self.step, self.best, self.stale, self.figures = 0, None, 0, {}
        self.since_log: list[dict[str, float]] = []  # loss parts of the steps since the last line of history
        self.model: SSDTrainer | None = None
        self._judged: KerasSSD | None = None

    def run(self, progress: Callable[[TrainProgress], None], should_stop: Callable[[], bool]) -> str:
        """Train to the end; "done" or "stopped"."""
        self._prepare()
        recipe, recent = self.recipe, deque(maxlen=50)
        last = time.perf_counter()
        source = self.batches.iterate(self.step, recipe.steps)
        try:
            for step, (images, targets) in source:
                logs = self.model.train_on_batch(images, targets, return_dict=True)
                self._refuse_broken(step, logs)
                self.step = step + 1
                recent.append(time.perf_counter() - last)
                self.since_log.append({name: float(logs[name]) for name in logs})
                rate = recipe.batch_size * len(recent) / sum(recent)
                learning_rate = float(self.schedule(step))
                progress(
                    TrainProgress(
                        self.step,
                        recipe.steps,
                        learning_rate=learning_rate,
                        images_per_second=rate,
                        seconds_left=(recipe.steps - self.step) * recipe.batch_size / rate,
                        figures=self.figures,
                        notes=self.notes,
                        **{name: float(logs[name]) for name in logs},
                    )
                )
                ended = self.step == recipe.steps
                if self.step % LOG_EVERY == 0 or ended:
                    self._log(learning_rate, rate)
                stop = False if ended else should_stop()
                look = self.held_out is not None and (self.step % recipe.evaluation_interval == 0 or ended)
                if look:
                    self._evaluate()
                if look or ended or stop or self.step % recipe.checkpoint_interval == 0:
                    self._checkpoint()
                if stop:
                    return "stopped"
                if recipe.early_stop and self.stale >= recipe.early_stop:
                    break
                last = time.perf_counter()
        finally:
            source.close()
        if self.best is None:  # nothing to judge by, or no finite figure: the last weights are the result
            save_arrays(self.folder / "weights.npz", network_arrays(self.model.network), {"step": self.step})
        return "done"

    def _prepare(self) -> None:
        import keras  # noqa: PLC0415  Keras costs seconds

        from detector.ssd.model import build_ssd  # noqa: PLC0415  Keras costs seconds
        from detector.training.ssd.optimizer import make_optimizer  # noqa: PLC0415  Keras costs seconds
        from detector.training.ssd.start import start_from  # noqa: PLC0415  Keras costs seconds
        from detector.training.ssd.trainer import (  # noqa: PLC0415  Keras costs seconds
            SSDTrainer,
            distribute,
            freeze_layers,
            precision,
        )

        recipe, folder = self.recipe, self.folder
        distribute(recipe.devices, recipe.batch_size)
        keras.utils.set_random_seed(recipe.seed)
        with precision(recipe.precision):
            network = build_ssd(self.config)
            self.model = SSDTrainer(
                network,
                alpha=recipe.positive_weight,
                gamma=recipe.focal_gamma,
                delta=recipe.huber_delta,
                classification_weight=recipe.classification_weight,
                localization_weight=recipe.localization_weight,
            )
            freeze_layers(network, recipe.freeze)
            self.model.compile(make_optimizer(self.schedule, recipe.momentum, recipe.clip_norm))
        self.model.optimizer.build(self.model.trainable_variables)
        fingerprints = {
            "data": self.batches.dataset.fingerprint,
            "validation": self.validation.fingerprint if self.validation is not None else None,
        }
        stored = folder.load_checkpoint()
        if stored is not None:
            arrays, meta = stored
            if meta["fingerprints"] != fingerprints:
                raise RunError(
                    "expected the data set this training was started with, it has changed since.",
                    path=folder.path,
                )
            assign_arrays(network, arrays)
            for i, variable in enumerate(self.model.optimizer.variables):
                variable.assign(arrays[f"{OPTIMIZER}{i}"])
            self.step, self.best, self.stale, self.figures = (
                meta["step"],
                meta["best"],
                meta["stale"],
                meta["figures"],
            )
            self.since_log = meta["since_log"]
            folder.rewind_history(self.step)
        else:
            start = start_from(network, self.config, recipe.start, recipe.fine_tune_type)
            folder.write_recipe(recipe)
            folder.rewind_history(0)
            folder.write_detector(self.config, self.class_map)
            pipeline = folder.write_pipeline(recipe, self.config)
            summary = self.batches.summary
            folder.write_json(
                "start.json",
                {
                    "recipe_hash": recipe.hash,
                    "fingerprints": fingerprints,
                    "start": vars(start),
                    "pipeline_config": pipeline,
                    "images": len(summary.rows),
                    "objects": summary.objects,
                    "left_out": {
                        "unlabelled images": summary.unlabelled,
                        "boxes without area": summary.empty_boxes,
                        "crowd regions (weight 0)": summary.crowd,
                        "unreadable images": len(self.damaged),
                    },
                    "notes": list(self.notes),
                    "versions": versions(),
                },
            )
        self._fingerprints = fingerprints
        folder.write_json("state.json", self.state("running"))

    def _refuse_broken(self, step: int, logs: Mapping[str, float]) -> None:
        if all(math.isfinite(logs[name]) for name in logs):
            return
        parts = ", ".join(f"{name} {logs[name]}" for name in logs)
        raise ModelError(
            f"expected a finite loss, at step {step} of {self.recipe.steps} it is {parts}; the batch held"
            f" {', '.join(self.batches.files(step))}. The checkpoint before it is kept; lower learning_rate,"
            " set clip_norm, or look at these files."
        )

    def _log(self, learning_rate: float, rate: float) -> None:
        means = {
            name: float(np.mean([entry[name] for entry in self.since_log])) for name in self.since_log[0]
        }
        self.since_log = []
        means |= {"learning_rate": learning_rate, "images_per_second": rate}
        self.folder.append_history({"step": self.step, **rounded(means), "time": round(time.time(), 1)})

    def _evaluate(self) -> None:
        if self.validate is not None:
            self.figures = {
                name: float(v) for name, v in self.validate(self._detector(), self.validation).items()
            }
            name, higher = next(iter(self.figures)), True
        else:
            self.figures, name, higher = {"validation loss": self._held_out_loss()}, "validation loss", False
        self.folder.append_history(
            {"step": self.step, "figures": rounded(self.figures), "time": round(time.time(), 1)}
        )
        value = self.figures[name]
        gained = self.best is None or (value > self.best["value"] if higher else value < self.best["value"])
        better = math.isfinite(value) and gained
        self.stale = 0 if better else self.stale + 1
        if better:
            self.best = {"figure": name, "value": value, "step": self.step, "figures": rounded(self.figures)}
            save_arrays(self.folder / "weights.npz", network_arrays(self.model.network), self.best)

    def _held_out_loss(self) -> float:
        steps = math.ceil(self.held_out.steps_per_epoch)
        losses = []
        for _, (images, targets) in self.held_out.iterate(0, steps):
            logs = self.model.test_on_batch(images, targets, return_dict=True)
            losses.append(float(logs["classification"]) + float(logs["localization"]))
        return float(np.mean(losses))

    def _detector(self) -> Detector:
        """The network as it is now, through the inference path of every other detector, in float32."""

        arrays = network_arrays(self.model.network)
        if self._judged is None:
            self._judged = KerasSSD(
                self.config, arrays, self._classes(), name=self.recipe.name, runtime="keras"
            )
        else:  # its graph is kept, only the weights are new
            assign_arrays(self._judged.network, arrays)
        return self._judged

    def _classes(self) -> ClassMap:
        return ClassMap(self.class_map.names, tuple(range(1, len(self.class_map) + 1)))

    def _checkpoint(self) -> None:
        arrays = network_arrays(self.model.network)
        for i, variable in enumerate(self.model.optimizer.variables):
            arrays[f"{OPTIMIZER}{i}"] = np.array(variable)
        broken = [name for name, value in arrays.items() if not np.isfinite(value).all()]
        if broken:
            raise ModelError(
                f"expected finite weights, after step {self.step - 1} {broken[0]} and {len(broken) - 1}"
                f" others are not; the batch held {', '.join(self.batches.files(self.step - 1))}. The"
                " checkpoint before it is kept; lower learning_rate or set clip_norm."
            )
        self.folder.save_checkpoint(
            arrays,
            {
                "step": self.step,
                "best": self.best,
                "stale": self.stale,
                "figures": self.figures,
                "since_log": self.since_log,
                "fingerprints": self._fingerprints,
            },
        )
        self.folder.write_json("state.json", self.state("running"))
