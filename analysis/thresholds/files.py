"""Thresholds saved by name in YAML, with the operating point they were chosen at.

    boxscope_thresholds: 1
    default: 0.5
    classes: {car: 0.42, dog: 0.3}
    rule: best F1
    run: night shift
    operating_point: {iou: 0.5, matcher: coco, class_aware: true, difficult: count, detector: ssd,
        weights_hash: 0a1b}

An unknown or repeated key, a class the reader does not have or a number outside 0..1 is an error, never
passed over.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from analysis.matching.operating_point import OperatingPoint
from detector.config import Config, load_config
from detector.core import ClassMap
from detector.errors import ConfigError
from detector.paths import write_atomically

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class ChosenAt(Config):
    """The operating point the thresholds were chosen at, without the thresholds themselves."""

    iou: Annotated[float, Field(gt=0, le=1)] = 0.5
    matcher: Literal["coco"] = "coco"
    class_aware: Literal[True] = True
    difficult: Literal["count", "ignore"] = "count"
    detector: str = ""
    weights_hash: str = ""


class Certificate(Config):
    """The promise that came with the thresholds (`analysis.thresholds.certificates`).

    Args:
        goal, value, confidence: what is promised, and how surely.
        per_class: whether each class keeps it, or all boxes together; classes: those that do; without: those
            for which nothing could be promised.
        images, objects: the evidence. at_most: the worst single image allowed for.
        calibrated_on: "all", "half" or a split; data, data_fingerprint: of this data set.
        assumption: what has to be true, in one sentence.
    """

    goal: Literal["recall", "precision", "false positives"]
    value: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    per_class: bool = False
    classes: list[str] = []
    without: list[str] = []
    images: Annotated[int, Field(ge=0)] = 0
    objects: Annotated[int, Field(ge=0)] = 0
    at_most: Annotated[int, Field(ge=0)] = 0
    calibrated_on: str = "all"
    data: str = ""
    data_fingerprint: str = ""
    assumption: str = ""


class Thresholds(Config):
    """Confidence thresholds by class name.

    Args:
        default: for classes without their own, 0..1.
        classes: name -> threshold, 0..1.
        rule: how they were chosen, e.g. "best F1"; run: on which run.
        operating_point: what they were chosen at.
        certificate: the promise that came with them, if any.
    """

    boxscope_thresholds: Literal[1] = 1
    default: Share = 0.5
    classes: dict[Annotated[str, Field(strict=True)], Share] = {}
    rule: str = ""
    run: str = ""
    operating_point: ChosenAt = ChosenAt()
    certificate: Certificate | None = None

    def thresholds(self, class_map: ClassMap) -> np.ndarray:
        """float32 [K] for a class map.

        Raises:
            ConfigError: a named class is not in the map.
        """
        out = np.full(len(class_map), self.default, np.float32)
        for name, value in self.classes.items():
            if name not in class_map:
                near = difflib.get_close_matches(name, class_map.names, n=2, cutoff=0.5)
                hint = f"; did you mean {' or '.join(near)}?" if near else "."
                raise ConfigError(f"There is no class {name!r} to hold to a threshold{hint}")
            out[class_map.index(name)] = value
        return out


def thresholds_for(
    class_map: ClassMap,
    thresholds: np.ndarray,
    point: OperatingPoint,
    *,
    default: float = 0.5,
    rule: str = "",
    run: str = "",
    certificate: Certificate | None = None,
) -> Thresholds:
    """Thresholds from numbers of a class map ([K]); classes at the default are not written out."""
    values = {
        n: round(float(c), 7)
        for n, c in zip(class_map.names, thresholds)
        if np.float32(c) != np.float32(default)
    }
    at = ChosenAt(
        iou=point.iou, difficult=point.difficult, detector=point.detector, weights_hash=point.weights_hash
    )
    return Thresholds(
        default=default, classes=values, rule=rule, run=run, operating_point=at, certificate=certificate
    )


def save_thresholds(thresholds: Thresholds, path: str | Path) -> None:
    """Write the YAML file, atomically. Law: `load_thresholds` of it equals what was saved."""
    import yaml

    text = yaml.safe_dump(thresholds.model_dump(exclude_none=True), sort_keys=False, allow_unicode=True)
    write_atomically(path, text.encode())


def load_thresholds(path: str | Path) -> Thresholds:
    """Read a thresholds file.

    Raises:
        ConfigError: the file is missing, is not YAML, or says something it may not; file and line are named.
    """
    thresholds = load_config(path, Thresholds)
    if "boxscope_thresholds" not in thresholds.model_fields_set:
        raise ConfigError('Expected a thresholds file, which says "boxscope_thresholds: 1".', path=path)
    return thresholds
