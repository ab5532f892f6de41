"""Labelled data that was once misread in silence: each input is read right, or what was not read is named."""

import json

import numpy as np
import pytest
from PIL import Image

from detector import load_dataset
from detector.data.label_map import read_label_map


def image(path, size=(100, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(path)


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_a_relative_path_in_a_yaml_counts_from_its_file(tmp_path, monkeypatch):
    for name, count in (("cars", 2), ("birds", 3)):
        for k in range(count):
            image(tmp_path / name / "images" / f"{k}.png")
            text(tmp_path / name / "labels" / f"{k}.txt", "0 .5 .5 .2 .2\n")
        text(tmp_path / name / "data.yaml", f"path: .\ntrain: images\nnames: [{name}]\n")
    monkeypatch.chdir(tmp_path / "birds")
    assert len(load_dataset("../cars")) == 2


def test_an_empty_line_of_classes_txt_shifts_nothing(tmp_path):
    image(tmp_path / "images" / "b.png")
    text(tmp_path / "labels" / "b.txt", "2 .5 .5 .2 .2\n")
    text(tmp_path / "classes.txt", "car\n\nvan\n\n")
    dataset = load_dataset(tmp_path)
    assert dataset.class_map.names == ("car", "class 1", "van")
    assert dataset.objects.class_ids.tolist() == [2]


def test_pose_lines_keep_their_box(tmp_path):
    image(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "0 .3 .5 .4 .5 .1 .2 .9 .9\n")
    text(tmp_path / "data.yaml", "train: images\nkpt_shape: [2, 2]\nnames: [plate]\n")
    assert load_dataset(tmp_path).objects.xyxy.tolist() == [[10, 20, 50, 60]]


def test_a_folder_called_images_below_images(tmp_path):
    image(tmp_path / "images" / "train" / "site" / "images" / "n.png")
    text(tmp_path / "labels" / "train" / "site" / "images" / "n.txt", "0 .5 .5 .2 .2\n")
    text(tmp_path / "data.yaml", "train: images/train\nnames: [duck]\n")
    assert load_dataset(tmp_path).labelled.tolist() == [True]


@pytest.mark.parametrize("written", ["0", 0.0, 0])
def test_category_ids_as_text_or_float(tmp_path, written):
    image(tmp_path / "images" / "a.png")
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}],
        "categories": [{"id": 0, "name": "caption"}, {"id": 1, "name": "text"}],
        "annotations": [{"id": 5, "image_id": 1, "category_id": written, "bbox": [1, 2, 3, 4]}],
        "info": {"padding": " " * 200_000},
    }
    text(tmp_path / "set.json", json.dumps(document))
    dataset = load_dataset(tmp_path)
    assert (dataset.format, dataset.objects.class_ids.tolist()) == ("coco", [0])


def test_xml_of_no_known_layout_is_named_and_not_taken_for_voc(tmp_path):
    image(tmp_path / "images" / "f.png")
    text(tmp_path / "dump.xml", "<dataset><image name='f.png'/></dataset>")
    (problem,) = load_dataset(tmp_path).problems
    assert problem.kind == "annotation file not read" and "dump.xml" in problem.path


@pytest.mark.parametrize(
    ("lines", "names", "ids"),
    [
        ("2 euro\n50 cent\n", ("2 euro", "50 cent"), (0, 1)),
        ("1 cent\n5 cent\n", ("1 cent", "5 cent"), (0, 1)),
        ("0 car\n4 van\n", ("car", "van"), (0, 4)),
        ("0 car\n1 van\n", ("car", "van"), (0, 1)),
        ("1 car\n2 van\n", ("car", "van"), (1, 2)),
        ("3: car\n7: van\n", ("car", "van"), (3, 7)),
    ],
)
def test_numbers_in_a_list_of_names(tmp_path, lines, names, ids):
    text(tmp_path / "labels.txt", lines)
    classes = read_label_map(tmp_path / "labels.txt")
    assert (classes.names, classes.external_ids) == (names, ids)
