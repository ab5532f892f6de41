"""The order of prices, and their second choices where the first is a tie."""

from __future__ import annotations

import numpy as np

from analysis.matching.match import match_run
from analysis.misses.prices import Rescue, best_changes, lowered, threshold_prices
from tests.analysis.builders import make_run


def rescue(f1, wrong, gained=1, rule="iou_threshold"):
    return Rescue(rule, -1, 0.5, 0.6, gained, wrong, 0.5, 0.5, f1, 3)


def test_equal_f1_the_fewest_false_positives_first():
    m = match_run(make_run([(0, 0, 0, 9, 9, 0.9, 0)], [(0, 0, 0, 9, 9, 0)]))
    offered = [rescue(0.6, 5), rescue(0.6, 2), rescue(0.7, 9), rescue(None, 0), rescue(0.9, 0, gained=0)]
    changes = best_changes(m, np.full(3, 0.5, np.float32), offered)
    assert [(r.f1, r.wrong) for r in changes] == [(0.7, 9), (0.6, 2), (0.6, 5), (None, 0)], (
        "one that brings nothing back is no change to make"
    )
    assert len(best_changes(m, np.full(3, 0.5, np.float32), offered, most=2)) == 2


def two_ways():
    """Two cars. Down to 0.8 one is found: F1 2/3. Down to 0.5 both are, with two false positives: F1 4/6."""
    return make_run(
        [
            (0, 0, 0, 20, 10, 0.8, 0),
            (0, 60, 60, 70, 70, 0.7, 0),
            (0, 80, 60, 90, 70, 0.6, 0),
            (0, 40, 0, 60, 10, 0.5, 0),
        ],
        [(0, 0, 0, 20, 10, 0), (0, 40, 0, 60, 10, 0)],
    )


def test_of_two_thresholds_of_one_class_with_equal_f1_the_one_with_fewer_false_positives():
    m, thresholds = match_run(two_ways()), np.full(3, 0.9, np.float32)
    first = best_changes(m, thresholds)[0]
    assert (first.value, first.gained, first.wrong) == (0.8, 1, 0)


def test_a_score_at_its_threshold_is_in_already_and_one_at_the_price_comes_in():
    m = match_run(two_ways())
    p = threshold_prices(m, np.float32([0.7, 0.5, 0.5]), np.array([0, 0]), np.float32([0.6, 0.5]))
    assert p.gained.tolist() == [0, 1] and p.wrong.tolist() == [1, 1], "0.7 is not let in a second time"
    assert p.precision.tolist() == [1 / 3, 2 / 4]


def test_everyones_threshold_raises_nobodys():
    change = rescue(0.5, 0, rule="threshold")  # at 0.6
    assert lowered(np.float32([0.9, 0.3, 0.6]), change).tolist() == np.float32([0.6, 0.3, 0.6]).tolist()
