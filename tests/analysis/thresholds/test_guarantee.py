"""Guaranteed thresholds: tables by hand, and the promise itself kept over many draws of images, the image
being the unit.
"""

from __future__ import annotations

import numpy as np
import pytest

from analysis.matching.match import match_run
from analysis.thresholds.betting import conformal_mean, hoeffding_bentkus, p_values
from analysis.thresholds.certificates import (
    calibration_images,
    check_certificate,
    guarantee_run,
    mean_recall_threshold,
)
from analysis.thresholds.files import load_thresholds, save_thresholds, thresholds_for
from analysis.thresholds.guarantee import GRID, Goal, ImageTable, certified, guarantee, image_table
from detector.errors import ConfigError, InputError
from tests.analysis.builders import make_run

COARSE = np.float32([0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])


def test_counts_per_image_and_threshold_by_hand():
    run = make_run(
        [(0, 0, 0, 10, 10, 0.5, 0), (0, 0, 0, 10, 10, 0.3, 0), (1, 50, 50, 60, 60, 0.9, 1)],
        [(0, 0, 0, 10, 10, 0), (0, 30, 30, 40, 40, 0), (1, 0, 0, 10, 10, 1)],
        num_images=3,
    )
    m = match_run(run)
    table = image_table(m, grid=np.float32([0.1, 0.3, 0.5, 0.7]), floor=0.2)
    assert table.grid == pytest.approx([0.2, 0.3, 0.5, 0.7]), (
        "the floor takes the place of what lies below it"
    )
    assert table.objects.tolist() == [2, 1, 0]
    assert table.tp.tolist() == [[1, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]], "a score of exactly .5 passes .5"
    assert table.fp.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], "a duplicate is wrong"
    dogs = image_table(m, np.array([False, True, True]), class_id=1, grid=np.float32([0.5]))
    assert (dogs.objects.tolist(), dogs.tp.tolist(), dogs.fp.tolist()) == (
        [1, 0],
        [[0, 0], [0, 0]],
        [[1, 1], [0, 0]],
    )


def test_the_grid_does_not_depend_on_data_and_reads_as_written():
    assert GRID[0] == 0 and (np.diff(GRID) > 0).all() and GRID.dtype == np.float32
    assert len(str(GRID[100])) <= 6


def test_a_sure_thing_is_promised_up_to_its_score_and_not_beyond():
    n = 100
    table = ImageTable(
        COARSE,
        np.ones(n, int),
        np.tile(np.int32(COARSE <= 0.6), (n, 1)),
        np.zeros((n, len(COARSE)), np.int32),
    )
    found = guarantee(table, Goal("recall", 0.8), 0.9, forecast=True)
    assert (found.threshold, found.usual, found.images, found.objects, found.reached) == (
        0.6,
        0.6,
        100,
        100,
        1.0,
    )
    assert found.forecast == ((200, 0.6), (400, 0.6), (800, 0.6))
    assert found.at_most == 4 and "more than 4 missed objects" in found.assumption
    few = guarantee(table.rows(np.arange(n) < 5), Goal("recall", 0.8), 0.9)
    assert few.threshold is None and 0 < few.provable < 0.8 and "5 images prove no more than" in few.reason
    none = guarantee(table.rows(np.zeros(n, bool)), Goal("recall", 0.8))
    assert none.threshold is None and none.reason == "no calibration image has an object"


def draws(goal: Goal, tables, population, error=0.1):
    """Share of tables whose certified threshold breaks the goal on the population, and share without one."""
    truth = population.reached(goal)
    places = [certified(table, goal, error) for table in tables]
    broken = [p is not None and not goal.met(truth[p]) for p in places]
    return float(np.mean(broken)), float(np.mean([p is None for p in places]))


def clustered(rng, images: int) -> ImageTable:
    """Images of 1 to 12 objects that are found together: an image has a luck, its objects follow it."""
    objects = rng.integers(1, 13, images)
    luck = rng.beta(2, 2, images)[:, None]
    tp = np.round(objects[:, None] * np.clip(1.2 * luck + 0.5 - COARSE, 0, 1)).astype(np.int32)
    fp = rng.poisson(3 * (1 - luck) * (1 - COARSE) ** 2).astype(np.int32)
    return ImageTable(COARSE, objects, tp, np.maximum.accumulate(fp[:, ::-1], axis=1)[:, ::-1])


def boxes_as_images(table: ImageTable) -> ImageTable:
    """The same objects, each as an image of its own: the mistake that the unit guards against."""
    owner = np.repeat(np.arange(len(table.objects)), table.objects)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(table.objects) - table.objects, table.objects)
    tp = (rank[:, None] < table.tp[owner]).astype(np.int32)
    return ImageTable(table.grid, np.ones(len(owner), int), tp, np.zeros_like(tp))


@pytest.mark.parametrize(
    "goal", [Goal("recall", 0.62), Goal("precision", 0.74), Goal("false positives", 1.0)], ids=str
)
def test_the_promise_is_kept_in_nine_draws_of_ten(goal):
    rng = np.random.default_rng(4)
    population = clustered(rng, 20_000)
    tables = [population.rows(rng.integers(0, 20_000, 150)) for _ in range(300)]
    broken, none = draws(goal, tables, population)
    assert broken <= 0.1 and none <= 0.3


