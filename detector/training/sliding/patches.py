"""Patches for training a window classifier: augmentation, batches, mosaics to look for hard negatives in.

All chance comes from a generator the caller seeds by (seed, step), so that a training that was killed sees
the same batches again. Patches are grey uint8 [H, W]; batches float32 [B, H, W, 1] in 0..1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from detector.errors import DataError
from detector.training.sliding.recipe import SlidingRecipe

LEAST = 5  # patches of each kind, below which neither training nor judging means anything
TOLERANCE = 0.25  # of an object's size along each axis: where the UIUC rule ends
FAR = 1.5
"""A window this far from an object, squared, in units of `TOLERANCE`, is background; one nearer than that but
not on the object is neither, and is not trained on."""


@dataclass(frozen=True)
class Patches:
    """Checked training patches.

    Args:
        images: uint8 [N, H, W]; labels: int32 [N], 1 for an object, 0 for background.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        if images.dtype != np.uint8 or images.ndim != 3 or labels.shape != (len(images),):
            raise DataError(
                f"expected grey patches uint8 [N, H, W] and a label each, got {images.dtype}"
                f" {list(images.shape)} and {list(labels.shape)}."
            )
        if min(images.shape[1:]) < 16:
            raise DataError(
                "expected patches of at least 16 pixels each way, they have"
                f" {images.shape[2]}x{images.shape[1]}."
            )
        if not np.isin(labels, (0, 1)).all():
            raise DataError(
                f"expected labels 1 (an object) and 0 (background), got {sorted(set(labels.tolist()))[:5]}."
            )
        for label, kind in ((1, "positive (object)"), (0, "negative (background)")):
            count = int((labels == label).sum())
            if count < LEAST:
                raise DataError(f"expected at least {LEAST} {kind} patches, got {count}.")
        flat = images.reshape(len(images), -1)
        if (flat.min(axis=1) == flat.max(axis=1)).all():
            raise DataError("expected patches that show something, each of these is one even grey.")
        both = {p.tobytes() for p in images[labels == 1]} & {p.tobytes() for p in images[labels == 0]}
        if both:
            raise DataError(f"expected a patch to be an object or background, {len(both)} are given as both.")

    @property
    def size(self) -> tuple[int, int]:
        """(W, H)."""
        return self.images.shape[2], self.images.shape[1]

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).tobytes())
        digest.update(np.asarray(self.labels, np.int32).tobytes())
        return digest.hexdigest()

    def split(self, share: float, seed: int) -> tuple[Patches, Patches]:
        """(to train on, held out): the share of each kind, drawn by the seed; equal patches stay on one
        side.
        """
        names = [hashlib.sha256(p.tobytes()).hexdigest() for p in self.images]
        rng = np.random.default_rng([seed, 0])
        out = np.zeros(len(names), bool)
        for label in (1, 0):
            distinct = sorted({n for n, kind in zip(names, self.labels) if kind == label})
            chosen = {
                distinct[i] for i in rng.permutation(len(distinct))[: max(1, round(share * len(distinct)))]
            }
            out |= np.array([n in chosen and kind == label for n, kind in zip(names, self.labels)])
        return Patches(self.images[~out], self.labels[~out]), _unchecked(self.images[out], self.labels[out])


def _unchecked(images: np.ndarray, labels: np.ndarray) -> Patches:
    """Held-out patches may be fewer than a training needs."""
    patches = object.__new__(Patches)
    object.__setattr__(patches, "images", images)
    object.__setattr__(patches, "labels", labels)
    return patches


def to_network(patches: np.ndarray) -> np.ndarray:
    """uint8 [B, H, W] to float32 [B, H, W, 1] in 0..1."""
    return patches[..., None].astype(np.float32) / 255


