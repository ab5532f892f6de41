"""Two filters at once, and ties of an order, over the tiny run of tests/app/conftest.py."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from analysis.matching.counts import image_counts
from analysis.matching.match import match_run
from analysis.runs.store import open_run
from analysis.subsets import narrow
from app.frame.gallery_order import Filters, arrange
from tests.analysis.builders import make_run


def chosen(run, classes=None, threshold=0.5):
    matches = match_run(run)
    mine = matches if classes is None else narrow(matches, class_ids=classes)
    return SimpleNamespace(
        run=run,
        class_thresholds=np.full(len(run.class_map), threshold, np.float32),
        counted_classes=classes,
        chosen=mine,
        per_image=image_counts(mine, threshold),
        images=run.done,
    )


def shown(s, filters: Filters, sort: str = "Data set order") -> list[int]:
    return arrange(s, sort, filters).rows.tolist()


def test_a_size_counts_objects_of_the_chosen_classes_alone(tiny_run):
    run = open_run(
        tiny_run
    )  # areas: a holds a cat of 600 and a dog of 1,200; b a cat of 1,600; c a dog of 2,500
    assert shown(chosen(run), Filters(sizes=("medium",))) == [0, 1, 2]
    assert shown(chosen(run, [0]), Filters(sizes=("medium",))) == [1], "the dog of a is not asked for"
    assert shown(chosen(run, [0]), Filters(sizes=("small",))) == [0]


def small_run():
    """Image 0: a crowd and a large object; 1: a truncated small one; 2: nothing; 3: not labelled."""
    return make_run(
        [
            (0, 0, 0, 99, 79, 0.9, 0),
            (1, 60, 40, 70, 50, 0.7, 1),
            (3, 0, 0, 9, 9, 0.8, 0),
            (2, 0, 0, 9, 9, 0.3, 0),
        ],
        [(0, 0, 0, 99, 79, 0, {"crowd"}), (0, 0, 0, 98, 98, 1), (1, 5, 5, 15, 15, 0, {"truncated"})],
        num_images=4,
        labelled=[True, True, True, False],
    )


@pytest.fixture
def run():
    return small_run()


def test_several_values_of_one_filter_widen_it_and_two_filters_narrow_it(run):
    s = chosen(run)
    assert shown(s, Filters(flags=("crowd", "truncated"))) == [0, 1]
    assert shown(s, Filters(sizes=("small", "large"))) == [0, 1]
    assert shown(s, Filters(flags=("crowd",), sizes=("small",))) == []
    order = arrange(s, "Data set order", Filters(flags=("crowd",), sizes=("small",)))
    assert order.left_out == {"not run yet": 0, "by class": 0, "by object size": 3, "by flag": 1}, (
        "an image is left out once, by the first filter that does not let it through"
    )


def test_an_image_without_ground_truth_is_not_all_correct(run):
    assert shown(chosen(run), Filters(shows=("all correct",))) == [2], "0.3 is below the threshold"


def test_mistakes_below_the_threshold_and_equal_keys(run):
    s = chosen(run)
    assert shown(s, Filters(), "Surest detection") == [0, 3, 1, 2]
    assert shown(s, Filters(), "Surest mistake") == [1, 0, 2, 3], "equal ones stay in the data set's order"