def test_boxes_as_the_unit_break_the_promise_that_images_keep():
    rng = np.random.default_rng(5)
    population = clustered(rng, 20_000)
    # A threshold of the grid lies just short of the goal: to take it breaks the promise.
    goal = Goal("recall", float(population.reached(Goal("recall", 0.5))[4]) + 0.001)
    tables = [population.rows(rng.integers(0, 20_000, 80)) for _ in range(300)]
    by_image, _ = draws(goal, tables, population)
    by_box, _ = draws(goal, [boxes_as_images(t) for t in tables], population)
    assert by_image <= 0.1 < by_box


def test_the_betting_test_keeps_its_level_on_a_mean_of_nothing():
    rng = np.random.default_rng(1)
    gains = np.where(rng.random((200, 2000)) < 0.1, 9.0, -1.0)
    assert 0.01 < (p_values(gains, 1.0, 0.1) <= 0.1).mean() <= 0.1
    assert (hoeffding_bentkus(gains, 1.0, 9.0) <= 0.1).mean() <= 0.1
    assert p_values(np.zeros((0, 2)), 1.0).tolist() == [1, 1]
    assert p_values(np.full((50, 1), 0.5), 1.0)[0] < 1e-3


@pytest.mark.parametrize("bad", [(np.full((3, 1), -2.0), 1.0), (np.ones((3, 1)), 0.0)])
def test_a_gain_below_the_bound_or_no_bound_is_an_error(bad):
    with pytest.raises(InputError, match="expected"):
        p_values(*bad)


def test_conformal_mean_by_hand():
    losses = np.array([[0.0, 0.5], [0.0, 0.0], [0.0, 1.0]])
    assert conformal_mean(losses, 0.25).tolist() == [
        True,
        False,
    ], "(0 + 1) / 4 = .25 is allowed, 2.5 / 4 is not"
    table = ImageTable(
        COARSE[:2],
        np.array([2, 1, 1]),
        np.array([[2, 1], [1, 1], [1, 0]], np.int32),
        np.zeros((3, 2), np.int32),
    )
    assert mean_recall_threshold(table, 0.7) == 0.0
    assert mean_recall_threshold(table, 0.8) is None


@pytest.mark.parametrize(
    "wrong", [("recall", 1.0), ("precision", 0.0), ("false positives", -1), ("accuracy", 0.5)]
)
def test_a_goal_out_of_range_is_an_error(wrong):
    with pytest.raises(InputError, match="expected"):
        Goal(*wrong)


def repeated_run(n=120, missed_every=10, score=0.6, fp_every=0):
    dets = [(i, 0, 0, 10, 10, score, i % 2) for i in range(n) if i % missed_every]
    dets += [(i, 50, 50, 60, 60, 0.9, i % 2) for i in range(n) if fp_every and not i % fp_every]
    return make_run(dets, [(i, 0, 0, 10, 10, i % 2) for i in range(n)], num_images=n)


def test_a_certificate_travels_with_the_file_and_is_checked(tmp_path):
    run = repeated_run()
    matches = match_run(run)
    found = guarantee_run(matches, Goal("recall", 0.7), 0.9, floor=0.01)
    default, values = found.thresholds(3)
    from analysis.matching.operating_point import operating_point

    file = thresholds_for(
        run.class_map,
        values,
        operating_point(run, default),
        default=default,
        certificate=found.certificate(run.class_map, run),
    )
    save_thresholds(file, tmp_path / "t.yaml")
    assert load_thresholds(tmp_path / "t.yaml") == file
    assert file.certificate.images == 120 and file.default == 0.6
    assert check_certificate(run, matches, file).verdict == "kept"
    worse = repeated_run(missed_every=2)
    check = check_certificate(worse, match_run(worse), file)
    assert (check.verdict, check.reached) == ("broken", 0.5)
    slightly = repeated_run(n=13, missed_every=3)
    assert check_certificate(slightly, match_run(slightly), file).verdict == "within chance"
    empty = make_run([], [], num_images=2)
    assert check_certificate(empty, match_run(empty), file).verdict == "nothing to judge by"
    with pytest.raises(InputError, match="IoU 0.5"):
        check_certificate(run, match_run(run, 0.75), file)
    (tmp_path / "t.yaml").write_text(
        "boxscope_thresholds: 1\ncertificate: {goal: speed, value: 1, confidence: .9}\n"
    )
    with pytest.raises(ConfigError, match="goal"):
        load_thresholds(tmp_path / "t.yaml")


def test_each_class_keeps_the_goal_and_one_that_cannot_is_named():
    run = repeated_run()
    weak = make_run(
        [(i, 0, 0, 10, 10, 0.6, 0) for i in range(120)]
        + [(i, 20, 20, 30, 30, 0.6, 1) for i in range(0, 120, 2)],
        [(i, 0, 0, 10, 10, 0) for i in range(120)] + [(i, 20, 20, 30, 30, 1) for i in range(120)],
    )
    found = guarantee_run(match_run(weak), Goal("recall", 0.7), 0.9, per_class=True, floor=0.01)
    assert found.whole is None and found.classes[0].threshold == 0.6 and found.classes[1].threshold is None
    default, values = found.thresholds(3)
    assert values == pytest.approx([0.6, 0.01, 0.01]) and default == 0.01
    certificate = found.certificate(weak.class_map, weak)
    assert (certificate.classes, certificate.without) == (["car"], ["dog"])
    assert len(guarantee_run(match_run(run), Goal("recall", 0.7), per_class=True).classes) == 2


def test_half_of_the_images_is_the_same_half_everywhere():
    run = repeated_run()
    half = calibration_images(run, "half")
    assert 40 < half.sum() < 80 and np.array_equal(half, calibration_images(repeated_run(), "half"))
    with pytest.raises(InputError, match="no split 'val'"):
        calibration_images(run, "val")
