"""Stanford Cars in its three layouts, with what users' copies do to it."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from detector.data import count_problems, load_dataset
from detector.data.formats.draft import boxes_ignored
from detector.data.formats.stanford_cars import find_stanford_cars
from detector.errors import DataError, InputError
from tests.detector.data.builders import encoded, exif, picture, pixels

NAMES = ["AM General Hummer SUV 2000", "Ram C/V Cargo Van Minivan 2012", "Acura RL Sedan 2012"]


def mats(folder, train, test=(), labelled_test=False, names=NAMES):
    """rows: (file, x1, y1, x2, y2, class)."""
    io = pytest.importorskip("scipy.io")
    folder.mkdir(parents=True, exist_ok=True)

    def table(rows, with_class):
        fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", *(["class"] if with_class else []), "fname"]
        out = np.zeros((1, len(rows)), dtype=[(f, "O") for f in fields])
        for k, (file, *numbers, class_id) in enumerate(rows):
            out[0, k] = (
                *(np.uint16([[n]]) for n in numbers),
                *([np.uint8([[class_id]])] if with_class else []),
                file,
            )
        return {"annotations": out}

    io.savemat(folder / "cars_train_annos.mat", table(train, True))
    if test:
        io.savemat(
            folder / ("cars_test_annos_withlabels.mat" if labelled_test else "cars_test_annos.mat"),
            table(test, labelled_test),
        )
    io.savemat(folder / "cars_meta.mat", {"class_names": np.array(names, object).reshape(1, -1)})


@pytest.fixture
def devkit(tmp_path):
    root = tmp_path / "cars"
    for name, size in (
        ("00001.jpg", (40, 30)),
        ("00002.jpg", (21, 11)),
        ("00004.jpg", (33, 50)),
        ("00009.jpg", (9, 9)),
    ):
        picture(root / "cars_train" / name, *size)
    picture(root / "cars_test" / "00001.jpg", 44, 22)
    rows = [
        ("00001.jpg", 1, 2, 40, 20, 3),
        ("00002.jpg", 5, 7, 26, 18, 1),
        ("00003.jpg", 1, 1, 9, 9, 1),
        ("00004.jpg", 2, 3, 60, 41, 2),
    ]
    mats(root / "devkit", rows, [("00001.jpg", 4, 5, 30, 21, 0)])
    return root


def test_devkit_boxes_are_matlabs_and_every_misfit_is_named(devkit):
    dataset = load_dataset(devkit)
    assert (
        dataset.format == "stanford_cars"
        and dataset.class_map.names == tuple(NAMES)
        and dataset.class_map.external_ids == (1, 2, 3)
    )
    assert dataset.sample_ids == ["train/00001.jpg", "train/00002.jpg", "train/00004.jpg", "test/00001.jpg"]
    assert dataset.splits == ["train", "train", "train", "test"] and dataset.labelled.tolist() == [
        True,
        False,
        True,
        False,
    ]
    assert dataset["train/00001.jpg"].annotations.xyxy.tolist() == [
        [0, 1, 40, 20]
    ]  # 1..40 covers all 40 columns
    assert dataset["train/00004.jpg"].annotations.xyxy.tolist() == [[1, 2, 33, 41]]
    assert dataset.objects.class_ids.tolist() == [2, 1]
    assert count_problems(dataset.problems) == {
        "unlisted image": 1,
        "missing image": 1,
        "already cropped": 1,
        "box past border": 1,
        "no annotation": 1,
    }
    assert "00003.jpg" in next(p.message for p in dataset.problems if p.kind == "missing image")


def test_classes_alone(devkit):
    dataset = load_dataset(devkit, boxes="ignore", split="train")
    assert boxes_ignored(dataset) and not boxes_ignored(load_dataset(devkit))
    assert dataset.objects.xyxy.tolist() == [[0, 0, 40, 30], [0, 0, 21, 11], [0, 0, 33, 50]]
    assert dataset.objects.class_ids.tolist() == [2, 0, 1] and dataset.labelled.all()
    cropped = next(p for p in dataset.problems if p.kind == "already cropped")
    assert "21x11" in cropped.message and not cropped.left_out
    assert (
        boxes_ignored(dataset.subset(np.array([1])))
        and dataset.fingerprint != load_dataset(devkit, split="train").fingerprint
    )


def test_labels_of_the_test_half_and_the_devkit_named_directly(devkit):
    mats(
        devkit / "devkit",
        [("00001.jpg", 1, 2, 40, 20, 3)],
        [("00001.jpg", 4, 5, 30, 21, 2)],
        labelled_test=True,
    )
    for path in (devkit, devkit / "devkit", devkit / "devkit" / "cars_meta.mat"):
        test = load_dataset(path, split="test")
        assert test.objects.class_ids.tolist() == [1] and test.objects.xyxy.tolist() == [[3, 4, 30, 21]], path
    moved = devkit.rename(devkit.with_name("elsewhere"))
    away = load_dataset(moved / "devkit", images=moved)
    assert len(away) == 2


def test_a_turned_picture_takes_its_box_along(tmp_path):
    root = tmp_path / "cars"
    (root / "cars_train").mkdir(parents=True)
    (root / "cars_train" / "00001.jpg").write_bytes(encoded(pixels(40, 30), "JPEG", exif=exif(6)))
    mats(root, [("00001.jpg", 1, 1, 10, 30, 1)])
    dataset = load_dataset(root)
    assert dataset[0].image_size == (30, 40) and dataset.objects.xyxy.tolist() == [[0, 0, 30, 10]]


def test_single_archive_with_its_test_column(tmp_path):
    io = pytest.importorskip("scipy.io")
    root = tmp_path / "cars"
    picture(root / "car_ims" / "000001.jpg", 40, 30)
    picture(root / "car_ims" / "000002.jpg", 40, 30)
    fields = ["relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test"]
    table = np.zeros((1, 2), dtype=[(f, "O") for f in fields])
    table[0, 0] = ("car_ims/000001.jpg", 2, 3, 20, 21, 1, 0)
    table[0, 1] = ("car_ims/000002.jpg", 4, 5, 30, 29, 3, 1)
    io.savemat(
        root / "cars_annos.mat", {"annotations": table, "class_names": np.array(NAMES, object).reshape(1, -1)}
    )
    dataset = load_dataset(root)
    assert dataset.sample_ids == ["train/000001.jpg", "test/000002.jpg"] and dataset.problems == ()
    assert dataset.objects.class_ids.tolist() == [0, 2] and dataset.objects.xyxy.tolist() == [
        [1, 2, 20, 21],
        [3, 4, 30, 29],
    ]


def kaggle(root, train, test=()):
    for split, rows in (("train", train), ("test", test)):
        with open(root / f"anno_{split}.csv", "w", newline="") as text:
            csv.writer(text).writerows(rows)
    (root / "names.csv").write_text("\n".join(NAMES) + "\n")


@pytest.mark.parametrize("inner", ["car_data/car_data", "car_data", ""])
def test_kaggle_folders_by_class_name(tmp_path, inner):
    picture(tmp_path / inner / "train" / "Acura RL Sedan 2012" / "00001.jpg", 40, 30)
    picture(tmp_path / inner / "train" / "Ram C-V Cargo Van Minivan 2012" / "00002.jpg", 31, 21)
    picture(tmp_path / inner / "test" / "AM General Hummer SUV 2000" / "00001.jpg", 44, 22)
    kaggle(
        tmp_path,
        [("00001.jpg", 2, 3, 20, 21, 3), ("00002.jpg", 1, 1, 31, 21, 2), ("00005.jpg", 1, 1, 2, 2, 1)],
        [("00001.jpg", 4, 5, 30, 21, 1)],
    )
    dataset = load_dataset(tmp_path)
    assert dataset.format == "stanford_cars" and dataset.sample_ids == [
        "train/00001.jpg",
        "train/00002.jpg",
        "test/00001.jpg",
    ]
    assert dataset.objects.class_ids.tolist() == [2, 1, 0] and count_problems(dataset.problems) == {
        "missing image": 1
    }
    assert dataset.objects.xyxy.tolist() == [[1, 2, 20, 21], [0, 0, 31, 21], [3, 4, 30, 21]]


def test_kaggle_oddities_are_named(tmp_path):
    picture(tmp_path / "train" / "Acura RL Sedan 2012" / "00001.jpg", 40, 30)
    picture(tmp_path / "train" / "Acura RL Sedan 2012" / "00002.jpg", 40, 30)
    rows = [
        ("Fname", "x1", "y1", "x2", "y2", "class"),
        ("00001.jpg", 2, 3, 20, 21, 1),
        ("00002.jpg", 2, 3, 20, 21, 9),
        ("00001.jpg", 2, 3, 20, 21, 3),
        ("x", 1),
    ]
    kaggle(tmp_path, rows)
    dataset = load_dataset(tmp_path)
    assert count_problems(dataset.problems) == {
        "malformed line": 1,
        "names another file": 1,
        "unknown class": 1,
        "duplicate id": 1,
    }
    assert dataset.labelled.tolist() == [True, False] and dataset.objects.class_ids.tolist() == [0]


def test_what_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected Stanford Cars"):
        load_dataset(tmp_path, format="stanford_cars")
    assert find_stanford_cars(tmp_path) is None
    with pytest.raises(InputError, match="keep, ignore"):
        load_dataset(tmp_path, boxes="none")
    pytest.importorskip("scipy.io")
    (tmp_path / "cars_train_annos.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(DataError, match="MATLAB 5 file") as caught:
        load_dataset(tmp_path)
    assert caught.value.path.endswith("cars_train_annos.mat")


def test_the_real_devkit_with_pictures_already_cut_out(shared):
    pytest.importorskip("scipy.io")
    root = shared / "data" / "stanford_cars_crops"
    dataset = load_dataset(root)
    assert len(dataset) == 216 and len(dataset.class_map) == 196 and not dataset.labelled.any()
    counts = count_problems(dataset.problems)
    assert (
        counts["missing image"] == 8144 - 216
        and counts["already cropped"] == 216
        and counts["missing image folder"] == 1
    )
    classes = load_dataset(root, boxes="ignore")
    assert len(classes.objects) == 216 and np.bincount(classes.objects.class_ids, minlength=196).max() == 24
    assert len(np.unique(classes.objects.class_ids)) == 9
