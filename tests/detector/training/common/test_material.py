"""Which images a training takes: splits, files that cannot be decoded, images on both sides."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import DataError, InputError
from detector.training.common.folder import TrainFolder
from detector.training.common.material import (
    choose_splits,
    equal_images,
    refuse_shared,
    scan_images,
    sound_material,
)


def on_disk(folder, count, *, splits=None, first=0):
    """`count` images of 13x9 pixels, each of its own grey, with one object each."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for i in range(first, first + count):
        files.append(str(folder / f"{i}.png"))
        cv2.imwrite(files[-1], np.full((9, 13, 3), 10 + i, np.uint8))
    return Dataset(
        name=folder.name,
        format="drawn",
        source=str(folder),
        class_map=ClassMap(("box",)),
        sample_ids=[f"{folder.name}/{i}" for i in range(first, first + count)],
        files=files,
        sizes=np.array([(13, 9)] * count),
        labelled=np.ones(count, bool),
        objects=ObjectTable.build(
            np.arange(count), np.array([[1, 2, 8, 7]] * count, np.float32), [0] * count
        ),
        splits=splits or [None] * count,
    )


def damage(dataset, i, how):
    if how == "missing":
        Path(dataset.files[i]).unlink()
    else:
        content = Path(dataset.files[i]).read_bytes()
        Path(dataset.files[i]).write_bytes(b"" if how == "empty" else content[: len(content) // 2])


@pytest.mark.parametrize(
    ("splits", "train", "validation", "expected"),
    [
        ([None] * 4, None, None, (None, None)),
        (["train"] * 4, None, None, (None, None)),  # nothing lies outside it
        (["train", "train", "test", "test"], None, None, ("train", None)),
        (["train", "val", "test", None], None, None, ("train", "val")),
        (["Train", "valid", "valid", None], None, None, ("Train", "valid")),
        (["train", "val", "test", None], "val", None, ("val", None)),  # what is named is taken
        (["train", "val", "test", None], None, "test", ("train", "test")),
        (["test", "test", "val", "val"], None, None, (None, None)),
    ],
)
def test_a_train_split_is_kept_to(tmp_path, splits, train, validation, expected):
    chosen = choose_splits(on_disk(tmp_path / "d", 4, splits=splits), train, validation)
    assert (chosen.train, chosen.validation) == expected
    unasked = (train is None and expected[0] is not None) + (validation is None and expected[1] is not None)
    assert len(chosen.notes) == unasked


def test_another_validation_set_leaves_the_own_split_alone(tmp_path):
    data = on_disk(tmp_path / "d", 3, splits=["train", "train", "val"])
    assert choose_splits(data, None, None, other_validation=True).validation is None


@pytest.mark.parametrize("how", ["cut", "empty", "missing"])
def test_a_file_that_cannot_be_decoded_is_left_out_and_named(tmp_path, how):
    data = on_disk(tmp_path / "d", 5)
    damage(data, 3, how)
    seen = []
    found = sound_material(
        TrainFolder(tmp_path / "t"), data, None, lambda done, total: seen.append((done, total))
    )
    assert found.train.sample_ids == ["d/0", "d/1", "d/2", "d/4"] and list(found.damaged) == ["d/3"]
    assert len(found.notes) == 1 and "1 image cannot be read and is left out" in found.notes[0]
    assert "3.png" in found.notes[0] and seen[-1] == (5, 5)


def test_a_file_that_is_fixed_later_stays_out_of_a_resumed_training(tmp_path):
    data = on_disk(tmp_path / "d", 4)
    whole = Path(data.files[1]).read_bytes()
    damage(data, 1, "cut")
    folder = TrainFolder(tmp_path / "t")
    first = sound_material(folder, data, None)
    (tmp_path / "t" / "recipe.yaml").write_text("steps: 1\n")
    Path(data.files[1]).write_bytes(whole)
    again = sound_material(folder, on_disk(tmp_path / "d", 4), None)
    assert again.train.sample_ids == first.train.sample_ids == ["d/0", "d/2", "d/3"]
    assert again.train.fingerprint == first.train.fingerprint and again.notes == first.notes


def test_nothing_readable_is_refused_with_reasons(tmp_path):
    data = on_disk(tmp_path / "d", 2)
    for i in range(2):
        damage(data, i, "empty")
    with pytest.raises(DataError, match=r"none of the 2 can be read: .*0\.png"):
        sound_material(TrainFolder(tmp_path / "t"), data, None)


def test_an_image_on_both_sides_is_refused_by_its_file(tmp_path):
    data = on_disk(tmp_path / "d", 4)
    refuse_shared(data.subset([0, 1]), data.subset([2, 3]))
    with pytest.raises(InputError, match=r"1 of the 2 validation images are training images too \(2\.png\)"):
        refuse_shared(data.subset([0, 1, 2]), data.subset([2, 3]))


def test_equal_pixels_in_another_file_are_said(tmp_path):
    train = on_disk(tmp_path / "a", 4)
    validation = on_disk(tmp_path / "b", 3, first=3)  # b/3 has the grey of a/3
    cv2.imwrite(validation.files[1], np.full((13, 9, 3), 10, np.uint8))  # the grey of a/0, turned: not equal
    twins = equal_images(scan_images(train).digests, scan_images(validation).digests)
    assert twins == [("b/3", "a/3")]
    notes = sound_material(TrainFolder(tmp_path / "t"), train, validation).notes
    assert notes == (
        (
            "1 validation images have the same pixels as training images (b/3 = a/3): figures on them say"
            " little about new images."
        ),
    )
