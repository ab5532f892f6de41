"""COCO json: everything kept, every oddity named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from detector.data import count_problems, load_dataset
from detector.errors import DataError, InputError
from tests.detector.data.builders import coco_json, exif, kinds, picture

IMAGES = [
    {"id": 7, "file_name": "a.jpg", "width": 40, "height": 30},
    {"id": 9, "file_name": "b.jpg", "width": 20, "height": 50},
]
BOXES = [
    {
        "id": 1,
        "image_id": 9,
        "category_id": 18,
        "bbox": [1, 2, 3.5, 4],
        "area": 9,
        "iscrowd": 0,
        "segmentation": [[1, 2, 3, 4, 5, 6]],
    },
    {
        "id": 2,
        "image_id": 7,
        "category_id": 3,
        "bbox": [5, 6, 7, 8],
        "area": 20,
        "iscrowd": 1,
        "segmentation": {"counts": [1, 2], "size": [30, 40]},
    },
    {
        "id": 5,
        "image_id": 9,
        "category_id": 3,
        "bbox": [0, 0, 20, 50],
        "difficult": True,
        "attributes": {"occluded": True},
    },
]


def folder(tmp_path, **more):
    picture(tmp_path / "val2017" / "a.jpg", 40, 30)
    picture(tmp_path / "val2017" / "b.jpg", 20, 50)
    return coco_json(tmp_path / "annotations" / "instances_val2017.json", IMAGES, BOXES, **more)


def test_a_json_with_its_folder(tmp_path):
    file = folder(tmp_path)
    for path in (file, tmp_path):
        dataset = load_dataset(path)
        assert (
            dataset.sample_ids == ["7", "9"] and dataset.splits == ["val", "val"] and dataset.problems == ()
        )
        assert dataset.class_map.names == ("car", "dog") and dataset.class_map.external_ids == (3, 18)
        truth = dataset["9"].annotations
        assert truth.xyxy.tolist() == [[1, 2, 4.5, 6], [0, 0, 20, 50]] and truth.class_ids.tolist() == [1, 0]
        assert truth.ids.tolist() == [1, 5] and truth.area[0] == 9 and np.isnan(truth.area[1])
        assert truth.difficult.tolist() == [False, True] and truth.occluded.tolist() == [False, True]
        assert dataset["7"].annotations.crowd.tolist() == [True]
        assert dataset["7"].load().shape == (30, 40, 3)


def test_empty_lists_are_a_data_set_of_nothing(tmp_path):
    dataset = load_dataset(coco_json(tmp_path / "x.json", [], []))
    assert len(dataset) == 0 and len(dataset.objects) == 0 and dataset.problems == ()
    labelled = load_dataset(coco_json(tmp_path / "y.json", IMAGES, []))
    assert (
        labelled.labelled.all()
        and len(labelled["7"].annotations) == 0
        and kinds(labelled) == ["missing image folder"]
    )


def test_a_list_of_test_images_is_not_labelled(tmp_path):
    file = tmp_path / "image_info_test-dev2017.json"
    file.write_text(json.dumps({"images": IMAGES, "categories": [{"id": 1, "name": "dog"}]}))
    dataset = load_dataset(file)
    assert (
        dataset["7"].annotations is None and not dataset.labelled.any() and dataset.splits == ["test", "test"]
    )


def test_every_oddity_is_named_and_stops_nothing_else(tmp_path):
    picture(tmp_path / "images" / "a.jpg", 40, 30)
    (tmp_path / "images" / "spare.jpg").write_bytes((tmp_path / "images" / "a.jpg").read_bytes())
    rows = [
        {"id": 0, "image_id": 7, "category_id": 3, "bbox": [1, 1, 5, 5]},
        {"id": 4, "image_id": 7, "category_id": 99, "bbox": [1, 1, 5, 5]},
        {"id": 5, "image_id": 8, "category_id": 3, "bbox": [1, 1, 5, 5]},
        {"id": 6, "image_id": 7, "category_id": 3, "bbox": [1, 1, 0, 5]},
        {"id": 6, "image_id": 7, "category_id": 3, "bbox": [30, 1, 20, 5]},
        {"id": 8, "image_id": 7, "category_id": 3, "bbox": "nonsense"},
        {"id": 9, "image_id": 7, "category_id": 3, "bbox": [41, 1, 5, 5]},
        {"image_id": 7, "category_id": 3, "bbox": ["2", "3", "4", "5"]},
    ]
    images = [IMAGES[0], {**IMAGES[0], "file_name": "again.jpg"}, IMAGES[1]]
    names = [{"id": 3, "name": "car"}, {"id": 4, "name": "Car "}, {"id": 5, "name": "car"}]
    coco_json(tmp_path / "annotations" / "instances.json", images, rows, names)
    dataset = load_dataset(tmp_path)
    assert count_problems(dataset.problems) == {
        "duplicate id": 2,
        "duplicate class name": 1,
        "similar class names": 1,
        "unknown class": 1,
        "unknown image": 1,
        "annotation id 0": 1,
        "unlisted image": 1,
        "missing image": 1,
        "malformed box": 1,
        "zero-area box": 1,
        "box outside": 1,
        "box past border": 1,
    }
    truth = dataset["7"].annotations
    assert truth.xyxy.tolist() == [[1, 1, 6, 6], [30, 1, 40, 6], [2, 3, 6, 8]]
    assert truth.ids[0] == 0 and len(set(truth.ids.tolist())) == 3
    said = {p.kind: p for p in dataset.problems}
    assert (
        "annotation 9" in said["box outside"].message
        and said["box outside"].sample_id == "7"
        and said["box outside"].left_out
    )
    assert said["missing image"].sample_id == "9" and not said["missing image"].left_out
    assert dataset.class_map.names == ("car", "Car")


def test_entries_that_are_no_image_and_no_annotation_are_named(tmp_path):
    file = tmp_path / "x.json"
    rows = [{**BOXES[1], "segmentation": []}, {"id": 3, "bbox": [1, 1, 5, 5]}, {}, None, 5]
    file.write_text(
        json.dumps(
            {"images": [IMAGES[0], {"id": 1}], "annotations": rows, "categories": [{"id": 3, "name": "car"}]}
        )
    )
    dataset = load_dataset(file)
    said = [p.message for p in dataset.problems if p.kind in ("malformed image", "malformed annotation")]
    assert count_problems(dataset.problems) == {
        "malformed annotation": 4,
        "malformed image": 1,
        "missing image folder": 1,
    }
    assert len(dataset) == len(dataset.objects) == 1 and all(
        p.left_out and p.path == str(file) for p in dataset.problems[:5]
    )
    assert (
        'got {"id": 1} at place 1 in images' in said[0]
        and 'got {"id": 3, "bbox": [1, 1, 5, 5]} at place 1 in annotations' in said[1]
        and "got null in annotations" in said[4]
    )


def test_a_box_that_is_no_four_numbers_is_told_as_the_file_has_it(tmp_path):
    picture(tmp_path / "a.jpg", 40, 30)
    boxes = [["a", 50, 100, 100], [50, 50, 100], None, [1, 2, 3, 4]]
    rows = [{"id": 9, "image_id": 8, "category_id": 3, "bbox": "lost"}] + [
        {"id": k + 1, "image_id": 7, "category_id": 3, "bbox": box} for k, box in enumerate(boxes)
    ]
    dataset = load_dataset(
        coco_json(tmp_path / "x.json", IMAGES[:1], [*rows, {"id": 5, "image_id": 7, "category_id": 3}])
    )
    got = [p.message.split("got ")[1] for p in dataset.problems if p.kind == "malformed box"]
    assert (
        got
        == [
            f"{text}; the box is left out."
            for text in ('["a", 50, 100, 100]', "[50, 50, 100]", "null", "no bbox")
        ]
        and len(dataset.objects) == 1
    )


def test_splits_of_several_files_and_clashing_image_ids(tmp_path):
    for split, name in (("train", "a"), ("valid", "b")):
        picture(tmp_path / split / f"{name}.jpg", 40, 30)
        categories = [{"id": 0, "name": "dog" if split == "train" else "cat"}]
        coco_json(
            tmp_path / split / "_annotations.coco.json",
            [{"id": 0, "file_name": f"{name}.jpg", "width": 40, "height": 30}],
            [{"id": 3, "image_id": 0, "category_id": 0, "bbox": [1, 1, 9, 9]}],
            categories,
        )
    dataset = load_dataset(tmp_path)
    assert dataset.sample_ids == ["train/0", "val/0"] and dataset.splits == ["train", "val"]
    assert dataset.class_map.names == ("dog", "cat") and kinds(dataset) == ["category ids differ"]
    assert (
        dataset["val/0"].annotations.class_ids.tolist() == [1] and len(set(dataset.objects.ids.tolist())) == 2
    )
    only = load_dataset(tmp_path, split="val")
    assert only.sample_ids == ["0"] and only.class_map.names == ("cat",)
    with pytest.raises(InputError, match="no split 'test'; it has train, val"):
        load_dataset(tmp_path, split="test")


def test_what_is_not_coco_says_what_it_is(tmp_path):
    cases = {
        "results.json": (
            '[{"image_id": 1, "category_id": 1, "bbox": [1,2,3,4], "score": 0.5}]',
            "this is a list; detections",
        ),
        "broken.json": ('{"images": [\n {"id": 1,\n', "breaks off"),
        "other.json": ('{"a": 1}', "found a"),
        "empty.json": ("", "breaks off"),
    }
    for name, (text, words) in cases.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=words) as caught:
            load_dataset(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(DataError) as caught:
        load_dataset(tmp_path / "broken.json")
    assert caught.value.line == 3


def test_normalised_boxes_are_noticed_and_scaled(tmp_path):
    picture(tmp_path / "a.jpg", 40, 30)
    file = coco_json(
        tmp_path / "x.json",
        IMAGES[:1],
        [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [0.25, 0.5, 0.5, 0.25]}],
    )
    dataset = load_dataset(file)
    assert kinds(dataset) == ["normalised box"] and dataset.objects.xyxy.tolist() == [[10, 15, 30, 22.5]]


def test_boxes_of_a_turned_photo_follow_it(tmp_path):
    picture(tmp_path / "a.jpg", 40, 30, exif=exif(6))
    stored = load_dataset(
        coco_json(
            tmp_path / "x.json",
            IMAGES[:1],
            [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [2, 3, 5, 7]}],
        )
    )
    assert kinds(stored) == ["annotated unrotated"] and stored["7"].image_size == (30, 40)
    assert stored.objects.xyxy.tolist() == [[20, 2, 27, 7]]  # 90 degrees clockwise: x = 30 - y
    upright = [{**IMAGES[0], "width": 30, "height": 40}]
    same = load_dataset(
        coco_json(
            tmp_path / "y.json", upright, [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [2, 3, 5, 7]}]
        )
    )
    assert kinds(same) == [] and same.objects.xyxy.tolist() == [[2, 3, 7, 10]]


def test_outlines_are_cut_out_before_parsing_without_touching_anything_else(tmp_path):
    from detector.data.formats.coco_json import _OUTLINES

    tricky = {
        "images": [{"id": 1, "file_name": 'x"segmentation": [[1]].jpg', "width": 4, "height": 5}],
        "annotations": [
            {
                "segmentation": [[1.5, -2e3], [3, 4]],
                "id": 1,
                "bbox": [0, 0, 2, 2],
                "image_id": 1,
                "category_id": 1,
            },
            {"segmentation": [], "counts": [5]},
        ],
        "categories": [],
    }
    for indent in (None, 2):
        stripped = json.loads(_OUTLINES.sub(b'"outline":0', json.dumps(tricky, indent=indent).encode()))
        assert stripped["images"] == tricky["images"] and stripped["annotations"][0]["bbox"] == [0, 0, 2, 2]
        assert stripped["annotations"] == [
            {"outline": 0, "id": 1, "bbox": [0, 0, 2, 2], "image_id": 1, "category_id": 1},
            {"outline": 0},
        ]


def test_limit_takes_the_first_samples_with_their_objects(tmp_path):
    dataset = load_dataset(folder(tmp_path), limit=1)
    assert dataset.sample_ids == ["7"] and dataset.objects.ids.tolist() == [2]
    with pytest.raises(InputError, match="limit"):
        load_dataset(tmp_path, limit=0)


def test_images_argument_and_missing_folder(tmp_path):
    file = folder(tmp_path / "one")
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "elsewhere" / "pictures"
    (tmp_path / "one" / "val2017").rename(moved)
    assert kinds(load_dataset(file)) == ["missing image folder"]
    assert load_dataset(file, images=moved)["7"].load().shape == (30, 40, 3)
