"""Train a two-head network by a recipe; the folder that results is a detector.

Killed at any moment, `train_two_head(recipe, out, resume=True)` goes on at the last checkpoint with the
batches the undisturbed training would have seen.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.data.dataset import Dataset
from detector.errors import ModelError, RunError
from detector.models.two_head import TwoHeadDetector
from detector.ssd.weights import save_arrays
from detector.training.common.folder import rounded
from detector.training.common.material import Material, sound_material
from detector.training.common.session import (
    LOG_EVERY,
    OPTIMIZER,
    Training,
    TrainProgress,
    run_recipe,
    versions,
)
from detector.training.two_head.data import TwoHeadBatches
from detector.training.two_head.folder import TwoHeadFolder
from detector.training.two_head.judge import judge
from detector.training.two_head.recipe import TwoHeadRecipe
from detector.training.two_head.splits import Split, load_split
from detector.two_head.stored import TwoHeadSettings

if TYPE_CHECKING:
    from detector.models.two_head import TwoHeadDetector
    from detector.training.two_head.trainer import TwoHeadTrainer

AVERAGE = "average/"  # the running average's name in a checkpoint, beside the weights
STATE = "state/"  # dropout's generators and learned loss weights

OnEvaluation = Callable[[int, Mapping[str, float]], bool]
"""(step, figures) after each evaluation; True ends the training there."""


def train_two_head(
    recipe: TwoHeadRecipe,
    out: str | Path,
    *,
    dataset: Dataset | None = None,
    validation: Dataset | None = None,
    progress: Callable[[TrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_evaluation: OnEvaluation | None = None,
    resume: bool = False,
) -> Path:
    """Train, and return the folder of the result, which `load_detector` opens.

    Args:
        out: a new folder, or with `resume` that of a training that was killed or stopped.
        dataset, validation: instead of what `recipe.data` and `recipe.val_data` name.
        progress: called after every step.
        should_stop: asked after every step; True ends the training after a checkpoint (state "stopped").
        on_evaluation: told the held-out figures; a sweep ends unpromising trials with it.
        resume: go on at the newest checkpoint; a training that is done is returned as it is.

    Raises:
        RunError: `out` holds a training already (or, with `resume`, none or one of another recipe or data
            set).
        DataError: no picture with one object, or a box outside its picture; ImageError: an image cannot be
            read.
        ModelError: the starting weights do not fit, or the loss is no longer finite (names batch and files).
    """
    folder = TwoHeadFolder(out)

    def make(reading: Callable[[int, int], None]) -> _Training:
        def sound(train: Dataset, judged: Dataset | None) -> Material:
            return sound_material(folder, train, judged, reading)

        return _Training(
            recipe,
            folder,
            load_split(recipe, dataset, validation, sound=sound),
            on_evaluation or (lambda step, figures: False),
        )

    return run_recipe(folder, recipe, make, resume=resume, progress=progress, should_stop=should_stop)


class _Training(Training):
    def __init__(
        self, recipe: TwoHeadRecipe, folder: TwoHeadFolder, split: Split, on_evaluation: OnEvaluation
    ):
        self.recipe, self.folder, self.split, self.on_evaluation = recipe, folder, split, on_evaluation
        self.classes = split.classes(recipe)
        self.config = recipe.network(len(self.classes))
        self.batches = TwoHeadBatches(split.dataset, split.train, recipe)
        self.step, self.stage = 0, -1
        self.best: dict[str, Any] | None = None
        self.figures: dict[str, float] = {}
        self.since_log: list[dict[str, float]] = []
        self.average: dict[str, np.ndarray] = {}
        self.model: TwoHeadTrainer | None = None
        self._judged: TwoHeadDetector | None = None

    def run(self, progress: Callable[[TrainProgress], None], should_stop: Callable[[], bool]) -> str:
        """Train to the end; "done" or "stopped"."""
        self._prepare()
        recipe, recent, stop = self.recipe, deque(maxlen=50), False
        last = time.perf_counter()
        source = self.batches.iterate(self.step, recipe.steps)
        try:
            for step, (pixels, targets) in source:
                stage, into = recipe.stage_at(step)
                if stage != self.stage:
                    self._enter(stage)
                rate = float(recipe.stages[stage].schedule()(into))
                self.model.optimizer.learning_rate.assign(rate)
                self.model.reset_metrics()
                logs = {
                    name: float(v)
                    for name, v in self.model.train_on_batch(pixels, targets, return_dict=True).items()
                }
                self._refuse_broken(step, logs)
                self._keep_average()
                self.step = step + 1
                self.since_log.append(logs)
                recent.append(time.perf_counter() - last)
                speed = recipe.batch_size * len(recent) / sum(recent)
                progress(
                    TrainProgress(
                        self.step,
                        recipe.steps,
                        loss=logs["loss"],
                        classification=logs["classification"],
                        localization=logs["localization"],
                        regularization=logs["uncertainty"],
                        learning_rate=rate,
                        images_per_second=speed,
                        figures=self.figures,
                        notes=self.split.notes,
                        seconds_left=(recipe.steps - self.step) * recipe.batch_size / speed,
                    )
                )
                ended = self.step == recipe.steps
                if self.step % LOG_EVERY == 0 or ended:
                    self._log(rate, speed)
                stop = False if ended else should_stop()
                look = self.step % recipe.evaluation_interval == 0 or ended
                if look:
                    stop = self._evaluate() and not ended or stop
                if look or stop or self.step % recipe.checkpoint_interval == 0:
                    self._checkpoint()
                if stop:
                    return "stopped"
                last = time.perf_counter()
        finally:
            source.close()
        return "done"

    def _prepare(self) -> None:
        import keras  # noqa: PLC0415  Keras costs seconds

        from detector.training.two_head.trainer import TwoHeadTrainer  # noqa: PLC0415  Keras costs seconds
        from detector.two_head.network import assign, build_two_head, set_statistics_decay, start_from  # noqa: PLC0415  Keras costs seconds

        recipe, folder = self.recipe, self.folder
        keras.utils.set_random_seed(recipe.seed)
        network = build_two_head(self.config)
        set_statistics_decay(network, recipe.statistics_decay)
        self.model = TwoHeadTrainer(network, recipe)
        fingerprints = self.split.fingerprints
        self._fingerprints = fingerprints
        stored = folder.load_checkpoint()
        if stored is None:
            start = start_from(network, self.config, recipe.start)
            folder.write_recipe(recipe)
            folder.rewind_history(0)
            folder.write_two_head(self.config, self.classes, recipe)
            folder.write_split(*self.split.ids, self.split.left_out)
            folder.write_json(
                "start.json",
                {
                    "recipe_hash": recipe.hash,
                    "fingerprints": fingerprints,
                    "start": asdict(start),
                    "images": len(self.split.train.rows),
                    "held out": len(self.split.held_out.rows) if self.split.held_out else 0,
                    "left_out": self.split.left_out,
                    "notes": list(self.split.notes),
                    "versions": versions(),
                },
            )
        else:
            arrays, meta = stored
            if meta["fingerprints"] != fingerprints:
                raise RunError(
                    "expected the data set this training was started with, it has changed since.",
                    path=folder.path,
                )
            assign(network, arrays)
            self._enter(meta["stage"])
            for name, variable in self._others().items():
                variable.assign(arrays[name])
            self.average = {k.removeprefix(AVERAGE): v for k, v in arrays.items() if k.startswith(AVERAGE)}
            self.step, self.best, self.figures, self.since_log = (
                meta["step"],
                meta["best"],
                meta["figures"],
                meta["since_log"],
            )
            folder.rewind_history(self.step)
        folder.write_json("state.json", self.state("running"))

    def _enter(self, stage: int) -> None:
        """Begin a stage: its layers become trainable, under a fresh optimiser."""
        from detector.training.two_head.trainer import make_optimiser  # noqa: PLC0415  Keras costs seconds
        from detector.two_head.network import unfreeze  # noqa: PLC0415  Keras costs seconds

        self.stage = stage
        settings = self.recipe.stages[stage]
        unfreeze(self.model.network, settings.unfrozen, freeze_batchnorm=self.recipe.keeps_statistics)
        # XLA compiles for minutes on a CPU and then runs convolutions slower than TensorFlow's own
        # (measured).
        self.model.compile(make_optimiser(self.recipe, settings.learning_rate), jit_compile=False)
        self.model.optimizer.build(self.model.trainable_variables)
        self.average = {}

    def _keep_average(self) -> None:
        if not self.recipe.average:
            return
        from detector.two_head.network import arrays_of  # noqa: PLC0415  Keras costs seconds

        now = arrays_of(self.model.network)
        if not self.average:
            self.average = now
            return
        for key, value in now.items():
            self.average[key] += (1 - self.recipe.average) * (value - self.average[key])

    def _result(self) -> dict[str, np.ndarray]:
        """The weights that judge and are the result: the average where there is one."""
        from detector.two_head.network import arrays_of  # noqa: PLC0415  Keras costs seconds

        return (
            {k: v.copy() for k, v in self.average.items()} if self.average else arrays_of(self.model.network)
        )

    def _others(self) -> dict[str, Any]:
        """What a checkpoint holds beside weights: the optimiser, dropout's generators, learned loss
        weights.
        """
        found = {f"{OPTIMIZER}{i}": v for i, v in enumerate(self.model.optimizer.variables)}
        weights = {id(v) for v in self.model.network.weights}
        own = [v for v in self.model.network.variables if id(v) not in weights]
        return found | {f"{STATE}{i}": v for i, v in enumerate([*own, *self.model.log_variances.values()])}

    def _refuse_broken(self, step: int, logs: Mapping[str, float]) -> None:
        if all(math.isfinite(value) for value in logs.values()):
            return
        parts = ", ".join(f"{name} {value}" for name, value in logs.items())
        raise ModelError(
            f"expected a finite loss, at step {step} of {self.recipe.steps} it is {parts}; the batch held"
            f" {', '.join(self.batches.files(step))}. The checkpoint before it is kept; lower the stage's"
            " learning_rate, set clip_norm, or look at these files."
        )

    def _log(self, learning_rate: float, rate: float) -> None:
        means = {
            name: float(np.mean([entry[name] for entry in self.since_log])) for name in self.since_log[0]
        }
        self.since_log = []
        means |= {"learning_rate": learning_rate, "images_per_second": rate, "stage": float(self.stage)}
        for part, variable in self.model.log_variances.items():
            means[f"log_variance_{part}"] = float(np.array(variable))
        self.folder.append_history({"step": self.step, **rounded(means), "time": round(time.time(), 1)})

    def _evaluate(self) -> bool:
        """Judge by the held-out pictures, keep the weights if they are the result so far; True asks to end
        here.
        """
        arrays = self._result()
        if self.split.held_out is None:
            self._write_result(arrays, {"step": self.step})
            return False

        if self._judged is None:
            settings = TwoHeadSettings(self.recipe.top_k, self.recipe.flip_average)
            self._judged = TwoHeadDetector(self.config, arrays, self.classes, settings, name=self.recipe.name)
        else:
            self._judged.replace_weights(arrays)
        self.figures = judge(self._judged, self.split.validation, self.split.held_out, self.recipe.heads)
        self.folder.append_history(
            {"step": self.step, "figures": rounded(self.figures), "time": round(time.time(), 1)}
        )
        name = next(iter(self.figures))
        value = self.figures[name]
        if not math.isfinite(value):
            raise ModelError(f"expected finite figures on the held-out pictures, {name} is {value}.")
        if self.best is None or self.recipe.keep == "last" or value > self.best["value"]:
            self.best = {
                "figure": name,
                "value": value,
                "step": self.step,
                "figures": rounded(self.figures),
            }
            self._write_result(arrays, self.best)
        return self.on_evaluation(self.step, self.figures)

    def _write_result(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        save_arrays(self.folder / "weights.npz", arrays, meta)

    def _checkpoint(self) -> None:
        from detector.two_head.network import arrays_of  # noqa: PLC0415  Keras costs seconds

        arrays = arrays_of(self.model.network) | {name: np.array(v) for name, v in self._others().items()}
        broken = [name for name, value in arrays.items() if not np.isfinite(value).all()]
        if broken:
            raise ModelError(
                f"expected finite weights, after step {self.step - 1} {broken[0]} and {len(broken) - 1}"
                f" others are not; the batch held {', '.join(self.batches.files(self.step - 1))}. The"
                " checkpoint before it is kept; lower the stage's learning_rate or set clip_norm."
            )
        self.folder.save_checkpoint(
            arrays | {AVERAGE + k: v for k, v in self.average.items()},
            {
                "step": self.step,
                "stage": self.stage,
                "best": self.best,
                "figures": self.figures,
                "since_log": self.since_log,
                "fingerprints": self._fingerprints,
            },
        )
        self.folder.write_json("state.json", self.state("running"))
