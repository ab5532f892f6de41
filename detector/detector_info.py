"""What a detector says of itself: its name, classes, settings, and what it can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from detector.class_map import ClassMap
from detector.errors import InputError

CAPABILITIES = {
    "low_scores": "returns boxes below its usual threshold, down to the score floor",
    "candidates": "shows boxes and class scores before NMS",
    "anchors": "its candidates name their anchor and feature level",
    "gradients": "can be differentiated, so that gradient heat maps work",
    "box_gradients": (
        "the sides of its boxes can be differentiated too, so that gradient heat maps of a box work"
    ),
}

MAPPINGS = ("settings", "loaded_with")


@dataclass(frozen=True)
class DetectorInfo:
    """What a detector is and what it can do.

    Args:
        name: shown to people.
        kind: the adapter, e.g. "saved_model", "tflite", "fake".
        class_map: the classes it knows.
        weights_hash: hex digest that changes when the answers may change (weights, labels, settings).
        input_size: (W, H) the network works at, or None where it takes the image as it is.
        capabilities: a subset of `CAPABILITIES`; callers ask before they offer.
        simulated: True where no network ran (FakeDetector); shown wherever its results are.
        source: path, handle or URL it was loaded from.
        settings: what decides its answers besides the weights (score threshold, NMS IoU, caps), by real name.
        notes: sentences a user should read once (what it cannot do, what was assumed).
        loaded_with: options of `load_detector` that decide its answers, as plain values, so that whoever has
            `source` opens the same detector again (`detector.opening.remember`).

    Raises:
        InputError: an unknown capability.
    """

    name: str
    kind: str
    class_map: ClassMap
    weights_hash: str
    input_size: tuple[int, int] | None = None
    capabilities: frozenset[str] = frozenset()
    simulated: bool = False
    source: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    loaded_with: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = set(self.capabilities) - set(CAPABILITIES)
        if unknown:
            raise InputError(
                f"DetectorInfo: unknown capabilities {sorted(unknown)}, known are {sorted(CAPABILITIES)}."
            )
        object.__setattr__(self, "capabilities", frozenset(self.capabilities))
        for name in MAPPINGS:
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __getstate__(self) -> dict[str, Any]:
        """A read-only mapping cannot be pickled; the model runs in a process of its own and sends its
        info.
        """
        return {**self.__dict__, **{name: dict(getattr(self, name)) for name in MAPPINGS}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({**state, **{name: MappingProxyType(state[name]) for name in MAPPINGS}})
