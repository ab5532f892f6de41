"""The failing groups of a stored run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.groups.attributes import attributes
from analysis.groups.finding import Groups, find_groups, found_mask
from analysis.matching.match import match_run
from analysis.matching.matches import Matches
from analysis.matching.operating_point import Threshold


def groups_of_run(
    run: Any,
    *,
    matches: Matches | None = None,
    threshold: Threshold = 0.5,
    iou: float = 0.5,
    level: float = 0.05,
    extra: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
) -> Groups:
    """Groups of objects that this run misses more often than the rest.

    Args:
        matches: of the run at `iou`, class-aware, to save time. extra: see `attributes`. level: see
            `find_groups`.

    Raises:
        InputError: too few objects or images, or a level outside (0, 1).
    """
    m = match_run(run, iou) if matches is None else matches
    counted = m.truth_counted
    words = attributes(run, counted, extra)
    return find_groups(words, m.truth_rows, counted, found_mask(m, threshold), level=level, seed=seed)
