"""Detectors that Ray workers load by name, and pictures on disk that carry their number."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import cv2
import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import ModelError
from tests.analysis.run_builders import INFO, SIZE, StubDetector, picture


def on_disk(folder: Path, n: int, broken: tuple[int, ...] = ()) -> Dataset:
    """`run_builders.numbered` with its pictures as PNG files; those in `broken` are torn."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{i:04d}.png" for i in range(n)]
    for i, file in enumerate(files):
        content = cv2.imencode(".png", picture(i)[:, :, ::-1])[1].tobytes()
        file.write_bytes(content[:60] if i in broken else content)
    rows = np.repeat(np.arange(n), 2)
    objects = ObjectTable.build(rows, np.tile([[1, 2, 9, 11], [10, 3, 21, 13]], (n, 1)), np.tile([0, 1], n))
    return Dataset(
        name="numbers",
        format="folder",
        source=folder,
        class_map=ClassMap(("cat", "aeroplane"), (3, 7)),
        sample_ids=[f"s{i:04d}" for i in range(n)],
        files=files,
        sizes=np.tile(SIZE, (n, 1)),
        objects=objects,
    )


def stub(fails_on: tuple[int, ...] = (), delay: float = 0.0) -> StubDetector:
    return StubDetector(fails_on=fails_on, delay=delay)


def broken() -> StubDetector:
    raise ModelError("the weights are torn")


class _Mortal(StubDetector):
    """Kills its own process, once, when it sees a picture of this number; `marker` remembers that it did."""

    def __init__(self, number: int, marker: Path):
        super().__init__()
        self.number, self.marker = number, marker

    def detect(self, images):
        numbers = [int(im[0, 0, 0]) * 256 + int(im[0, 0, 1]) for im in images]
        if self.number in numbers and not self.marker.exists():
            self.marker.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().detect(images)


def mortal(number: int, marker: str) -> _Mortal:
    return _Mortal(number, Path(marker))


class _Slow(StubDetector):
    """Waits at a picture until a file is there."""

    def __init__(self, number: int, gate: Path):
        super().__init__()
        self.number, self.gate = number, gate

    def detect(self, images):
        numbers = [int(im[0, 0, 0]) * 256 + int(im[0, 0, 1]) for im in images]
        while max(numbers) >= self.number and not self.gate.exists():
            time.sleep(0.05)
        return super().detect(images)


def gated(number: int, gate: str) -> _Slow:
    return _Slow(number, Path(gate))


__all__ = ["INFO", "broken", "gated", "mortal", "on_disk", "stub"]
