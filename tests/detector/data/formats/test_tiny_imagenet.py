"""Tiny ImageNet: last pixels included, counted from 0."""

from __future__ import annotations

import pytest

from detector.data import count_problems, load_dataset
from detector.errors import DataError
from tests.detector.data.builders import picture


def test_train_val_and_test(tmp_path):
    root = tmp_path / "tiny-imagenet-200"
    picture(root / "train" / "n1" / "images" / "n1_0.JPEG", 64, 64)
    picture(root / "train" / "n1" / "images" / "n1_7.JPEG", 64, 64)
    picture(root / "train" / "n2" / "images" / "n2_0.JPEG", 64, 64)
    picture(root / "val" / "images" / "val_0.JPEG", 64, 64)
    picture(root / "test" / "images" / "test_0.JPEG", 64, 64)
    (root / "train" / "n1" / "n1_boxes.txt").write_text("n1_0.JPEG\t0\t6\t63\t62\n")
    (root / "train" / "n2" / "n2_boxes.txt").write_text("n2_0.JPEG\t5\t7\t20\t31\nn2_1.JPEG\t5\t7\n")
    (root / "val" / "val_annotations.txt").write_text(
        "val_0.JPEG\tn1\t1\t2\t10\t20\nval_1.JPEG\tn9\t1\t2\t10\t20\n"
    )
    (root / "wnids.txt").write_text("n2\nn1\n")
    (root / "words.txt").write_text("n1\tcrane\nn2\tconvertible, soft-top\nn3\tcrane\n")
    dataset = load_dataset(tmp_path)
    assert dataset.format == "tiny_imagenet" and dataset.class_map.names == ("convertible", "crane")
    assert dataset["train/n1_0.JPEG"].annotations.xyxy.tolist() == [[0, 6, 64, 63]]
    assert dataset["train/n2_0.JPEG"].annotations.xyxy.tolist() == [[5, 7, 21, 32]] and dataset[
        "val/val_0.JPEG"
    ].annotations.class_ids.tolist() == [1]
    assert dataset["test/test_0.JPEG"].annotations is None and dataset["train/n1_7.JPEG"].annotations is None
    assert sorted(set(dataset.splits)) == ["test", "train", "val"]
    assert count_problems(dataset.problems) == {
        "malformed line": 1,
        "no annotation": 1,
        "unknown class": 1,
        "missing image": 1,
    }


def test_names_that_occur_twice_keep_their_wnid(tmp_path):
    for wnid in ("n1", "n2"):
        picture(tmp_path / "train" / wnid / "images" / f"{wnid}_0.JPEG", 64, 64)
        (tmp_path / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t9\t9\n")
    (tmp_path / "wnids.txt").write_text("n1\nn2\n")
    (tmp_path / "words.txt").write_text("n1\tcrane\nn2\tcrane, bird\n")
    assert load_dataset(tmp_path).class_map.names == ("crane (n1)", "crane (n2)")
    (tmp_path / "words.txt").unlink()
    assert load_dataset(tmp_path).class_map.names == ("n1", "n2")


def test_not_there(tmp_path):
    with pytest.raises(DataError, match="wnids.txt"):
        load_dataset(tmp_path, format="tiny_imagenet")


def test_real_vehicles(shared):
    dataset = load_dataset(shared / "data" / "tiny_imagenet_vehicles")
    assert (
        len(dataset) == len(dataset.objects) == 600
        and dataset.problems == ()
        and dataset.objects.xyxy.max() == 64
    )
    assert dataset.class_map.names == (
        "sports car",
        "convertible",
        "limousine",
        "beach wagon",
        "police van",
        "school bus",
    )


def test_one_box_a_picture_from_a_csv(shared):
    dataset = load_dataset(shared / "data" / "voc2007_5cls" / "single_object.csv")
    assert len(dataset) == len(dataset.objects) == 378 and dataset.problems == ()
    counts = {
        name: int((dataset.objects.class_ids == k).sum()) for k, name in enumerate(dataset.class_map.names)
    }
    assert counts == {"bus": 25, "car": 129, "cat": 147, "train": 77}
