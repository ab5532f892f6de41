"""What a decoded detector needs of a container: its description, and outputs of an input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from detector.models.decoders.input_rule import InputRule
from detector.models.decoders.interface import Described


class Network(Protocol):
    """A network in a file, whichever runtime runs it. Safe to call from several threads at once.

    Attributes:
        file: what it says about itself.
        input_words: type and layout of its input, for people.
        notes: sentences a user should read once.
        pieces: the files whose bytes are its weights.
    """

    file: Described
    input_words: str
    notes: tuple[str, ...]
    pieces: Sequence[Any]

    def run(self, pixels: np.ndarray, rule: InputRule) -> list[np.ndarray]:
        """Outputs of one picture of the input's size ([H, W, 3] RGB, uint8 or float32 0..255), dequantised,
        float32, in the file's order, with their batch axis of 1.
        """
        ...
