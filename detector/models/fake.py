"""FakeDetector: the truth plus seeded, labelled mistakes.

It serves tests, demos and teaching: every detection says which mistake it is, so a page, a matcher or a
metric can be held against an answer that is known. No network runs; `info.simulated` is True.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from detector import boxes
from detector.core import Annotations, Candidates, Detections, DetectorInfo, check_images
from detector.data.dataset import Dataset
from detector.errors import InputError
from detector.models.fake_candidates import assign_rows, grid_candidates
from detector.models.pixel_index import PixelIndex

KINDS = {
    "correct": "the object's class, IoU at least 0.6, score at least 0.5",
    "faint": "right box and class, but a score under 0.5",
    "shifted": "the object's class, but IoU with it between 0.1 and 0.5, and under 0.5 with every other",
    "wrong class": "IoU at least 0.6 with an object of another class",
    "duplicate": "a second, weaker box on an object that is already found",
    "background": "IoU under 0.1 with every object",
}
FLOOR = float(np.nextafter(np.float32(0.01), np.float32(1)))  # 0.01 in float32 is less than 0.01 in float64
_RULES = 1  # counts changes of the rules below; part of the hash, because the answers change with them


@dataclass(frozen=True)
class Mistakes:
    """What each detection of one image is.

    Args:
        kinds: one of `KINDS` a detection, in the order of the detections.
        truth: int [N], the row of the image's annotations each detection was made from, -1 for background.
        missed: rows of the annotations that no detection finds with the right box and class, at any score.
    """

    kinds: tuple[str, ...]
    truth: tuple[int, ...]
    missed: tuple[int, ...]


@dataclass(frozen=True)
class _Answer:
    xyxy: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    mistakes: Mistakes
    hints: np.ndarray  # float32 [M, 4], missed objects, which the candidates still show below the floor
    hint_classes: np.ndarray


class FakeDetector:
    """Truth plus seeded mistakes; the same answer for an image in every batch, order and process.

    It knows an image by the hash of its pixels. Images are read and hashed only until the one asked for is
    found, and only those of the same size; `detect_samples` needs no pixels at all. An image that is not in
    the data set has no known truth, so nothing is found in it.

    Args:
        dataset: labelled samples. Crowd regions and objects of zero area are left alone.
        seed: another seed, other mistakes.
        miss, faint, shift, confuse, duplicate: chance of each mistake an object, 0..1. Missed and faint are
            three times as likely for objects that are small (side under 6% of the image's shorter side),
            occluded, truncated or difficult.
        background: mean number of false positives an image; most have low scores.

    Raises:
        InputError: the data set has no classes, or a chance is outside 0..1.
    """

    def __init__(
        self,
        dataset: Dataset,
        seed: int = 0,
        *,
        miss: float = 0.06,
        faint: float = 0.1,
        shift: float = 0.06,
        confuse: float = 0.06,
        duplicate: float = 0.08,
        background: float = 4.0,
    ):
        rates = {"miss": miss, "faint": faint, "shift": shift, "confuse": confuse, "duplicate": duplicate}
        for name, rate in rates.items():
            if not 0 <= rate <= 1:
                raise InputError(f"FakeDetector: expected {name} in 0..1, got {rate!r}.")
        if background < 0:
            raise InputError(f"FakeDetector: expected background of 0 or more, got {background!r}.")
        if not len(dataset.class_map):
            raise InputError(
                f"FakeDetector: {dataset.name} has no classes, so there is no truth to start from; choose a"
                " labelled data set."
            )
        self.dataset, self.seed = dataset, int(seed)
        self._rates, self._background = rates, float(background)
        settings = {"seed": self.seed, **rates, "background": self._background}
        text = f"fake {_RULES} {sorted(settings.items())} {dataset.fingerprint}"
        self.info = DetectorInfo(
            name=f"Simulated detector ({dataset.name}, seed {self.seed})",
            kind="fake",
            class_map=dataset.class_map,
            weights_hash=hashlib.sha256(text.encode()).hexdigest(),
            capabilities=frozenset({"low_scores", "candidates", "anchors"}),
            simulated=True,
            source=dataset.source,
            settings=settings,
            notes=(
                "Simulated: no network ran; these are the data set's own objects with mistakes put in.",
                "It knows the images of its data set only and finds nothing in any other.",
            ),
        )
        self._index = PixelIndex(dataset)

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        check_images(images)
        return [
            self._detections(self._index.find(image), _size(image)).named(self.info.class_map)
            for image in images
        ]

    def detect_samples(self, sample_ids: Iterable[str]) -> list[Detections]:
        """The answers for samples by id, without reading their pixels where the data set states their size.

        Raises:
            InputError: the data set has no such sample.
        """
        positions = [self.dataset.position(sample_id) for sample_id in sample_ids]
        return [self._detections(i, self._size_of(i)) for i in positions]

    def candidates(self, images: Sequence[np.ndarray]) -> list[Candidates]:
        """A grid of anchors at four levels; each detection is one of its rows, at `anchor_ids`.

        Missed objects appear with scores under the floor of 0.01, neighbours of a detection with a part of
        its score.
        """
        check_images(images)
        return [self._candidates(self._index.find(image), _size(image)) for image in images]

    def mistakes(self, sample_id: str) -> Mistakes:
        """Which mistake each detection of a sample is.

        Raises:
            InputError: the data set has no such sample.
        """
        i = self.dataset.position(sample_id)
        return self._answer(i, self._size_of(i)).mistakes

    def _size_of(self, i: int) -> tuple[int, int]:
        width, height = (int(v) for v in self.dataset.sizes[i])
        return (width, height) if width and height else _size(self.dataset.load_image(i))

    def _detections(self, i: int | None, size: tuple[int, int]) -> Detections:
        if i is None:
            return Detections.empty(size)
        answer = self._answer(i, size)
        return Detections(answer.xyxy, answer.scores, answer.class_ids, size, assign_rows(answer.xyxy, size))

    def _candidates(self, i: int | None, size: tuple[int, int]) -> Candidates:
        boxless, none = np.zeros((0, 4), np.float32), np.zeros(0, np.int32)
        answer = (
            _Answer(boxless, none.astype(np.float32), none, Mistakes((), (), ()), boxless, none)
            if i is None
            else self._answer(i, size)
        )
        rng = np.random.default_rng(self.seed if i is None else self._entropy(i, "candidates"))
        return grid_candidates(
            answer.xyxy,
            answer.scores,
            answer.class_ids,
            answer.hints,
            answer.hint_classes,
            size,
            len(self.info.class_map),
            rng,
        )

    def _entropy(self, i: int, what: str) -> int:
        text = f"{self.seed}\0{self.dataset.sample_ids[i]}\0{what}"
        return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:16], "big")

    def _answer(self, i: int, size: tuple[int, int]) -> _Answer:
        rng = np.random.default_rng(self._entropy(i, "mistakes"))
        truth = self.dataset.annotations(i) or Annotations.empty(size)
        xyxy = boxes.clip(truth.xyxy, size).astype(np.float32)
        ids = truth.class_ids
        hard = _hard(truth, xyxy, size)
        rows: list[tuple[np.ndarray, float, int, str, int]] = []
        for k in range(len(truth)):
            if truth.crowd[k] or boxes.area(xyxy[k])[0] <= 0:
                continue
            rows += self._object(rng, k, xyxy, ids, 3.0 if hard[k] else 1.0, size)
        for _ in range(rng.poisson(self._background)):
            box = _background(rng, xyxy, size)
            if box is not None:
                score = max(FLOOR, min(0.95, rng.beta(0.7, 4.0)))
                rows.append((box, score, int(rng.integers(len(self.info.class_map))), "background", -1))
        return _collect(rows, truth, xyxy)

    def _object(self, rng, k: int, xyxy: np.ndarray, ids: np.ndarray, factor: float, size) -> list:
        rate, class_id = self._rates, int(ids[k])
        draws = rng.random(5)
        if draws[0] < min(0.9, rate["miss"] * factor):
            return []
        if draws[1] < rate["shift"]:
            box = _shifted(rng, k, xyxy, ids, size)
            return [] if box is None else [(box, float(rng.uniform(0.2, 0.9)), class_id, "shifted", k)]
        box = _jittered(rng, xyxy[k], size)
        if draws[2] < rate["confuse"] and len(self.info.class_map) > 1:
            other = int(rng.integers(len(self.info.class_map) - 1))
            other += other >= class_id
            overlap = boxes.iou(box, xyxy[ids == other])
            if not (overlap >= 0.5).any():
                return [(box, float(rng.uniform(0.2, 0.95)), other, "wrong class", k)]
        if draws[3] < min(0.9, rate["faint"] * factor):
            score = float(np.exp(rng.uniform(np.log(FLOOR), np.log(0.499))))
            return [(box, score, class_id, "faint", k)]
        score = 0.5 + 0.49 * float(rng.beta(3.0, 1.5))
        found = [(box, score, class_id, "correct", k)]
        if draws[4] < rate["duplicate"]:
            again = _jittered(rng, xyxy[k], size)
            found.append((again, max(FLOOR, score * float(rng.uniform(0.1, 0.9))), class_id, "duplicate", k))
        return found


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _hard(truth: Annotations, xyxy: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    small = np.sqrt(boxes.area(xyxy)) < 0.06 * min(size)
    return small | truth.occluded | truth.truncated | truth.difficult


def _jittered(rng, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The box with its sides moved a little, IoU at least 0.6; the box itself where that cannot be had."""
    side = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    move = rng.normal(0, 0.04, 4) * side
    for _ in range(4):
        moved = boxes.clip(box + move, size)[0].astype(np.float32)
        if boxes.paired_iou(moved, box)[0] >= 0.6:
            return moved
        move /= 2
    return box


def _shifted(rng, k: int, xyxy: np.ndarray, ids: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
    box = xyxy[k]
    side = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    same = xyxy[ids == ids[k]]
    for _ in range(12):
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.6)
        moved = box + np.array([np.cos(angle), np.sin(angle)] * 2) * length * side
        moved = boxes.clip(moved, size)[0].astype(np.float32)
        if 0.1 <= boxes.paired_iou(moved, box)[0] < 0.5 and boxes.iou(moved, same).max() < 0.5:
            return moved
    return None


def _background(rng, xyxy: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
    width, height = size
    for _ in range(12):
        w, h = np.exp(rng.uniform(np.log(0.05), np.log(0.5), 2)) * (width, height)
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        box = boxes.clip(np.array([x, y, x + w, y + h]), size)[0].astype(np.float32)
        if not (boxes.iou(box, xyxy) >= 0.1).any():
            return box
    return None


def _collect(rows: list, truth: Annotations, xyxy: np.ndarray) -> _Answer:
    scores = np.array([row[1] for row in rows], np.float32)
    order = np.argsort(-scores, kind="stable")
    found = {row[4] for row in rows if row[3] in ("correct", "faint")}
    missed = tuple(k for k in range(len(truth)) if k not in found and not truth.crowd[k])
    seen = [k for k in missed if boxes.area(xyxy[k])[0] > 0]
    return _Answer(
        xyxy=np.array([rows[j][0] for j in order], np.float32).reshape(-1, 4),
        scores=scores[order],
        class_ids=np.array([rows[j][2] for j in order], np.int32),
        mistakes=Mistakes(tuple(rows[j][3] for j in order), tuple(rows[j][4] for j in order), missed),
        hints=xyxy[seen].reshape(-1, 4),
        hint_classes=truth.class_ids[seen],
    )
