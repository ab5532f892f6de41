"""What a recipe would train on, in words, and what it leaves to judge by."""

from __future__ import annotations

import shutil

import pytest

from detector.data import load_dataset
from detector.errors import ConfigError, DataError, InputError
from detector.training.recipes import preview_training
from detector.training.ssd.recipe import TrainRecipe
from detector.training.two_head.recipe import TwoHeadRecipe
from tests.app.jobs.test_trainings import voc_folder
from tests.detector.sliding.drawn import QUICK, drawn_patches


def test_an_ssd_s_images_objects_and_held_out_split(tmp_path):
    data = str(voc_folder(tmp_path / "drawn"))
    found = preview_training(
        TrainRecipe(data=data, train_split="train", val_split="val", steps=12, batch_size=2)
    )
    assert found.words == (
        "3 images with 6 objects of 3 classes to train on",
        "12 steps of 2 are 8.0 times each",
        "1 images with 3 objects to validate on",
    )
    assert set(found.splits) == {"train", "val"} and found.images == 3 and len(found.datasets) == 2
    assert [(h.data, h.split, h.unseen) for h in found.held_out] == [(data, "val", True)]


def test_another_split_than_those_of_the_training_comes_first(tmp_path):
    folder = voc_folder(tmp_path / "drawn")
    (folder / "ImageSets/Main/train.txt").write_text("0\n1\n")
    (folder / "ImageSets/Main/test.txt").write_text("2\n")
    found = preview_training(TrainRecipe(data=str(folder), train_split="train", val_split="val"))
    assert [(h.split, h.words) for h in found.held_out] == [
        ("test", "the split test"),
        ("val", "the split val"),
    ]


def test_nothing_held_out_is_said(tmp_path):
    folder = voc_folder(tmp_path / "drawn")
    shutil.rmtree(folder / "ImageSets")
    found = preview_training(TrainRecipe(data=str(folder)))
    assert [(h.split, h.unseen) for h in found.held_out] == [(None, False)]


def test_data_with_a_train_split_are_trained_on_by_it_alone(tmp_path):
    folder = voc_folder(tmp_path / "drawn")
    every = len(load_dataset(folder))
    found = preview_training(TrainRecipe(data=str(folder)))
    train = load_dataset(folder, split="train")
    assert found.images == len(train) < every
    assert any(f"only its {len(train)} images are used for training" in line for line in found.words)
    assert [(h.split, h.unseen) for h in found.held_out] == [("val", True)]


def test_refusals(tmp_path):
    data = str(voc_folder(tmp_path / "drawn"))
    with pytest.raises(InputError, match="has no split 'tset'; it has train, val"):
        preview_training(TrainRecipe(data=data, train_split="tset"))
    with pytest.raises(ConfigError, match="expected the data's number of classes, 3, got 7"):
        preview_training(TrainRecipe(data=data, num_classes=7))
    with pytest.raises(DataError, match="expected boxes to train on, got none in 3 labelled images"):
        preview_training(TrainRecipe(data=str(voc_folder(tmp_path / "empty", boxes=False))))


def test_a_sliding_window_detector_s_patches(tmp_path):
    import cv2

    drawn = drawn_patches(10, 12)
    for i, (patch, label) in enumerate(zip(drawn.images, drawn.labels)):
        folder = tmp_path / "patches" / ("positive" if label else "negative")
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{i}.png"), patch)
    found = preview_training(QUICK.with_(data=str(tmp_path / "patches")))
    height, width = drawn.images.shape[1:]
    assert found.words[0] == f"10 patches of the object, 12 of background, {width}x{height} pixels"
    assert found.datasets == () and found.held_out == ()  # patches are no pictures to run a detector on


def test_two_heads_take_the_pictures_of_one_object(tmp_path):
    folder = voc_folder(tmp_path / "drawn")
    found = preview_training(TwoHeadRecipe(data=str(folder), many="largest", held_out=1, start="none"))
    assert found.words[0] == "2 pictures of one object, 3 classes, to train on"
    assert len(found.held_out[0].ids) == 1 and found.held_out[0].unseen
