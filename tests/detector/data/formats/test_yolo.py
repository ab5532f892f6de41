"""YOLO folders and their label lines."""

from __future__ import annotations

import pytest

from detector.data import count_problems, load_dataset
from detector.errors import DataError
from tests.detector.data.builders import kinds, picture


def label(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def test_a_yaml_with_splits_and_a_background_picture(tmp_path):
    for split, name in (("train", "a"), ("train", "b"), ("val", "c")):
        picture(tmp_path / "images" / split / f"{name}.jpg", 40, 30)
    label(tmp_path / "labels" / "train" / "a.txt", "1 0.5 0.5 0.5 0.2", "0 0.125 0.5 0.25 1")
    label(tmp_path / "labels" / "train" / "b.txt")
    (tmp_path / "data.yaml").write_text(
        "path: .\ntrain: images/train\nval: images/val\nnames: {0: dog, 1: car}\nnc: 2\n"
    )
    for path in (tmp_path, tmp_path / "data.yaml"):
        dataset = load_dataset(path)
        assert dataset.format == "yolo" and dataset.class_map.names == ("dog", "car")
        assert dataset.sample_ids == [
            "images/train/a.jpg",
            "images/train/b.jpg",
            "images/val/c.jpg",
        ] and dataset.splits == ["train", "train", "val"]
        assert dataset[0].annotations.xyxy.tolist() == [[10, 12, 30, 18], [0, 0, 10, 30]] and dataset[
            0
        ].annotations.class_ids.tolist() == [1, 0]
        assert len(dataset[1].annotations) == 0 and dataset[2].annotations is None
        assert kinds(dataset) == ["missing label file"]
    assert load_dataset(tmp_path, split="val").sample_ids == ["images/val/c.jpg"]


def test_folders_without_a_yaml_and_files_side_by_side(tmp_path):
    picture(tmp_path / "one" / "images" / "a.png", 40, 30)
    label(tmp_path / "one" / "labels" / "a.txt", "2 0.5 0.5 0.5 0.2")
    one = load_dataset(tmp_path / "one")
    assert one.class_map.names == ("class 0", "class 1", "class 2") and kinds(one) == ["no class names"]
    picture(tmp_path / "two" / "a.jpg", 40, 30)
    label(tmp_path / "two" / "a.txt", "0 0.5 0.5 0.5 0.2")
    label(tmp_path / "two" / "classes.txt", "dog")
    two = load_dataset(tmp_path / "two")
    assert two.class_map.names == ("dog",) and two.sample_ids == ["a.jpg"] and two.problems == ()


def test_exported_paths_that_point_outside_are_found_beside_the_yaml(tmp_path):
    picture(tmp_path / "train" / "images" / "a.jpg", 40, 30)
    label(tmp_path / "train" / "labels" / "a.txt", "0 0.5 0.5 0.5 0.2")
    (tmp_path / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnames: [dog]\n")
    dataset = load_dataset(tmp_path)
    assert (
        len(dataset.objects) == 1
        and kinds(dataset) == ["missing image folder"]
        and dataset.splits == ["train"]
    )


def test_every_bad_line_is_named_with_its_number(tmp_path):
    picture(tmp_path / "images" / "a.jpg", 40, 30)
    label(
        tmp_path / "labels" / "a.txt",
        "0 0.5 0.5 0.5 0.2",
        "",
        "0 0.5 0.5",
        "7 0.5 0.5 0.1 0.1",
        "0 20 15 10 6",
        "0 0.5 0.5 0 0.2",
        "0 1.2 0.5 0.1 0.1",
        "0 0.95 0.5 0.2 0.2",
        "dog 0.5 0.5 0.1 0.1",
        "0 0.1 0.2 0.5 0.2 0.5 0.6",
        "0 0.5 0.5 0.5 0.2",
        "0 nan 0.5 0.5 0.2",
    )
    (tmp_path / "data.yaml").write_text("train: images\nnames: [dog]\nnc: 3\n")
    dataset = load_dataset(tmp_path)
    assert {p.line: p.kind for p in dataset.problems if p.line} == {
        3: "malformed line",
        4: "unknown class",
        5: "pixels where fractions are due",
        6: "zero-area box",
        7: "box outside",
        8: "box past border",
        9: "malformed line",
        11: "duplicate box",
        12: "malformed line",
    }
    assert count_problems(dataset.problems)["class count differs"] == 1
    assert [[round(float(v), 3) for v in row] for row in dataset.objects.xyxy] == [
        [10, 12, 30, 18],
        [34, 12, 40, 18],
        [4, 6, 20, 18],
        [10, 12, 30, 18],
    ]


def test_a_broken_yaml_says_where(tmp_path):
    (tmp_path / "data.yaml").write_text("train: [a\nnames: {\n")
    with pytest.raises(DataError, match="malformed") as caught:
        load_dataset(tmp_path / "data.yaml")
    assert caught.value.line is not None
    (tmp_path / "other.yaml").write_text("a: 1\n")
    with pytest.raises(DataError, match="train, val and names"):
        load_dataset(tmp_path / "other.yaml")
