"""The UIUC car database: row before column, windows over the border, lines that do not parse, patches."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from detector.data import count_problems, load_dataset
from detector.data.formats.uiuc import read_patches, read_uiuc, whole_windows
from detector.errors import DataError, InputError


def pgm(path, width: int, height: int, value: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width), value, np.uint8))


def database(root, single: str = "", multi: str = "", images: int = 2):
    for part, name, text in (
        ("TestImages", "trueLocations.txt", single),
        ("TestImages_Scale", "trueLocations_Scale.txt", multi),
    ):
        if text:
            for i in range(images):
                pgm(root / "CarData" / part / f"test-{i}.pgm", 230, 170)
            (root / "CarData" / name).write_text(text)
    return root


def test_rows_come_before_columns(tmp_path):
    dataset = load_dataset(database(tmp_path, "0: (20,61) (100,7)\n1: (3,4)\n", "0: (30,50,150)\n1:\n\n"))
    assert dataset.format == "uiuc" and dataset.class_map.names == ("car",)
    assert dataset.sample_ids == [
        "TestImages/test-0",
        "TestImages/test-1",
        "TestImages_Scale/test-0",
        "TestImages_Scale/test-1",
    ]
    assert dataset["TestImages/test-0"].annotations.xyxy.tolist() == [[61, 20, 161, 60], [7, 100, 107, 140]]
    assert dataset["TestImages_Scale/test-0"].annotations.xyxy.tolist() == [
        [50, 30, 200, 90]
    ]  # 150 wide, 0.4 of it high
    assert len(dataset["TestImages_Scale/test-1"].annotations) == 0 and dataset.labelled.all()
    assert not dataset.problems and not dataset.objects.truncated.any()
    assert dataset.splits == ["single_scale"] * 2 + ["multi_scale"] * 2
    assert len(load_dataset(tmp_path, split="multi_scale")) == 2
    with pytest.raises(InputError, match="single_scale"):
        load_dataset(tmp_path, split="train")


def test_windows_over_the_border_are_clipped_and_kept_whole_for_the_rule(tmp_path):
    root = database(tmp_path, "0: (-5,-30) (150,20)\n1: (10,10)\n")
    dataset = read_uiuc(root / "CarData")
    assert dataset[0].annotations.xyxy.tolist() == [[0, 0, 70, 35], [20, 150, 120, 170]]
    assert dataset.objects.truncated.tolist() == [True, True, False]
    assert count_problems(dataset.problems) == {"box past border": 2}
    assert (
        "trueLocations.txt:1: window 1: expected a box in the image of 230x170, got [-30, -5, 70, 35]"
        in str(dataset.problems[0])
    )
    assert whole_windows(root, "single_scale")["TestImages/test-0"].tolist() == [
        [-30, -5, 70, 35],
        [20, 150, 120, 190],
    ]
    with pytest.raises(DataError, match="single_scale, multi_scale, got 'train'"):
        whole_windows(root, "train")


def test_lines_that_do_not_parse_leave_their_image_unlabelled(tmp_path):
    dataset = read_uiuc(
        database(tmp_path, "0: (20,61\n1: (3,4,100)\n2: (1,2)\n2: (5,6)\nhello\n3: (1,x)\n", images=4)
    )
    assert [p.line for p in dataset.problems if p.kind == "malformed line"] == [1, 2, 5, 6]
    assert dataset.labelled.tolist() == [False, False, True, False] and dataset[
        2
    ].annotations.xyxy.tolist() == [[2, 1, 102, 41]]
    assert dataset[0].annotations is None
    assert count_problems(dataset.problems) == {"malformed line": 4, "no annotation": 3, "duplicate id": 1}
    assert "expected '12: (row, column) ...', got '1: (3,4,100)'" in str(dataset.problems[1])


def test_a_width_is_needed_with_scale_and_must_be_positive(tmp_path):
    dataset = read_uiuc(database(tmp_path, multi="0: (20,61)\n1: (20,61,0)\n"))
    assert not dataset.labelled.any() and count_problems(dataset.problems)["malformed line"] == 2


def test_pictures_and_lines_without_each_other_are_named(tmp_path):
    root = database(tmp_path, "1: (1,2)\n7: (1,2)\n")
    (root / "CarData" / "TestImages" / "test-0.pgm").write_bytes(b"P5 no")
    dataset = read_uiuc(root)
    assert dataset.sample_ids == [
        f"TestImages/test-{i}" for i in (0, 1, 7)
    ] and dataset.labelled.tolist() == [False, True, True]
    kinds = count_problems(dataset.problems)
    assert kinds["missing image"] == 1 and kinds["unreadable image"] == 1 and kinds["no annotation"] == 1


def test_without_locations_there_is_no_database(tmp_path):
    pgm(tmp_path / "TestImages" / "test-0.pgm", 50, 40)
    with pytest.raises(DataError, match=r"TestImages/ with trueLocations\.txt"):
        read_uiuc(tmp_path)
    assert load_dataset(tmp_path).format == "folder"


def test_patches_of_the_database_and_of_two_folders(tmp_path):
    for i in range(2):
        pgm(tmp_path / "db" / "TrainImages" / f"pos-{i}.pgm", 30, 20, 10 + i)
    pgm(tmp_path / "db" / "TrainImages" / "neg-0.pgm", 30, 20, 99)
    images, labels, problems = read_patches(tmp_path / "db")
    assert (
        images.shape == (3, 20, 30)
        and images[:, 0, 0].tolist() == [10, 11, 99]
        and labels.tolist() == [1, 1, 0]
        and not problems
    )
    pgm(tmp_path / "own" / "Positive" / "a.png", 30, 20)
    pgm(tmp_path / "own" / "negative" / "b.png", 30, 20)
    (tmp_path / "own" / "negative" / "c.png").write_bytes(b"torn")
    (tmp_path / "own" / "negative" / "notes.txt").write_text("x")
    images, labels, problems = read_patches(tmp_path / "own")
    assert labels.tolist() == [1, 0] and [p.kind for p in problems] == ["unreadable image"]
    pgm(tmp_path / "own" / "negative" / "d.png", 31, 20)
    with pytest.raises(
        DataError, match=r"d\.png: expected patches of one size, 30x20 so far, this one is 31x20"
    ):
        read_patches(tmp_path / "own")
    with pytest.raises(DataError, match=r"expected positive \(object\) patches"):
        read_patches(tmp_path / "nowhere")


def test_the_real_database(shared):
    dataset = load_dataset(shared / "data" / "uiuc_cars")
    single, multi = dataset.split("single_scale"), dataset.split("multi_scale")
    assert (len(single), len(single.objects), len(multi), len(multi.objects)) == (170, 200, 108, 139)
    assert (int(single.objects.truncated.sum()), int(multi.objects.truncated.sum())) == (18, 20)
    assert count_problems(dataset.problems) == {"box past border": 38}
    assert np.bincount(np.bincount(single.objects.rows)).tolist() == [0, 142, 26, 2]
    images, labels, problems = read_patches(shared / "data" / "uiuc_cars")
    assert images.shape == (1050, 40, 100) and int(labels.sum()) == 550 and not problems
