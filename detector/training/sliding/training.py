"""Train a patch classifier by a recipe, with rounds of hard negatives; the folder that results is a detector.

Killed at any moment, `train_sliding_window(recipe, out, resume=True)` goes on at the last checkpoint with the
batches and the hard negatives the undisturbed training would have seen.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.core import ClassMap
from detector.data import load_dataset
from detector.data.dataset import Dataset
from detector.data.formats.uiuc import read_patches, to_grey
from detector.errors import DataError, ModelError, RunError
from detector.sliding.stored import write_detector
from detector.training.common.folder import rounded
from detector.training.common.session import (
    LOG_EVERY,
    OPTIMIZER,
    Training,
    TrainProgress,
    run_recipe,
    versions,
)
from detector.training.sliding.folder import SlidingFolder
from detector.training.sliding.patches import (
    Mosaic,
    PatchBatches,
    Patches,
    far_from,
    hardest,
    mosaic,
    to_network,
)
from detector.training.sliding.recipe import SlidingRecipe

if TYPE_CHECKING:
    import keras

    from detector.sliding.scan import Network

HARD = "hard_negatives"  # their name in a checkpoint, beside the weights
PER_PICTURE = 40  # hard negatives taken of one mosaic or scene, so that no picture dominates a round


def train_sliding_window(
    recipe: SlidingRecipe,
    out: str | Path,
    *,
    patches: Patches | None = None,
    scenes: Dataset | None = None,
    progress: Callable[[TrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    resume: bool = False,
) -> Path:
    """Train, and return the folder of the result, which `load_detector` opens.

    The result is the last weights. The held-out patches judge them and choose nothing.

    Args:
        out: a new folder, or with `resume` that of a training that was killed or stopped.
        patches, scenes: instead of what `recipe.data` and `recipe.scenes` name.
        progress: called after every step; the whole loss is its `classification`.
        should_stop: asked after every step; True ends the training after a checkpoint (state "stopped").
        resume: go on at the newest checkpoint; a training that is done is returned as it is.

    Raises:
        RunError: `out` holds a training already (or, with `resume`, none or one of another recipe or other
            data).
        DataError: the patches or scenes make no sense; ImageError: a scene cannot be read.
        ModelError: the loss is no longer finite.
    """
    folder = SlidingFolder(out)

    def make(_: Callable[[int, int], None]) -> _Training:
        found, unreadable = load_patches(recipe) if patches is None else (patches, 0)
        seen = (
            load_dataset(recipe.scenes, split=recipe.scenes_split)
            if scenes is None and recipe.scenes
            else scenes
        )
        return _Training(recipe, folder, found, seen, unreadable)

    return run_recipe(folder, recipe, make, resume=resume, progress=progress, should_stop=should_stop)


def load_patches(recipe: SlidingRecipe) -> tuple[Patches, int]:
    """The recipe's patches, and how many files could not be read.

    Raises:
        DataError: none are named, there are none, or they make no sense.
    """
    if not recipe.data:
        raise DataError(
            "expected `data` in the recipe: a folder with TrainImages/ (UIUC), or with positive/ and"
            " negative/ patches."
        )
    images, labels, problems = read_patches(recipe.data)
    try:
        return Patches(images, labels), len(problems)
    except DataError as error:
        raise DataError(error.message, path=recipe.data) from None


class _Training(Training):
    def __init__(
        self,
        recipe: SlidingRecipe,
        folder: SlidingFolder,
        patches: Patches,
        scenes: Dataset | None,
        unreadable: int,
    ):
        self.recipe, self.folder, self.patches, self.scenes, self.unreadable = (
            recipe,
            folder,
            patches,
            scenes,
            unreadable,
        )
        self.train, self.held_out = patches.split(recipe.held_out, recipe.seed)
        if scenes is not None and not scenes.labelled.any():
            raise DataError(
                "expected scenes whose objects are known, so that what is free of them is known too; none is"
                " labelled.",
                path=scenes.source or None,
            )
        self.schedule = recipe.schedule()
        self.step, self.rounds_done, self.figures = 0, 0, {}
        self.best: dict[str, Any] | None = None
        self.since_log: list[float] = []
        self.batches = PatchBatches(self.train, recipe)
        self.classifier: keras.Model | None = None
        self._network: Network | None = None

    def run(self, progress: Callable[[TrainProgress], None], should_stop: Callable[[], bool]) -> str:
        """Train to the end; "done" or "stopped"."""
        self._prepare()
        recipe, model, recent = self.recipe, self.classifier, deque(maxlen=50)
        while self.step < recipe.steps:
            if self.rounds_done < recipe.rounds and self.step == recipe.mining_steps[self.rounds_done]:
                if not self._mine(should_stop):
                    return "stopped"
                self._checkpoint()
            start = time.perf_counter()
            images, targets = self.batches.batch(self.step)
            learning_rate = float(self.schedule(self.step))
            model.optimizer.learning_rate.assign(learning_rate)
            model.reset_metrics()  # train_on_batch gives means since the last reset
            loss = float(model.train_on_batch(images, targets, return_dict=True)["loss"])
            if not math.isfinite(loss):
                raise ModelError(
                    f"expected a finite loss, at step {self.step} of {recipe.steps} it is {loss}. The"
                    " checkpoint before it is kept; lower learning_rate."
                )
            self.step += 1
            self.since_log.append(loss)
            recent.append(time.perf_counter() - start)
            rate = recipe.batch_size * len(recent) / sum(recent)
            progress(
                TrainProgress(
                    self.step,
                    recipe.steps,
                    loss=loss,
                    classification=loss,
                    localization=0.0,
                    regularization=0.0,
                    learning_rate=learning_rate,
                    images_per_second=rate,
                    figures=self.figures,
                    seconds_left=(recipe.steps - self.step) * recipe.batch_size / rate,
                )
            )
            ended = self.step == recipe.steps
            if self.step % LOG_EVERY == 0 or ended:
                self._log(learning_rate, rate)
            stop = False if ended else should_stop()
            look = self.step % recipe.evaluation_interval == 0 or ended
            if look:
                self._evaluate()
            round_ends = (
                self.rounds_done < recipe.rounds and self.step == recipe.mining_steps[self.rounds_done]
            )
            if look or stop or round_ends or self.step % recipe.checkpoint_interval == 0:
                self._checkpoint()
            if stop:
                return "stopped"
        return "done"

    def _prepare(self) -> None:
        import keras  # noqa: PLC0415  Keras costs seconds

        from detector.sliding.network import patch_classifier  # noqa: PLC0415  Keras costs seconds

        recipe, folder = self.recipe, self.folder
        keras.utils.set_random_seed(recipe.seed)
        self.classifier = patch_classifier(
            self.patches.size,
            widths=recipe.widths,
            dense=recipe.dense,
            dropout=recipe.dropout,
            batch_norm_decay=recipe.batch_norm_decay,
        )
        optimizer = keras.optimizers.AdamW(recipe.learning_rate, weight_decay=recipe.weight_decay)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self.classifier.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True))
        optimizer.build(self.classifier.trainable_variables)
        fingerprints = {
            "patches": self.patches.fingerprint,
            "scenes": self.scenes.fingerprint if self.scenes is not None else None,
        }
        self._fingerprints = fingerprints
        stored = folder.load_checkpoint()
        if stored is None:
            folder.write_recipe(recipe)
            folder.rewind_history(0)
            write_detector(folder.path, ClassMap((recipe.class_name,)), recipe.settings(), recipe.name)
            labels = self.patches.labels
            folder.write_json(
                "start.json",
                {
                    "recipe_hash": recipe.hash,
                    "fingerprints": fingerprints,
                    "start": {"source": "none"},
                    "patches": {
                        "object": int(labels.sum()),
                        "background": int((labels == 0).sum()),
                        "held out": len(self.held_out.labels),
                    },
                    "scenes": 0 if self.scenes is None else int(self.scenes.labelled.sum()),
                    "left_out": {"unreadable patches": self.unreadable},
                    "versions": versions(),
                },
            )
        else:
            self._restore(*stored)
        folder.write_json("state.json", self.state("running"))

    def _restore(self, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        if meta["fingerprints"] != self._fingerprints:
            raise RunError(
                "expected the patches and scenes this training was started with, they have changed since.",
                path=self.folder.path,
            )
        variables = self._variables()
        if set(arrays) != {*variables, HARD}:
            raise RunError(
                "expected a checkpoint of this training's network, its weights have other names.",
                path=self.folder / "last.npz",
            )
        for name, variable in variables.items():
            variable.assign(arrays[name])
        self.batches = PatchBatches(self.train, self.recipe, arrays[HARD])
        self.step, self.rounds_done, self.best, self.figures = (
            meta["step"],
            meta["rounds_done"],
            meta["best"],
            meta["figures"],
        )
        self.since_log = meta["since_log"]
        self.folder.rewind_history(self.step)

    def _variables(self) -> dict[str, Any]:
        own = {v.path: v for layer in self.classifier.layers for v in layer.variables}
        return own | {f"{OPTIMIZER}{i}": v for i, v in enumerate(self.classifier.optimizer.variables)}

    def _checkpoint(self) -> None:
        arrays = {name: np.array(variable) for name, variable in self._variables().items()}
        broken = [name for name, value in arrays.items() if not np.isfinite(value).all()]
        if broken:
            raise ModelError(
                f"expected finite weights, after step {self.step - 1} {broken[0]} is not. The checkpoint"
                " before it is kept; lower learning_rate."
            )
        self.folder.save_checkpoint(
            arrays | {HARD: self.batches.hard},
            {
                "step": self.step,
                "rounds_done": self.rounds_done,
                "best": self.best,
                "figures": self.figures,
                "since_log": self.since_log,
                "fingerprints": self._fingerprints,
            },
        )
        self.folder.write_json("state.json", self.state("running"))

    def _log(self, learning_rate: float, rate: float) -> None:
        figures = {
            "loss": float(np.mean(self.since_log)),
            "learning_rate": learning_rate,
            "images_per_second": rate,
        }
        self.since_log = []
        line = {
            "step": self.step,
            **rounded(figures),
            "hard_negatives": len(self.batches.hard),
            "time": round(time.time(), 1),
        }
        self.folder.append_history(line)

    def _evaluate(self) -> None:
        """Accuracy on the held-out patches, and the weights as the folder's detector."""
        from detector.sliding.scan import compiled  # noqa: PLC0415  Keras costs seconds

        if self._network is None:
            self._network = compiled(self.classifier)  # traced once; it sees the weights as they are
        self.figures = judge(self._network, self.held_out)
        self.folder.append_history(
            {"step": self.step, "figures": rounded(self.figures), "time": round(time.time(), 1)}
        )
        self.best = {"figure": "accuracy", "value": self.figures["accuracy"], "step": self.step}
        self.folder.write_result(self.recipe, self.classifier, self.figures, self.step)

    def _mine(self, should_stop: Callable[[], bool]) -> bool:
        """Look through composed and given pictures for windows taken for objects; False where it was
        stopped.
        """
        from detector.sliding.convert import to_fully_convolutional  # noqa: PLC0415  Keras costs seconds
        from detector.sliding.scan import compiled, cut_out, scan  # noqa: PLC0415  Keras costs seconds

        wide, geometry = to_fully_convolutional(self.classifier)
        network, recipe = compiled(wide), self.recipe
        found, scores = [], []
        for picture, widths in self._pictures():
            if should_stop():
                return False
            for width in widths:
                seen = scan(network, geometry, picture.image, width, 0.0)
                far = far_from(seen.xyxy, picture.objects)
                windows, confidence = seen.xyxy[far], seen.scores.reshape(-1)[far]
                rows = hardest(confidence, windows, PER_PICTURE)
                found.append(cut_out(picture.image, windows[rows], geometry.window))
                scores.append(confidence[rows])
        order = np.argsort(-np.concatenate(scores), kind="stable")[: recipe.hard_negatives]
        self.batches.hard = np.concatenate([self.batches.hard, np.concatenate(found)[order]])
        self.rounds_done += 1
        return True

    def _pictures(self) -> Iterator[tuple[Mosaic, tuple[float, ...]]]:
        """What a round looks through, with the window widths to look for."""
        recipe = self.recipe
        for i in range(recipe.mosaics):
            rng = np.random.default_rng([recipe.seed, 2, self.rounds_done, i])
            yield mosaic(self.train, rng), (float(self.patches.size[0]),)
        if self.scenes is not None:
            rng = np.random.default_rng([recipe.seed, 3, self.rounds_done])
            for i in rng.permutation(np.flatnonzero(self.scenes.labelled))[: recipe.mosaics]:
                grey = to_grey(self.scenes.load_image(int(i)))
                yield Mosaic(grey, self.scenes.annotations(int(i)).xyxy), recipe.window_widths


def judge(network: Network, patches: Patches) -> dict[str, float]:
    """Accuracy, and the mean cross entropy, on patches as they are.

    Raises:
        ModelError: an answer is not finite.
    """
    images = to_network(patches.images)
    logits = np.concatenate([network(images[i : i + 64]) for i in range(0, len(images), 64)]).astype(
        np.float64
    )
    margin = logits[:, 1] - logits[:, 0]
    if not np.isfinite(margin).all():
        raise ModelError("expected finite answers of the classifier on the held-out patches.")
    right = (margin > 0) == (patches.labels == 1)
    loss = np.logaddexp(0, np.where(patches.labels == 1, -margin, margin))
    return {
        "accuracy": float(right.mean()),
        "cross entropy": float(loss.mean()),
        "held-out patches": float(len(right)),
    }
