"""The TF tutorials' CSV and its variants."""

from __future__ import annotations

import pytest

from detector.data import load_dataset
from detector.errors import DataError
from tests.detector.data.builders import kinds, picture

HEAD = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


def test_a_table_with_pictures_beside_it(tmp_path):
    picture(tmp_path / "images" / "a.jpg", 40, 30)
    picture(tmp_path / "images" / "b.jpg", 20, 10)
    (tmp_path / "train_labels.csv").write_text(
        HEAD + "a.jpg,40,30,dog,1,1,40,30\n\na.jpg,40,30,car,5,6,9,12\nb.jpg,20,10,,,,,\n"
    )
    for path in (tmp_path, tmp_path / "train_labels.csv"):
        dataset = load_dataset(path)
        assert (
            dataset.format == "csv"
            and dataset.sample_ids == ["a.jpg", "b.jpg"]
            and dataset.splits == ["train", "train"]
        )
        assert dataset["a.jpg"].annotations.xyxy.tolist() == [
            [0, 0, 40, 30],
            [4, 5, 9, 12],
        ] and dataset.class_map.names == ("car", "dog")
        assert len(dataset["b.jpg"].annotations) == 0 and dataset.problems == ()


def test_other_column_names_orders_and_separators(tmp_path):
    picture(tmp_path / "data" / "pictures" / "a.jpg", 40, 30)
    (tmp_path / "data" / "boxes.csv").write_text(
        "﻿Image_Name;cell_type;xmin;xmax;ymin;ymax\na.jpg;RBC;5;9;6;12\n", encoding="utf-8"
    )
    dataset = load_dataset(tmp_path / "data" / "boxes.csv")
    assert dataset.objects.xyxy.tolist() == [[4, 5, 9, 12]] and dataset["a.jpg"].image_size == (40, 30)


def test_several_tables_are_splits_and_the_one_of_both_is_left_aside(tmp_path):
    for name in "ab":
        picture(tmp_path / f"{name}.jpg", 40, 30)
    (tmp_path / "all.csv").write_text(HEAD + "a.jpg,40,30,dog,1,1,4,3\nb.jpg,40,30,dog,1,1,4,3\n")
    (tmp_path / "train.csv").write_text(HEAD + "a.jpg,40,30,dog,1,1,4,3\n")
    (tmp_path / "test.csv").write_text(HEAD + "b.jpg,40,30,dog,1,1,4,3\n")
    dataset = load_dataset(tmp_path)
    assert (
        dict(zip(dataset.sample_ids, dataset.splits)) == {"b.jpg": "test", "a.jpg": "train"}
        and len(dataset.objects) == 2
    )


def test_problems_have_their_line(tmp_path):
    picture(tmp_path / "a.jpg", 40, 30)
    rows = [
        "a.jpg,80,60,dog,1,1,4,3",
        "a.jpg,40,30,dog,9,1,4,3",
        "a.jpg,80,60,dog,one,1,4,3",
        "a.jpg,80,60,,1,1,4,3",
        ",80,60,dog,1,1,4,3",
        "b.jpg,40,30,Dog,1,1,4,3",
        "a.jpg,80,60",
    ]
    (tmp_path / "labels.csv").write_text(HEAD + "\n".join(rows) + "\n")
    dataset = load_dataset(tmp_path / "labels.csv")
    assert sorted((p.line or 0, p.kind) for p in dataset.problems) == [
        (0, "similar class names"),
        (2, "wrong size"),
        (3, "reversed box"),
        (3, "wrong size"),
        (4, "malformed box"),
        (5, "unknown class"),
        (6, "malformed line"),
        (7, "missing image"),
    ]
    assert "similar class names" in kinds(dataset) and len(dataset.objects) == 2


def test_a_table_without_the_columns_says_which(tmp_path):
    (tmp_path / "x.csv").write_text("filename,xmin,ymin\na.jpg,1,2\n")
    with pytest.raises(DataError, match="missing: class, xmax, ymax"):
        load_dataset(tmp_path / "x.csv")


def test_pictures_cut_out_along_their_box_are_named_and_their_class_can_be_had(tmp_path):
    picture(tmp_path / "a.jpg", 20, 11)
    picture(tmp_path / "b.jpg", 40, 30)
    (tmp_path / "t.csv").write_text(
        "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,0,0,car,5,7,25,18\nb.jpg,0,0,bus,5,7,25,18\n"
    )
    dataset = load_dataset(tmp_path)
    assert (
        kinds(dataset) == ["already cropped"]
        and dataset.problems[0].line == 2
        and dataset.labelled.tolist() == [False, True]
    )
    assert dataset.objects.xyxy.tolist() == [[4, 6, 25, 18]] and dataset.objects.rows.tolist() == [1]
    classes = load_dataset(tmp_path, boxes="ignore")
    assert classes.objects.xyxy.tolist() == [[0, 0, 20, 11], [0, 0, 40, 30]] and kinds(classes) == [
        "already cropped",
        "boxes ignored",
    ]
