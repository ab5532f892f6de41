"""The kinds of network that can be trained. A new one is a folder beside `ssd` with its `kind.py`, and its
place in this list.
"""

from __future__ import annotations

from detector.training.common.kind import NetworkKind
from detector.training.common.recipe import Recipe
from detector.training.sliding.kind import SLIDING_WINDOW
from detector.training.ssd.kind import SSD
from detector.training.two_head.kind import TWO_HEAD

DEFAULT = SSD
"""The kind of a recipe that names none."""
KINDS = {kind.name: kind for kind in (SSD, SLIDING_WINDOW, TWO_HEAD)}


def kind_of(recipe: Recipe) -> NetworkKind:
    """The kind of network that a recipe trains.

    Raises:
        LookupError: no kind has recipes of this class.
    """
    for kind in KINDS.values():
        if isinstance(recipe, kind.recipe):
            return kind
    raise LookupError(f"no kind of network has recipes of the class {type(recipe).__name__}.")
