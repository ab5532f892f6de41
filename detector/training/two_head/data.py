"""A labelled data set to one object a picture, and to numbered batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.data.dataset import Dataset, count_problems
from detector.errors import DataError
from detector.training.common.batches import AUGMENT, Batch, NumberedBatches
from detector.training.two_head.augment import augmented
from detector.training.two_head.recipe import TwoHeadRecipe
from detector.two_head.frames import whole

CACHE_BYTES = 1 << 30  # decoded pictures kept in memory at most


@dataclass(frozen=True)
class OneObject:
    """The pictures of a data set that show one object.

    Args:
        rows: int [N], their positions; objects: int [N], the row of each one's object in `dataset.objects`.
        left_out: how many pictures were left out, by reason.
    """

    rows: np.ndarray
    objects: np.ndarray
    left_out: dict[str, int]


def one_object(dataset: Dataset, many: str = "leave_out", boxes: bool = True) -> OneObject:
    """Which pictures show one object; see `TwoHeadRecipe.many`.

    Args:
        boxes: whether a box must have area; a class alone may stand on an empty one.

    Raises:
        DataError: none does.
    """
    table = dataset.objects
    size = table.xyxy[:, 2:] - table.xyxy[:, :2]
    usable = ~table.crowd & ((size > 0).all(axis=1) if boxes else True)
    kept = np.flatnonzero(usable)
    count = np.bincount(table.rows[kept], minlength=len(dataset))
    area = size[kept, 0] * size[kept, 1]
    # By picture, the largest first; of equal ones the first in the file.
    order = kept[np.lexsort((kept, -area, table.rows[kept]))]
    rows, first = np.unique(table.rows[order], return_index=True)
    good = (count[rows] == 1) | (many == "largest")
    left_out = {
        "unlabelled pictures": int((~dataset.labelled).sum()),
        "pictures without an object": int((dataset.labelled & (count == 0)).sum()),
        "pictures with several objects": int((~good).sum()),
    }
    if not good.any():
        said = ", ".join(f"{n} {name}" for name, n in left_out.items() if n)
        found = ", ".join(f"{n} {kind}" for kind, n in count_problems(dataset.problems).items())
        raise DataError(
            f"expected pictures with one object, found none among {len(dataset)} ({said}); "
            + (f"its reader says: {found}; " if found else "")
            + "many: largest takes the largest of several, heads: class trains without boxes.",
            path=dataset.source or None,
        )
    return OneObject(
        rows[good].astype(np.int64), order[first[good]], {k: v for k, v in left_out.items() if v}
    )


class TwoHeadBatches(NumberedBatches):
    """Batches of float32 [B, h, w, 3] in 0..255 and {"class_ids": int32 [B], "boxes": float32 [B, 4] xyxy
    shares}.

    Args:
        dataset: with the pictures; chosen: which of them, with their objects.
        recipe: input size, augmentation, batch size and seed.
        augment: False shows every picture whole, in the data set's order.
    """

    def __init__(self, dataset: Dataset, chosen: OneObject, recipe: TwoHeadRecipe, *, augment: bool = True):
        super().__init__(
            dataset,
            chosen.rows,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            shuffle=augment,
            workers=recipe.workers,
        )
        self.recipe, self.augment = recipe, augment
        self._object = dict(zip(chosen.rows.tolist(), chosen.objects.tolist()))
        self._kept: dict[int, np.ndarray] = {}
        self._bytes = 0

    def _image(self, row: int) -> np.ndarray:
        image = self._kept.get(row)
        if image is None:
            image = self.dataset.load_image(row)
            if self._bytes + image.nbytes <= CACHE_BYTES:
                self._kept[row] = image
                self._bytes += image.nbytes
        return image

    def _sample(self, row: int, epoch: int) -> Batch:
        image, recipe = self._image(row), self.recipe
        table, place = self.dataset.objects, self._object[row]
        box = table.xyxy[place].astype(np.float64) if recipe.heads != "class" else None
        if box is not None:
            height, width = image.shape[:2]
            box = np.clip(box, 0, [width, height, width, height])
            if not (box[2:] > box[:2]).all():
                raise DataError(
                    f"expected a box inside the picture of {width}x{height}, got"
                    f" {table.xyxy[place].tolist()}; the annotation does not fit this file. heads: class"
                    " trains without boxes.",
                    path=self.dataset.files[row] or self.dataset.sample_ids[row],
                )
        if self.augment:
            shown = augmented(image, box, recipe, np.random.default_rng([recipe.seed, AUGMENT, epoch, row]))
            pixels, shares = shown.pixels, shown.box
        else:
            frame = whole((image.shape[1], image.shape[0]), recipe.input_size, recipe.resize)
            pixels, shares = (
                frame.pixels(image),
                (np.float32([0, 0, 1, 1]) if box is None else frame.to_input(box)),
            )
        return pixels.astype(np.float32), {
            "class_ids": np.int32(table.class_ids[place]),
            "boxes": np.asarray(shares, np.float32),
        }
