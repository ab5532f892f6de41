"""Failing groups: planted ones are found and described, none is found where there is none, words by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.groups.attributes import Attributes, attributes
from analysis.groups.columns import read_columns
from analysis.groups.finding import benjamini_hochberg, find_groups
from analysis.groups.pixels import describe_crop, measure_crop
from analysis.groups.run import groups_of_run
from analysis.groups.similar import map_of_objects, similar_objects
from detector.errors import InputError
from tests.analysis.builders import make_run

FAMILIES = 10


def population(seed: int, images: int = 500, planted: int = 0):
    """Objects with ten attributes of three values each, luck shared by the objects of an image; `planted`
    pairs of values whose objects are mostly missed. Returns what `find_groups` takes, and the planted
    pairs."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(images), rng.integers(2, 15, images))
    m = len(rows)
    values = rng.integers(0, 3, (FAMILIES, m))
    words = Attributes(
        tuple(f"f{f}={v}" for f in range(FAMILIES) for v in range(3)),
        tuple(f"f{f}" for f in range(FAMILIES) for _ in range(3)),
        np.array([values[f] == v for f in range(FAMILIES) for v in range(3)]),
    )
    chance = np.clip(0.75 + rng.normal(0, 0.1, images)[rows], 0, 1)
    pairs = []
    for n in range(planted):
        a, b = (2 * n) % FAMILIES, (2 * n + 1) % FAMILIES
        va, vb = (n // 5) % 3, (n // 5) % 3
        member = (values[a] == va) & (values[b] == vb)
        chance[member] *= 0.35
        pairs.append({f"f{a}={va}", f"f{b}={vb}"})
    return words, rows, np.ones(m, bool), rng.random(m) < chance, pairs


def test_ten_planted_groups_are_found_and_named():
    words, rows, counted, found, pairs = population(1, images=1200, planted=10)
    result = find_groups(words, rows, counted, found)
    first = [set(g.words) for g in result.groups[:10]]
    assert np.mean([g in pairs for g in first]) >= 0.7
    assert len(first) >= 8
    assert all(g.recall < g.rest and g.adjusted <= 0.05 for g in result.groups)
    json.dumps(result.to_dict())


@pytest.mark.parametrize("draws", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_no_group_where_there_is_none(draws):
    lists = [find_groups(*population(100 + seed, images=150)[:4]) for seed in range(draws)]
    false = sum(len(found.groups) > 0 for found in lists)
    # 5 % of lists, and two standard errors of so many draws above.
    assert false <= 0.05 * draws + 2 * np.sqrt(0.05 * 0.95 * draws)
    assert sum(found.tested for found in lists) > 0


def test_the_finding_half_is_not_the_testing_half():
    """Objects that fail in one half alone: what the search picks up there does not survive the other half."""
    words, rows, counted, found, _ = population(3, images=300)
    images = np.unique(rows)
    search = np.isin(rows, np.random.default_rng(0).permutation(images)[: len(images) // 2])
    found = found & ~(search & words.holds[0])
    result = find_groups(words, rows, counted, found, seed=0)
    assert result.tested >= 1 and not [g for g in result.groups if "f0=0" in g.words]


@pytest.mark.parametrize(
    "p, adjusted",
    [([0.01, 0.04, 0.03], [0.03, 0.04, 0.04]), ([], []), ([0.5], [0.5]), ([0.9, 0.8], [0.9, 0.9])],
)
def test_benjamini_hochberg_by_hand(p, adjusted):
    assert benjamini_hochberg(p).tolist() == pytest.approx(adjusted)


def test_words_of_objects_by_hand():
    n = 60
    objects = [(i, 0, 10, 40, 20, 0) for i in range(n)] + [(i, 44, 10, 50, 40, 1) for i in range(0, n, 2)]
    run = make_run([], objects, num_images=n)
    words = attributes(run, np.ones(len(objects), bool), {"night": np.arange(len(objects)) % 2})
    said = {w: words.holds[i] for i, w in enumerate(words.words)}
    assert said["wide"].sum() == 60 and said["tall"].sum() == 30
    assert said["at the image's edge"].tolist() == (run.truth.class_ids == 0).tolist()
    assert (
        said["beside a dog"].sum() == 30
        and said["beside a car"].sum() == 30
        and said["beside nothing"].sum() == 30
    )
    assert said["the only object"].sum() == 30 and said["night 1"].sum() == 45
    assert "small" not in said, "a word that all share tells nothing apart"
    assert len(words.families) == len(words.words) == len(words.holds)


def test_a_run_names_its_failing_group():
    rng = np.random.default_rng(5)
    dets, objects = [], []
    for i in range(200):
        for n in range(3):
            k, wide = int(rng.integers(0, 3)), bool(rng.integers(0, 2))
            w, h = (30, 12) if wide else (20, 20)
            box = (5 + 32 * n, 10, 5 + 32 * n + w, 10 + h)
            objects.append((i, *box, k))
            if rng.random() < (0.1 if wide and k == 1 else 0.9):
                dets.append((i, *box, 0.8, k))
    found = groups_of_run(make_run(dets, objects), threshold=0.5)
    assert set(found.groups[0].words) == {"wide", "dog"}
    assert found.groups[0].missed_more > 30
    assert groups_of_run(make_run(dets, objects), threshold=0.5).to_dict() == found.to_dict()


def test_a_crop_in_numbers():
    flat = np.full((20, 30, 3), 100, np.uint8)
    brightness, contrast, sharp, colour = measure_crop(flat)
    assert (brightness, contrast, sharp, colour) == (100, 0, 0, 0)
    lines = flat.copy()
    lines[:, ::2] = (200, 0, 0)
    assert measure_crop(lines)[2] > 1 and measure_crop(lines)[3] > 50
    assert all(np.isnan(v) for v in measure_crop(flat[:0]))


def test_too_little_to_split_is_said():
    with pytest.raises(InputError, match="at least 40 objects in 10 images"):
        find_groups(*population(0, images=3)[:4])
    with pytest.raises(InputError, match="level"):
        find_groups(*population(0, images=50)[:4], level=0)


def crops_of(seed: int) -> np.ndarray:
    """Looks of ten red and ten striped crops, in turn."""
    rng = np.random.default_rng(seed)
    looks = []
    for n in range(20):
        crop = rng.integers(0, 40, (30, 40, 3)).astype(np.uint8)
        if n % 2:
            crop[:, ::4] = 200
        else:
            crop[..., 0] = 220
        looks.append(describe_crop(crop))
    return np.array(looks)


def test_the_likest_objects_look_alike():
    looks = crops_of(0)
    likest = [place for place, _ in similar_objects(looks, 4, 9)]
    assert sorted(likest) == [n for n in range(0, 20, 2) if n != 4]
    looks[6] = np.nan
    assert 6 not in [place for place, _ in similar_objects(looks, 4, 19)]
    with pytest.raises(InputError, match="no look"):
        similar_objects(looks, 6)
    with pytest.raises(InputError, match="no look"):
        similar_objects(looks, 20)


def test_alike_objects_lie_together_on_the_map():
    places, xy = map_of_objects(crops_of(1), np.arange(20) != 3)
    assert places.tolist() == [n for n in range(20) if n != 3] and xy.shape == (19, 2)
    even = places % 2 == 0
    apart = np.linalg.norm(xy[even].mean(axis=0) - xy[~even].mean(axis=0))
    assert apart > np.linalg.norm(xy[even] - xy[even].mean(axis=0), axis=1).mean()
    few, line = map_of_objects(crops_of(1), np.arange(20) < 3)
    assert few.tolist() == [0, 1, 2] and line[:, 1].tolist() == [0, 0, 0]


def test_columns_of_ones_own_by_hand(tmp_path):
    run = make_run([], [(0, 0, 0, 5, 5, 0), (1, 0, 0, 5, 5, 0), (1, 9, 9, 20, 20, 0)], num_images=2)
    path = tmp_path / "more.csv"
    path.write_text("sample,weather,lux\nimg0,rain,3\nimg1,,8.5\n")
    columns = read_columns(path, run)
    assert columns["weather"].tolist() == ["rain", "", ""] and columns["lux"].tolist() == [3, 8.5, 8.5]
    path.write_text("sample,weather\nother,rain\n")
    with pytest.raises(InputError, match="none of its 1 lines"):
        read_columns(path, run)
    path.write_text("image,weather\n")
    with pytest.raises(InputError, match="column sample"):
        read_columns(path, run)
