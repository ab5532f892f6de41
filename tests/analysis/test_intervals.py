"""Wilson's interval against published values, and what it is for: none found is not "certainly none"."""

from __future__ import annotations

import pytest

from analysis.intervals import wilson


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        (0, 43, 0.0, 0.0820),  # z^2 / (n + z^2) = 3.8415 / 46.8415
        (43, 43, 0.9180, 1.0),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
        (15, 148, 0.0624, 0.1605),  # Newcombe 1998, table I
        (1, 29, 0.0061, 0.1718),  # Newcombe 1998, table I
    ],
)
def test_published_intervals(hits, total, low, high):
    assert wilson(hits, total) == pytest.approx((low, high), abs=1e-4)


def test_no_trial_and_other_confidences():
    assert wilson(0, 0) is None
    narrow, wide = wilson(3, 10, 0.5), wilson(3, 10, 0.99)
    assert wide[0] < narrow[0] < 0.3 < narrow[1] < wide[1]
