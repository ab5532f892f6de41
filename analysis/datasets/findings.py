"""What the data check reports: a finding, the places where it occurs, and the settings of the rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detector.data.dataset import Dataset


@dataclass(frozen=True)
class Place:
    """Where a finding occurs.

    Args:
        message: one sentence of its own.
        path, line: the file to look into, 1-based line where there is one.
        rows: the images, as positions in the data set.
        objects: the boxes, as rows of the data set's object table.
    """

    message: str
    path: str = ""
    line: int | None = None
    rows: tuple[int, ...] = ()
    objects: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self.message}" if where else self.message


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or odd.

    Args:
        kind: short machine name, e.g. "zero-area box".
        severity: one of `analysis.datasets.kinds.SEVERITIES`.
        count: how often it occurs, in what the sentence counts.
        sentence: what it is; advice: what to do.
        places: where, in the order of the data set; empty where it is about the whole.
        fixable: whether `analysis.datasets.fix` fixes it in a written copy.
    """

    kind: str
    severity: str
    count: int
    sentence: str
    advice: str
    places: tuple[Place, ...] = ()
    fixable: bool = False

    @property
    def rows(self) -> list[int]:
        """The images it concerns, each once, in the order of its places."""
        return list(dict.fromkeys(i for place in self.places for i in place.rows))

    def to_dict(self, dataset: Dataset) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "severity": self.severity,
            "count": self.count,
            "sentence": self.sentence,
            "advice": self.advice,
            "fixable": self.fixable,
            "places": [
                {
                    "message": p.message,
                    "path": p.path,
                    "line": p.line,
                    "samples": [dataset.sample_ids[i] for i in p.rows],
                    "boxes": dataset.objects.xyxy[list(p.objects)].astype(float).round(2).tolist(),
                }
                for p in self.places
            ],
        }


@dataclass(frozen=True)
class Settings:
    """What the rules judge by.

    Args:
        rare: a class with fewer objects to train on than this is called rare.
        aspect: a box longer than this many times its width (or wider than its height) is called odd.
        crowded: images with more objects than this exceed the usual cap of boxes (the reference's 100).
        overlap: boxes of one image that overlap by this IoU are taken for one object labelled twice.
    """

    rare: int = 20
    aspect: float = 5.0
    crowded: int = 100
    overlap: float = 0.9
