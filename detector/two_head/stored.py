"""A trained two-head detector as its folder stores it: `detector.json` beside its weights."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from detector.core import ClassMap
from detector.errors import ConfigError, InputError, ModelError, reason_of
from detector.two_head.config import TwoHeadConfig

SCHEMA = 1
KIND = "boxscope two heads"


@dataclass(frozen=True)
class TwoHeadSettings:
    """What the detector does with the network's answer.

    Args:
        top_k: how many of its classes it gives for its box; flip_average: the mean over picture and mirror
            image.
        score_threshold: classes at or below it are left out.

    Raises:
        ConfigError: out of range.
    """

    top_k: int = 5
    flip_average: bool = False
    score_threshold: float = 0.0

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise ConfigError(f"top_k: expected at least 1, got {self.top_k}.")
        if not 0 <= self.score_threshold < 1:
            raise ConfigError(
                f"score_threshold: expected 0 or more and less than 1, got {self.score_threshold}."
            )


@dataclass(frozen=True)
class StoredTwoHead:
    """What a folder says of its detector."""

    name: str
    config: TwoHeadConfig
    classes: ClassMap
    settings: TwoHeadSettings
    weights: Path


def is_two_head(folder: str | os.PathLike) -> bool:
    """Whether a folder is a two-head detector's (its weights may still be missing)."""
    try:
        return json.loads((Path(folder) / "detector.json").read_text()).get("kind") == KIND
    except (OSError, ValueError, AttributeError):
        return False


def read_two_head(folder: str | os.PathLike) -> StoredTwoHead:
    """The detector a folder describes; the weights are not read.

    Raises:
        ModelError: none is there, or another version wrote it.
    """
    path = Path(folder) / "detector.json"
    try:
        stored = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelError(
            f"expected the folder of a two-head detector: {reason_of(error)}.", path=path
        ) from error
    if not isinstance(stored, dict) or stored.get("kind") != KIND or stored.get("schema") != SCHEMA:
        kind, schema = (
            (stored.get("kind"), stored.get("schema")) if isinstance(stored, dict) else (None, None)
        )
        raise ModelError(
            f"expected kind {KIND!r} and schema {SCHEMA}, got {kind!r} and {schema!r}.", path=path
        )
    try:
        return StoredTwoHead(
            stored["name"],
            TwoHeadConfig.from_dict(stored["config"]),
            ClassMap(tuple(stored["classes"])),
            TwoHeadSettings(**stored["settings"]),
            path.parent / stored["weights"],
        )
    except (KeyError, TypeError, ConfigError, InputError) as error:
        raise ModelError(
            f"expected a name, a network's config, classes, settings and weights: {error}.", path=path
        ) from error
