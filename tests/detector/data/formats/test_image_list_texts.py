"""LabelMe, Open Images and KITTI: boxes by hand, flags, names of classes, what is left out."""

import json

import numpy as np
import pytest
from PIL import Image

from detector import load_dataset
from detector.errors import DataError


def image(path, size=(100, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(path)


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def labelme(path, shapes, image_path):
    document = {"version": "5.0", "flags": {}, "shapes": shapes, "imagePath": image_path, "imageData": None}
    text(path, json.dumps(document | {"imageWidth": 100, "imageHeight": 80}))


@pytest.mark.parametrize(
    ("kind", "points", "box"),
    [
        ("rectangle", [[50, 60], [10, 20]], [10, 20, 50, 60]),
        ("polygon", [[10, 20], [40.5, 25], [30, 60]], [10, 20, 40.5, 60]),
        ("circle", [[40, 30], [43, 34]], [35, 25, 45, 35]),
    ],
)
def test_labelme_shapes_become_the_box_around_them(tmp_path, kind, points, box):
    image(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", [{"label": "cat", "points": points, "shape_type": kind}], "a.jpg")
    dataset = load_dataset(tmp_path)
    assert (dataset.format, dataset.sample_ids, dataset.problems) == ("labelme", ["a.jpg"], ())
    assert dataset.objects.xyxy.tolist() == [box]
    assert len(load_dataset(tmp_path / "a.json").objects) == 1


@pytest.mark.parametrize("written", ["..\\images\\a.jpg", "../images/a.jpg", "a.jpg", "C:\\me\\a.jpg"])
def test_labelme_in_a_folder_beside_the_images(tmp_path, written):
    image(tmp_path / "images" / "a.jpg")
    shape = {"label": "cat", "points": [[1, 2], [3, 5]], "shape_type": "rectangle"}
    labelme(tmp_path / "labels" / "a.json", [shape], written)
    dataset = load_dataset(tmp_path)
    assert dataset.files == [str(tmp_path / "images" / "a.jpg")] and not dataset.problems


def test_labelme_names_what_is_left_out(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        image(tmp_path / name)
    shapes = [
        {"label": "cat", "points": [[1, 2]], "shape_type": "point"},
        {"label": "cat", "points": "?", "shape_type": "rectangle"},
    ]
    labelme(tmp_path / "a.json", shapes, "a.jpg")
    labelme(tmp_path / "b.json", [], "b.jpg")
    text(tmp_path / "c.json", '{"shapes": [')
    dataset = load_dataset(tmp_path)
    kinds = sorted(problem.kind for problem in dataset.problems)
    assert kinds == ["malformed box", "no annotation", "not a box", "unreadable annotation"]
    assert dict(zip(dataset.sample_ids, dataset.labelled.tolist())) == {
        "a.jpg": True,
        "b.jpg": True,
        "c.jpg": False,
    }


HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction"
    ",IsInside"
)


def test_open_images_fractions_flags_and_names(tmp_path):
    image(tmp_path / "images" / "ab12.png")
    image(tmp_path / "images" / "cd34.jpg")
    text(
        tmp_path / "annotations" / "validation-annotations-bbox.csv",
        f"{HEADER}\nab12,x,/m/2,1,0.1,0.5,0.25,0.75,1,0,0,0,0\nab12,x,/m/1,1,0.2,0.3,0.5,1,0,1,1,0,0\n",
    )
    text(tmp_path / "annotations" / "class-descriptions-boxable.csv", "/m/1,Cat\n/m/2,Zebra\n")
    dataset = load_dataset(tmp_path)
    assert (dataset.format, dataset.class_map.names) == ("open_images", ("Cat", "Zebra"))
    assert dataset.sample_ids == ["ab12.png", "images/cd34.jpg"] and dataset.splits[0] == "val"
    np.testing.assert_allclose(dataset.objects.xyxy, [[10, 20, 50, 60], [20, 40, 30, 80]], atol=1e-4)
    objects = dataset.objects
    assert objects.class_ids.tolist() == [1, 0] and objects.crowd.tolist() == [False, True]
    assert objects.occluded.tolist() == [True, False] and objects.truncated.tolist() == [False, True]
    assert [problem.kind for problem in dataset.problems] == ["no annotation"]


def test_open_images_with_decimal_commas_and_names_with_endings(tmp_path):
    image(tmp_path / "a.jpg")
    text(
        tmp_path / "boxes.csv", f'{HEADER}\na.jpg,,cat,,"0,1","0,5","0,25","0,75",,,,,\n,,cat,,0,1,0,1,,,,,\n'
    )
    for path in (tmp_path, tmp_path / "boxes.csv"):
        dataset = load_dataset(path)
        np.testing.assert_allclose(dataset.objects.xyxy, [[10, 20, 50, 60]], atol=1e-4)
        assert [(p.kind, p.line) for p in dataset.problems] == [("malformed line", 3)]


REST = "-1 -1 -1 -1 -1 -1 -1"


def test_kitti_lines(tmp_path):
    image(tmp_path / "training" / "image_2" / "000007.png")
    text(
        tmp_path / "training" / "label_2" / "000007.txt",
        f"Car 0.00 0 -1.57 10.00 20.50 50.00 60.00 {REST}\nVan 0.30 2 0 1 2 3 5 {REST}\n"
        f"DontCare -1 -1 -10 5 5 9 9 {REST}\nCar 0 0 0 1 2\nCar 0 0 0 x 1 2 3 {REST}\n",
    )
    dataset = load_dataset(tmp_path)
    assert (dataset.format, dataset.sample_ids, dataset.splits) == ("kitti", ["000007.png"], ["train"])
    assert dataset.objects.xyxy.tolist() == [[10, 20.5, 50, 60], [1, 2, 3, 5]]
    assert dataset.objects.truncated.tolist() == dataset.objects.occluded.tolist() == [False, True]
    told = sorted((problem.kind, problem.line) for problem in dataset.problems)
    assert told == [("malformed box", 5), ("malformed line", 4), ("not a box", 3)]


def test_kitti_folders_of_splits_may_use_one_name(tmp_path):
    for split, size in (("train", (100, 80)), ("val", (60, 40))):
        image(tmp_path / "image_2" / split / "000000.png", size)
        text(tmp_path / "label_2" / split / "000000.txt", f"Car 0 0 0 1 2 3 5 {REST}\n")
    dataset = load_dataset(tmp_path)
    assert dataset.splits == ["train", "val"] and dataset.sizes.tolist() == [[100, 80], [60, 40]]
    assert load_dataset(tmp_path, images=tmp_path / "image_2").sizes.tolist() == [[100, 80], [60, 40]]


@pytest.mark.parametrize("format", ["cvat", "createml", "labelme", "open_images", "kitti"])
def test_a_format_that_is_not_there_is_refused_by_name(tmp_path, format):
    image(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="there is none"):
        load_dataset(tmp_path, format=format)
