"""The input of training: a labelled data set to batches of preprocessed images and their targets.

Batch number s is a function of (data set, settings, seed, s) alone: which samples it holds, how each is
augmented, and in which order they stand do not depend on threads, on the batches made before, or on the
process. A training that was killed therefore goes on with exactly the batches it would have seen. Nothing
here imports a deep-learning library, so every Keras backend trains from it.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from detector.data.dataset import Dataset
from detector.errors import DataError
from detector.ssd.coder import BoxCoder
from detector.ssd.targets import assign_targets
from detector.training.common.augment import Labelled, compose

Batch = tuple[np.ndarray, dict[str, np.ndarray]]
"""Images float32 [B, h, w, 3] and the targets the network's loss asks for
(`detector.training.ssd.losses.detection_loss`).
"""

ORDER, AUGMENT = 0, 1  # the two uses of the seed, kept apart


@dataclass(frozen=True)
class TrainingSet:
    """What a data set gives to training, and what was left out of it, counted.

    Args:
        rows: int [N], positions of the labelled samples.
        objects: boxes that are trained on (crowd regions are not: they weigh nothing).
        unlabelled: samples left out because nobody labelled them.
        empty_boxes: boxes left out because they have no area.
        crowd: crowd regions; anchors that fit them are neither object nor background.
    """

    rows: np.ndarray
    objects: int
    unlabelled: int
    empty_boxes: int
    crowd: int


def usable_boxes(dataset: Dataset) -> np.ndarray:
    """bool [objects]: the box has an area."""
    size = dataset.objects.xyxy[:, 2:] - dataset.objects.xyxy[:, :2]
    return (size > 0).all(axis=1)


def check_training_set(dataset: Dataset, num_classes: int, purpose: str = "train") -> TrainingSet:
    """What of a data set can be trained on.

    Raises:
        DataError: it holds no labelled image or no box, or a class id the network has no output for; the
            message names the file.
    """
    table, usable = dataset.objects, usable_boxes(dataset)
    rows = np.flatnonzero(dataset.labelled)
    where = dataset.source or None
    if not len(rows):
        raise DataError(
            f"expected labelled images to {purpose} on, none of the {len(dataset)} images has an annotation.",
            path=where,
        )
    counts = TrainingSet(
        rows=rows,
        objects=int((usable & ~table.crowd).sum()),
        unlabelled=len(dataset) - len(rows),
        empty_boxes=int((~usable).sum()),
        crowd=int(table.crowd.sum()),
    )
    if not counts.objects:
        raise DataError(
            f"expected boxes to {purpose} on, got none in {len(rows)} labelled images"
            + (f" ({counts.empty_boxes} boxes have no area)." if counts.empty_boxes else "."),
            path=where,
        )
    outside = np.flatnonzero(table.class_ids >= num_classes)
    if len(outside):
        first = int(outside[0])
        name = dataset.class_map.names[int(table.class_ids[first])]
        raise DataError(
            f"expected class ids 0 to {num_classes - 1}, the network's outputs; object"
            f" {int(table.ids[first])} is of class {int(table.class_ids[first])} ({name!r}), and"
            f" {len(outside)} objects in all are out of range.",
            path=dataset.files[int(table.rows[first])] or where,
        )
    return counts


class NumberedBatches(ABC):
    """Batches by number, made by threads ahead of their use; a subclass says what a sample is (`_sample`).

    Args:
        dataset: where the images come from; rows: int [N], the positions that are used.
        batch_size: images per batch.
        seed: decides order and augmentation.
        shuffle: False keeps the data set's order (validation).
        workers: threads; decoding and resizing release the interpreter lock.

    An epoch is one pass over the rows; its last batch is filled up from the next epoch, so every batch is
    full and a data set smaller than a batch works too.
    """

    def __init__(
        self,
        dataset: Dataset,
        rows: np.ndarray,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        workers: int | None = None,
    ):
        self.dataset, self.rows = dataset, rows
        self.batch_size, self.seed, self.shuffle = int(batch_size), int(seed), shuffle
        self.workers = workers or max(1, os.cpu_count() or 1)
        self._orders: dict[int, np.ndarray] = {}

    @abstractmethod
    def _sample(self, row: int, epoch: int) -> Batch:
        """Image and targets of the sample at a data set position in an epoch, without the batch axis."""

    @property
    def steps_per_epoch(self) -> float:
        """Batches a pass over the data set takes; a fraction where they do not divide."""
        return len(self.rows) / self.batch_size

    def places(self, step: int) -> list[tuple[int, int]]:
        """(data set position, epoch) of each sample of batch `step`."""
        first = step * self.batch_size
        found = []
        for count in range(first, first + self.batch_size):
            epoch, place = divmod(count, len(self.rows))
            found.append((int(self.rows[self._order(epoch)[place]]), epoch))
        return found

    def files(self, step: int) -> list[str]:
        """The files (or sample ids, for pictures that are not files) of batch `step`, for messages."""
        return [self.dataset.files[row] or self.dataset.sample_ids[row] for row, _ in self.places(step)]

    def batch(self, step: int) -> Batch:
        """Batch number `step`, made now in the calling thread.

        Raises:
            ImageError: one of its images cannot be read; the message names it.
        """
        return _stack([self._sample(row, epoch) for row, epoch in self.places(step)])

    def iterate(self, start: int, stop: int) -> Iterator[tuple[int, Batch]]:
        """(step, batch) for each step in [start, stop), prepared ahead by the threads.

        Raises:
            ImageError: when the batch that holds the unreadable image is reached.
        """
        ahead = 2 + -(-2 * self.workers // self.batch_size)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="training-input") as pool:
            waiting: deque = deque()
            upcoming = iter(range(start, stop))

            def submit() -> None:
                step = next(upcoming, None)
                if step is not None:
                    waiting.append((step, [pool.submit(self._sample, *place) for place in self.places(step)]))

            try:
                for _ in range(ahead):
                    submit()
                while waiting:
                    step, futures = waiting.popleft()
                    samples = [future.result() for future in futures]
                    submit()
                    yield step, _stack(samples)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _order(self, epoch: int) -> np.ndarray:
        # Only asked for from the thread that hands out work; two epochs at most are in use at a time.
        if epoch not in self._orders:
            order = np.arange(len(self.rows))
            if self.shuffle:
                order = np.random.default_rng([self.seed, ORDER, epoch]).permutation(len(self.rows))
            self._orders = {e: o for e, o in self._orders.items() if e >= epoch - 1} | {epoch: order}
        return self._orders[epoch]


class TrainingBatches(NumberedBatches):
    """The batches of a detector with anchors.

    Args:
        dataset: labelled images; objects of zero area are not trained on, crowd regions get weight 0.
        anchors: float32 [A, 4] normalised (ymin, xmin, ymax, xmax).
        preprocess: RGB uint8 [H, W, 3] to float32 [h, w, 3], the network's own.
        num_classes: outputs of the network without background.
        batch_size, seed, shuffle, workers: see `NumberedBatches`.
        augment: names of `detector.training.common.augment.AUGMENTATIONS`, applied in this order.
        threshold: matching IoU; coder: the network's box coder.

    Raises:
        DataError: see `check_training_set`.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        anchors: np.ndarray,
        preprocess: Callable[[np.ndarray], np.ndarray],
        num_classes: int,
        batch_size: int,
        augment: Sequence[str] = (),
        seed: int = 0,
        shuffle: bool = True,
        threshold: float = 0.5,
        coder: BoxCoder | None = None,
        workers: int | None = None,
    ):
        self.summary = check_training_set(dataset, num_classes)
        super().__init__(
            dataset, self.summary.rows, batch_size=batch_size, seed=seed, shuffle=shuffle, workers=workers
        )
        self.anchors, self.preprocess = np.asarray(anchors, np.float32), preprocess
        self.usable, self.threshold = usable_boxes(dataset), threshold
        self.coder = coder or BoxCoder()
        self.augment = compose(augment)

    def _sample(self, row: int, epoch: int) -> Batch:
        image = self.dataset.load_image(row)
        height, width = image.shape[:2]
        table = self.dataset.objects
        span = slice(self.dataset.offsets[row], self.dataset.offsets[row + 1])
        keep = np.flatnonzero(self.usable[span]) + span.start
        x1, y1, x2, y2 = table.xyxy[keep].T
        boxes = np.stack([y1 / height, x1 / width, y2 / height, x2 / width], axis=1).astype(np.float32)
        rng = np.random.default_rng([self.seed, AUGMENT, epoch, row])
        shown = self.augment(Labelled.of(image, np.clip(boxes, 0, 1)), rng)
        objects = keep[shown.rows]
        weights = np.where(table.crowd[objects], 0, 1).astype(np.float32)
        targets = assign_targets(
            self.anchors, shown.boxes, table.class_ids[objects], weights, self.threshold, self.coder
        )
        pixels = self.preprocess(np.ascontiguousarray(shown.image))
        return pixels, {
            "classes": targets.classes,
            "boxes": targets.boxes,
            "class_weights": targets.class_weights,
            "box_weights": targets.box_weights,
        }


def _stack(samples: list[Batch]) -> Batch:
    names = samples[0][1]
    return (
        np.stack([image for image, _ in samples]),
        {name: np.stack([targets[name] for _, targets in samples]) for name in names},
    )


def as_py_dataset(batches: TrainingBatches, *, workers: int | None = None):
    """The batches of one epoch as a `keras.utils.PyDataset`, for `Model.fit`; every epoch has its own
    batches.

    Imports Keras. For a training that can be resumed use `detector.training.ssd.trainer`.
    """
    import keras  # noqa: PLC0415  Keras costs seconds

    steps = int(np.ceil(batches.steps_per_epoch))

    class Epochs(keras.utils.PyDataset):
        epoch = 0

        def __len__(self) -> int:
            return steps

        def __getitem__(self, index: int) -> Batch:
            return batches.batch(self.epoch * steps + index)

        def on_epoch_end(self) -> None:
            self.epoch += 1

    return Epochs(workers=workers or 1, use_multiprocessing=False)
