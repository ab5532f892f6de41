"""Equal up to rounding: several threads add in whatever order they finish, so two equal trainings may differ
in the last digits.
"""

from __future__ import annotations

import pytest


def nearly(value, rel: float = 1e-4):
    """`value` (nested dicts and lists) to compare with ==, its floats up to a relative `rel`."""
    if isinstance(value, dict):
        return {k: nearly(v, rel) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [nearly(v, rel) for v in value]
    return pytest.approx(value, rel=rel, abs=1e-6) if isinstance(value, float) else value
