"""Dividing a data set: exact counts, near shares, equal pictures together, and the file that says so."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.core import ClassMap
from detector.data import Dataset, ObjectTable, count_problems, load_dataset
from detector.data.duplicates import same_content
from detector.data.splits import Splits, assign, default_parts, draw_splits, part_counts
from detector.data.splits_file import apply_splits, is_splits_file, read_splits, write_splits
from detector.errors import DataError, InputError
from tests.detector.data.builders import picture, voc_xml


def data(classes, splits=None, files=None, labelled=None) -> Dataset:
    """classes: for each picture the class ids of its objects."""
    rows = [i for i, own in enumerate(classes) for _ in own]
    ids = [k for own in classes for k in own]
    objects = ObjectTable.build(rows, np.tile([1, 2, 9, 11], (len(rows), 1)), ids)
    n = len(classes)
    return Dataset(
        name="small",
        format="voc",
        source="",
        class_map=ClassMap(tuple("abcd")),
        sample_ids=[f"s{i}" for i in range(n)],
        files=files or [""] * n,
        sizes=[(40, 30)] * n,
        objects=objects,
        splits=splits,
        labelled=labelled,
    )


def test_counts_of_fractions_add_up():
    assert part_counts({"train": 0.8, "val": 0.1, "test": 0.1}, 10) == {"train": 8, "val": 1, "test": 1}
    assert part_counts({"train": 0.7, "val": 0.3}, 15) == {"train": 11, "val": 4} or part_counts(
        {"train": 0.7, "val": 0.3}, 15
    ) == {"train": 10, "val": 5}
    assert part_counts({"train": 1 / 3, "val": 1 / 3, "test": 1 / 3}, 100) == {
        "train": 34,
        "val": 33,
        "test": 33,
    }
    assert part_counts({"train": 0.5}, 7) in ({"train": 3}, {"train": 4})
    assert part_counts({"train": 6500, "val": 1629}, 8144) == {"train": 6500, "val": 1629}
    assert part_counts({"train": 0.8, "val": 0.2}, 8144) == {"train": 6515, "val": 1629}


@pytest.mark.parametrize(
    "parts, why",
    [
        ({}, "at least one"),
        ({"a": 0.5, "b": 3}, "got both"),
        ({"a": 0.7, "b": 0.7}, "at most 1 in all"),
        ({"a": 5, "b": 6}, "at most 10"),
        ({"a": 0.0}, "above 0"),
        ({" ": 1}, "blank"),
    ],
)
def test_impossible_parts_are_refused(parts, why):
    with pytest.raises(InputError, match=why):
        part_counts(parts, 10)


@settings(max_examples=60, deadline=None)
@given(
    classes=st.lists(st.integers(0, 3), min_size=2, max_size=60),
    train=st.floats(0.1, 0.9),
    seed=st.integers(0, 5),
)
def test_one_class_a_picture_no_class_is_further_than_one_picture_from_its_share(classes, train, seed):
    dataset = data([[k] for k in classes])
    splits = draw_splits(dataset, {"train": train, "val": 1 - train}, seed=seed)
    n, counts = len(classes), splits.counts
    assert sum(counts.values()) == n and counts == {
        k: v for k, v in part_counts({"train": train, "val": 1 - train}, n).items()
    }
    for k in set(classes):
        got = sum(splits.parts[f"s{i}"] == "train" for i, own in enumerate(classes) if own == k)
        assert abs(got - counts["train"] / n * classes.count(k)) <= 1 + 1e-6


@settings(max_examples=40, deadline=None)
@given(
    pictures=st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=3, max_size=40),
    groups=st.lists(st.integers(0, 8), min_size=40, max_size=40),
    seed=st.integers(0, 3),
)
def test_every_picture_has_one_part_and_groups_stay_together(pictures, groups, seed):
    dataset, groups = data(pictures), groups[: len(pictures)]
    splits = draw_splits(dataset, {"train": 0.6, "val": 0.2, "test": 0.2}, seed=seed, groups=groups)
    assert list(splits.parts) == dataset.sample_ids and None not in splits.parts.values()
    for number in set(groups):
        assert len({splits.parts[f"s{i}"] for i in range(len(pictures)) if groups[i] == number}) == 1
    assert splits == draw_splits(dataset, {"train": 0.6, "val": 0.2, "test": 0.2}, seed=seed, groups=groups)
    wanted = part_counts({"train": 0.6, "val": 0.2, "test": 0.2}, len(pictures))
    assert (splits.counts == wanted) != bool(splits.notes)


def test_several_classes_a_picture_are_shared_out_too():
    rng = np.random.default_rng(4)
    pictures = [
        [k for k, often in enumerate((0.9, 0.4, 0.1, 0.03)) if rng.random() < often] for _ in range(400)
    ]
    dataset = data(pictures)
    splits = draw_splits(dataset, {"train": 280, "val": 80, "test": 40})
    assert splits.counts == {"train": 280, "val": 80, "test": 40}
    for k in range(4):
        total = sum(k in own for own in pictures)
        for part, share in (("train", 0.7), ("val", 0.2), ("test", 0.1)):
            got = sum(k in own and splits.parts[f"s{i}"] == part for i, own in enumerate(pictures))
            assert abs(got - share * total) <= 1, (k, part)
    empty = [i for i, own in enumerate(pictures) if not own]
    assert abs(sum(splits.parts[f"s{i}"] == "train" for i in empty) - 0.7 * len(empty)) <= 1


def test_seeds_differ_and_the_rest_stays_in_no_part():
    dataset = data([[i % 4] for i in range(40)])
    a, b = (draw_splits(dataset, {"train": 25, "val": 10}, seed=s) for s in (0, 1))
    assert a.counts == b.counts == {"train": 25, "val": 10} and len(a.unused) == 5
    assert a.parts != b.parts


def test_within_one_split_the_others_keep_theirs():
    dataset = data([[i % 2] for i in range(12)], splits=["train"] * 8 + ["test"] * 4)
    splits = draw_splits(dataset, {"train": 6, "val": 2}, within="train")
    assert splits.counts == {"train": 6, "val": 2, "test": 4}
    assert all(splits.parts[f"s{i}"] == "test" for i in range(8, 12))
    with pytest.raises(InputError, match="train"):
        draw_splits(dataset, {"train": 0.5}, within="valid")
    assert default_parts(dataset) == ({"train": 0.8, "val": 0.2}, "train") and default_parts(data([[0]])) == (
        {"train": 0.8, "val": 0.2},
        None,
    )


def test_stanford_cars_counts_are_exact_in_a_second_or_three():
    classes = np.concatenate([np.arange(196), np.random.default_rng(0).integers(0, 196, 8144 - 196)])
    labels = np.eye(196, dtype=np.float32)[classes]
    chosen = assign(labels, np.ones(8144, int), np.array([6500, 1629, 15]), seed=0)
    assert np.bincount(chosen).tolist() == [6500, 1629, 15]
    for part, count in ((0, 6500), (1, 1629)):
        got = np.bincount(classes[chosen == part], minlength=196)
        assert np.abs(got - count / 8144 * np.bincount(classes)).max() <= 1


def test_equal_files_are_found_and_never_part(tmp_path):
    files = [picture(tmp_path / f"{i}.jpg", 20 + i, 15) for i in range(8)]
    for k in (5, 6):
        shutil.copy(files[1], files[k])
    files += [tmp_path / "missing.jpg", tmp_path / "missing2.jpg"]
    dataset = data([[i % 2] for i in range(10)], files=files)
    groups = same_content(dataset)
    assert groups.tolist() == [0, 1, 2, 3, 4, 1, 1, 5, 6, 7]
    for seed in range(6):
        parts = draw_splits(dataset, {"train": 0.5, "val": 0.5}, seed=seed).parts
        assert parts["s1"] == parts["s5"] == parts["s6"]
    tight = draw_splits(dataset, {"train": 0.8, "val": 0.1, "test": 0.1}, groups=[0] * 5 + [1] * 5)
    assert tight.notes and "instead of" in tight.notes[0]


@pytest.fixture
def voc(tmp_path):
    for i in range(10):
        picture(tmp_path / "voc" / "JPEGImages" / f"{i}.jpg", 40, 30 + i)
        voc_xml(
            tmp_path / "voc" / "Annotations" / f"{i}.xml",
            [("car" if i % 2 else "cat", 2, 3, 20, 21)],
            size=(40, 30 + i),
        )
    return tmp_path / "voc"


def test_a_splits_file_is_a_data_set(voc, tmp_path):
    dataset = load_dataset(voc)
    splits = draw_splits(dataset, {"train": 6, "val": 3}, seed=3)
    file = tmp_path / "lists" / "splits.json"
    write_splits(splits, file, voc)
    assert is_splits_file(file) and json.loads(file.read_text())["data"] == "../voc"
    back, data_path, reading = read_splits(file)
    assert back == splits and data_path == str(voc) and reading == {}
    divided = load_dataset(file)
    assert (
        divided.splits == [splits.parts[i] for i in divided.sample_ids]
        and divided.fingerprint == dataset.fingerprint
    )
    assert len(load_dataset(file, split="train")) == 6 and len(load_dataset(file, split="val", limit=2)) == 2
    assert len(load_dataset(voc, splits=file, split="val")) == 3 and divided.problems == ()
    assert load_dataset(file, boxes="ignore").objects.xyxy[0].tolist() == [0, 0, 40, 30]
    shutil.move(voc, tmp_path / "moved")
    with pytest.raises(DataError):
        load_dataset(file)
    assert len(load_dataset(tmp_path / "moved", splits=file, split="train")) == 6


def test_splits_that_do_not_fit_the_data_say_so(voc, tmp_path):
    dataset = load_dataset(voc)
    parts = {i: "train" for i in dataset.sample_ids[:-1]} | {"gone": "val"}
    kinds = count_problems(apply_splits(dataset, Splits(parts, {"train": 9}, 0)).problems)
    assert kinds == {"unknown image": 1, "not in the splits": 1}
    write_splits(draw_splits(dataset, {"train": 0.5, "val": 0.5}), tmp_path / "s.json", voc, boxes="ignore")
    assert count_problems(load_dataset(tmp_path / "s.json").problems) == {
        "boxes ignored": 1,
        "data set changed": 1,
    }


@pytest.mark.parametrize(
    "text, why",
    [
        ("", "breaks off"),
        ("{}", "boxscope split"),
        ('{"boxscope_splits": 2}', "schema 1"),
        ('{"boxscope_splits": 1, "data": "x"}', "samples"),
        ('{"boxscope_splits": 1, "data": "x", "samples": {"train": ["a"], "val": ["a"]}}', "named twice"),
    ],
)
def test_broken_splits_files_are_refused(tmp_path, text, why):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(DataError, match=why):
        read_splits(tmp_path / "s.json")