class PatchBatches:
    """Batches by step, half objects, half background.

    Background comes from the negative patches (shifted, enlarged, shrunk), from the surroundings of objects
    (a window far from the object, or of quite another size), and from `hard`, the windows a round of mining
    found.
    """

    def __init__(self, patches: Patches, recipe: SlidingRecipe, hard: np.ndarray | None = None):
        self.recipe = recipe
        self.positives = patches.images[patches.labels == 1]
        self.negatives = patches.images[patches.labels == 0]
        self.hard = np.zeros((0, *self.positives.shape[1:]), np.uint8) if hard is None else hard

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """(float32 [B, H, W, 1], float32 [B, 2] targets), the same for the same step, seed and hard
        negatives.
        """
        rng = np.random.default_rng([self.recipe.seed, 1, step])
        half = self.recipe.batch_size // 2
        objects = [self._object(rng) for _ in range(half)]
        others = [self._background(rng) for _ in range(self.recipe.batch_size - half)]
        labels = np.repeat([1, 0], [len(objects), len(others)])
        smooth = self.recipe.label_smoothing
        targets = np.eye(2, dtype=np.float32)[labels] * (1 - smooth) + smooth / 2
        light = [self._light(patch, rng) for patch in objects + others]
        return np.stack(light)[..., None], targets

    def _object(self, rng: np.random.Generator) -> np.ndarray:
        r = self.recipe
        patch = self.positives[rng.integers(len(self.positives))]
        if rng.random() < r.cut:
            patch = _cut(patch, rng)
        shift = rng.uniform(-r.shift, r.shift, 2)
        return self._window(patch, rng, float(np.exp(rng.uniform(-1, 1) * np.log1p(r.zoom))), shift)

    def _background(self, rng: np.random.Generator) -> np.ndarray:
        kind = rng.integers(3 if len(self.hard) else 2)
        if kind == 2:
            patch = self.hard[rng.integers(len(self.hard))]
            return patch[:, ::-1] if self.recipe.flip and rng.random() < 0.5 else patch
        height, width = self.negatives.shape[1:]
        if kind == 0:
            patch = self.negatives[rng.integers(len(self.negatives))]
            zoom = float(np.exp(rng.uniform(np.log(0.7), np.log(3.0))))
            reach = max(zoom - 1, 0.3) / 2
            return self._window(patch, rng, zoom, rng.uniform(-reach, reach, 2) * (width, height))
        patch = self.positives[rng.integers(len(self.positives))]
        while True:
            zoom = float(np.exp(rng.uniform(np.log(0.45), np.log(2.2))))
            shift = rng.uniform(-1, 1, 2) * (width, height) * max(zoom, 1.0)
            corner = (np.array([width, height]) * (1 - zoom)) / 2 + shift
            box = [*corner, *(corner + zoom * np.array([width, height]))]
            if far_from([[0, 0, width, height]], [box])[0]:
                return self._window(patch, rng, zoom, shift)

    def _window(
        self, patch: np.ndarray, rng: np.random.Generator, zoom: float, shift: np.ndarray
    ) -> np.ndarray:
        """The patch enlarged by `zoom` round its centre and moved by `shift` pixels, in a window of its
        size.
        """
        height, width = patch.shape
        mirror = self.recipe.flip and rng.random() < 0.5
        canvas = _surround(patch[:, ::-1] if mirror else patch, self.negatives, rng)
        x = width / 2 + shift[0] - zoom * 1.5 * width
        y = height / 2 + shift[1] - zoom * 1.5 * height
        if zoom < 0.8:  # against aliasing, as INTER_AREA would
            canvas = cv2.GaussianBlur(canvas, (0, 0), 0.4 / zoom)
        return cv2.warpAffine(
            canvas,
            np.array([[zoom, 0, x], [0, zoom, y]]),
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def _light(self, patch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        r = self.recipe
        image = np.ascontiguousarray(patch)
        sigma = rng.uniform(-r.blur, r.blur)
        if sigma > 0.25:
            image = cv2.GaussianBlur(image, (0, 0), sigma)
        image = image.astype(np.float32) / 255
        mean = image.mean()
        image = (
            (image - mean) * (1 + rng.uniform(-r.contrast, r.contrast))
            + mean
            + rng.uniform(-r.brightness, r.brightness)
        )
        if r.noise:
            image = image + rng.uniform(0, r.noise) * rng.standard_normal(image.shape, np.float32)
        return np.clip(image, 0, 1).astype(np.float32)


def _cut(patch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A strip of up to a fifth at one side replaced by its edge repeated, as where a picture ends."""
    height, width = patch.shape
    side = rng.integers(4)
    lost = int(rng.uniform(0.03, 0.2) * (width if side < 2 else height))
    out = patch.copy()
    if side == 0:
        out[:, :lost] = patch[:, lost : lost + 1]
    elif side == 1:
        out[:, width - lost :] = patch[:, width - lost - 1 : width - lost]
    elif side == 2:
        out[:lost] = patch[lost : lost + 1]
    else:
        out[height - lost :] = patch[height - lost - 1 : height - lost]
    return out


def _surround(patch: np.ndarray, negatives: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The patch in the middle of a canvas three times its size: edge repeated, mirrored, or negatives laid
    round it.
    """
    height, width = patch.shape
    kind = rng.integers(3)
    if kind == 2:
        tiles = negatives[rng.integers(len(negatives), size=9)]
        canvas = tiles.reshape(3, 3, height, width).swapaxes(1, 2).reshape(3 * height, 3 * width).copy()
        canvas[height : 2 * height, width : 2 * width] = patch
        return canvas
    mode = cv2.BORDER_REPLICATE if kind == 0 else cv2.BORDER_REFLECT
    return cv2.copyMakeBorder(np.ascontiguousarray(patch), height, height, width, width, mode)


@dataclass(frozen=True)
class Mosaic:
    """A composed picture and where objects are in it: float64 [M, 4] xyxy."""

    image: np.ndarray
    objects: np.ndarray


def mosaic(patches: Patches, rng: np.random.Generator, columns: int = 3, rows: int = 4) -> Mosaic:
    """Negatives side by side, enlarged and shrunk; in half of the mosaics one or two objects among them."""
    width, height = patches.size
    negatives, positives = patches.images[patches.labels == 0], patches.images[patches.labels == 1]
    image = np.zeros((rows * height, columns * width), np.uint8)
    zoom = float(np.exp(rng.uniform(np.log(0.6), np.log(3.0))))
    cell_w, cell_h = max(8, round(zoom * width)), max(8, round(zoom * height))
    for y in range(0, image.shape[0], cell_h):
        for x in range(0, image.shape[1], cell_w):
            tile = negatives[rng.integers(len(negatives))]
            tile = cv2.resize(
                tile[:, ::-1] if rng.random() < 0.5 else tile,
                (cell_w, cell_h),
                interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR,
            )
            part = image[y : y + cell_h, x : x + cell_w]
            part[:] = tile[: part.shape[0], : part.shape[1]]
    objects: list[list[float]] = []
    for _ in range(rng.integers(3) if rng.random() < 0.7 else 0):
        size = float(np.exp(rng.uniform(np.log(0.6), np.log(1.8))))
        w, h = round(size * width), round(size * height)
        x, y = int(rng.integers(image.shape[1] - w + 1)), int(rng.integers(image.shape[0] - h + 1))
        if any(x < b[2] and b[0] < x + w and y < b[3] and b[1] < y + h for b in objects):
            continue
        image[y : y + h, x : x + w] = cv2.resize(
            positives[rng.integers(len(positives))],
            (w, h),
            interpolation=cv2.INTER_AREA if size < 1 else cv2.INTER_LINEAR,
        )
        objects.append([x, y, x + w, y + h])
    return Mosaic(image, np.array(objects, np.float64).reshape(-1, 4))


def far_from(windows: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """bool [N]: which windows [N, 4] are background, far from each object [M, 4] (`FAR`).

    Distance is the UIUC rule's with scale, from the corner or the centre, whichever is nearer.
    """
    windows, objects = (
        np.asarray(windows, np.float64).reshape(-1, 4),
        np.asarray(objects, np.float64).reshape(-1, 4),
    )
    far = np.ones(len(windows), bool)
    for box in objects:
        size = box[2:] - box[:2]
        corner = ((windows[:, :2] - box[:2]) / size) ** 2
        centre = ((windows[:, :2] + windows[:, 2:] - box[:2] - box[2:]) / 2 / size) ** 2
        offset = np.minimum(corner.sum(axis=1), centre.sum(axis=1))
        scale = ((windows[:, 2] - windows[:, 0]) / size[0] - 1) ** 2
        far &= (offset + scale) / TOLERANCE**2 > FAR
    return far


def hardest(
    scores: Sequence[float], windows: np.ndarray, most: int, least_score: float = 0.2, apart: float = 0.08
) -> np.ndarray:
    """Rows of the worst false positives, at least `apart` of a window away from each other, best score
    first.
    """
    scores, windows = np.asarray(scores), np.asarray(windows, np.float64).reshape(-1, 4)
    chosen: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        if scores[row] < least_score or len(chosen) == most:
            break
        size = windows[row, 2:] - windows[row, :2]
        if all((np.abs(windows[row, :2] - windows[c, :2]) / size).max() > apart for c in chosen):
            chosen.append(int(row))
    return np.array(chosen, np.int64)
