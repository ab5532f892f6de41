"""RunReader: what every run offers, whether its tables are in memory (`Run`) or stay in files
(`StreamedRun`).

A function that needs a run's tables takes a `Run`. One that can work through a run of any size takes a
`RunReader` and goes over `windows()`: a run in memory is one window, itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from analysis.runs.manifest import Manifest
from analysis.runs.store import Run
from detector.core import Annotations, ClassMap, Detections


@runtime_checkable
class RunReader(Protocol):
    """A detection pass over N images; the attributes are described at `analysis.runs.store.Run`."""

    manifest: Manifest
    class_map: ClassMap

    def __len__(self) -> int: ...

    def __contains__(self, sample_id: object) -> bool: ...

    @property
    def path(self) -> Path | None: ...

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def floor(self) -> float: ...

    @property
    def sample_ids(self) -> Sequence[str]: ...

    @property
    def files(self) -> Sequence[str]: ...

    @property
    def splits(self) -> Sequence[str | None]: ...

    @property
    def sizes(self) -> np.ndarray: ...

    @property
    def labelled(self) -> np.ndarray: ...

    @property
    def done(self) -> np.ndarray: ...

    @property
    def readable(self) -> np.ndarray: ...

    @property
    def usable(self) -> np.ndarray: ...

    @property
    def failed(self) -> dict[str, str]: ...

    @property
    def class_names(self) -> tuple[str, ...]: ...

    @property
    def labelled_classes(self) -> int: ...

    @property
    def detection_count(self) -> int: ...

    @property
    def object_count(self) -> int: ...

    def position(self, sample_id: str) -> int: ...

    def image_size(self, i: int) -> tuple[int, int]: ...

    def detections_of(self, i: int) -> Detections: ...

    def annotations(self, i: int) -> Annotations | None: ...

    def load_image(self, i: int) -> np.ndarray: ...

    def windows(
        self, *, detections: bool = True, boxes: bool = True, truth: bool = True
    ) -> Iterator[tuple[int, Run]]:
        """(first image, run in memory) one after another, over all images; positions count from `first`.

        Args:
            detections: False allows to leave them unread (none).
            boxes: False allows to leave the corners of detections unread (zeros).
            truth: False allows to leave the objects unread (none).
        """
        ...
