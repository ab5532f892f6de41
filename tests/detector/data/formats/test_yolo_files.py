"""YOLO's paths: darknet folders, lists and yaml of another machine, labels away from their images."""

import numpy as np
import pytest
from PIL import Image

from detector import load_dataset
from detector.errors import DataError

LABEL = "1 .5 .5 .2 .5\n"


def image(path, size=(100, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(path)


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())


def darknet(root, train="data/obj_train_data/b.PNG\ndata/obj_train_data/a.PNG\n"):
    for name in "ab":
        image(root / "obj_train_data" / f"{name}.PNG")
    text(root / "obj_train_data" / "a.txt", LABEL)
    text(root / "obj_train_data" / "b.txt", "")
    text(root / "obj.names", "car\nvan\n")
    text(root / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    text(root / "train.txt", train)


@pytest.mark.parametrize("named", ["", "obj.data"])
def test_darknet_folder_with_paths_that_begin_with_data(tmp_path, named):
    darknet(tmp_path)
    dataset = load_dataset(tmp_path / named)
    assert (dataset.format, dataset.class_map.names) == ("yolo", ("car", "van"))
    assert dataset.sample_ids == ["obj_train_data/b.PNG", "obj_train_data/a.PNG"]
    assert dataset.splits == ["train", "train"] and dataset.labelled.all() and not dataset.problems
    assert dataset.objects.class_ids.tolist() == [1]
    np.testing.assert_allclose(dataset.objects.xyxy, [[40, 20, 60, 60]])


def test_darknet_folder_whose_images_are_elsewhere_keeps_the_lists_splits(tmp_path):
    darknet(tmp_path / "set", "data/obj_train_data/a.PNG\n")
    for name in "ab":
        (tmp_path / "set" / "obj_train_data" / f"{name}.PNG").rename(tmp_path / f"{name}.PNG")
    dataset = load_dataset(tmp_path / "set", images=tmp_path)
    assert dict(zip(dataset.sample_ids, dataset.splits)) == {"a.PNG": "train", "b.PNG": "train"}
    assert len(dataset.objects) == 1 and dataset.labelled.all()


def test_darknet_folder_without_images_names_them_as_missing(tmp_path):
    darknet(tmp_path)
    for name in "ab":
        (tmp_path / "obj_train_data" / f"{name}.PNG").unlink()
    dataset = load_dataset(tmp_path)
    assert dataset.labelled.tolist() == [True, True]
    assert "missing image folder" in {problem.kind for problem in dataset.problems}


def test_images_and_labels_in_data_beside_the_names(tmp_path):  # FiftyOne's YOLOv4
    image(tmp_path / "data" / "x.jpg")
    text(tmp_path / "data" / "x.txt", LABEL)
    text(tmp_path / "obj.names", "car\nvan\n")
    text(tmp_path / "images.txt", "data/x.jpg\n")
    dataset = load_dataset(tmp_path)
    assert (dataset.format, len(dataset), dataset.objects.class_ids.tolist()) == ("yolo", 1, [1])
    assert dataset.class_map.names == ("car", "van")


def test_split_folders_with_labels_beside_images(tmp_path):  # Roboflow's darknet
    for split in ("train", "valid"):
        image(tmp_path / split / "x.jpg")
        text(tmp_path / split / "x.txt", LABEL)
        text(tmp_path / split / "_darknet.labels", "car\nvan\n")
    dataset = load_dataset(tmp_path)
    assert (dataset.format, sorted(dataset.splits), len(dataset.objects)) == ("yolo", ["train", "val"], 2)
    assert dataset.class_map.names == ("car", "van")


def test_texts_of_words_beside_images_are_not_labels(tmp_path):
    image(tmp_path / "train" / "x.jpg")
    text(tmp_path / "train" / "x.txt", "a street in the rain\n")
    assert load_dataset(tmp_path).format == "folder"


@pytest.mark.parametrize(
    "listed",
    [
        "H:\\sets\\irob\\images\\a.jpg",
        ".\\images\\a.jpg",
        "/home/me/irob/images/a.jpg",
        "D:/pics/a.jpg",
        "a.jpg",
    ],
)
def test_a_list_with_paths_of_another_machine(tmp_path, listed):
    image(tmp_path / "images" / "a.jpg")
    text(tmp_path / "labels" / "a.txt", "0 .5 .5 .2 .5\n")
    text(tmp_path / "train.txt", f"{listed}\r\n\r\n")
    text(tmp_path / "data.yaml", "train: train.txt\nval: train.txt\nnames: [car]\n")
    dataset = load_dataset(tmp_path)
    assert (dataset.sample_ids, dataset.splits, len(dataset.objects)) == (["images/a.jpg"], ["train"], 1)


def test_a_base_name_that_lies_in_two_folders_is_not_guessed(tmp_path):
    for folder in ("one", "two"):
        image(tmp_path / folder / "a.jpg")
    text(tmp_path / "train.txt", "/elsewhere/a.jpg\n")
    text(tmp_path / "data.yaml", "train: train.txt\nnames: [car]\n")
    assert "missing image folder" in {problem.kind for problem in load_dataset(tmp_path).problems}


@pytest.mark.parametrize("written", ["C:\\Users\\me\\data\\{}\\images", "..\\{}\\images", "/mnt/x/{}/images"])
def test_a_yaml_with_folders_of_another_machine(tmp_path, written):
    for split in ("train", "valid"):
        image(tmp_path / split / "images" / "a.jpg")
        text(tmp_path / split / "labels" / "a.txt", "0 .5 .5 .2 .5\n")
    entries = f"train: {written.format('train')}\nval: {written.format('valid')}\n"
    text(tmp_path / "data.yaml", f"{entries}names: [car]\n")
    dataset = load_dataset(tmp_path)
    assert dict(zip(dataset.sample_ids, dataset.splits)) == {
        "train/images/a.jpg": "train",
        "valid/images/a.jpg": "val",
    }


def test_splits_of_another_machine_are_not_both_taken_from_one_folder(tmp_path):
    image(tmp_path / "images" / "a.jpg")
    text(tmp_path / "data.yaml", "train: /mnt/train/images\nval: /mnt/valid/images\nnames: [car]\n")
    with pytest.raises(DataError, match="/mnt/valid/images"):
        load_dataset(tmp_path)


def test_a_yaml_that_points_nowhere_says_what_and_where(tmp_path):
    image(tmp_path / "images" / "a.jpg")
    text(tmp_path / "data.yaml", "path: ../sets/birds\ntrain: images/train\nnames: [duck]\n")
    with pytest.raises(DataError) as caught:
        load_dataset(tmp_path)
    message = str(caught.value)
    assert "'images/train'" in message and "'../sets/birds'" in message and "--images" in message
    assert str(tmp_path.parent / "sets/birds/images/train") in message
    assert str(tmp_path / "images/train") in message


@pytest.mark.parametrize("inner", ["labels", "labels/train", "."])
def test_labels_without_images_belong_by_name_to_a_named_folder(tmp_path, inner):
    text(tmp_path / "export" / inner / "c1.txt", LABEL)
    text(tmp_path / "export" / "classes.txt", "duck\ngoose\n")
    image(tmp_path / "pics" / "c1.jpg")
    with pytest.raises(DataError, match="1 label files and no image.*--images"):
        load_dataset(tmp_path / "export")
    dataset = load_dataset(tmp_path / "export", images=tmp_path / "pics")
    assert dataset.class_map.names == ("duck", "goose") and dataset.objects.class_ids.tolist() == [1]
    assert dataset.splits == ["train" if inner == "labels/train" else None]


def test_two_labels_of_one_name_are_not_guessed_between(tmp_path):
    for split in ("train", "val"):
        text(tmp_path / "export" / "labels" / split / "c.txt", LABEL)
    text(tmp_path / "export" / "classes.txt", "duck\ngoose\n")
    image(tmp_path / "pics" / "c.jpg")
    with pytest.raises(DataError, match="expected YOLO labels"):
        dataset = load_dataset(tmp_path / "export", images=tmp_path / "pics")
    image(tmp_path / "pics" / "val" / "c.jpg")
    dataset = load_dataset(tmp_path / "export", images=tmp_path / "pics")
    assert dict(zip(dataset.sample_ids, dataset.labelled.tolist())) == {"c.jpg": False, "val/c.jpg": True}


def test_names_that_yaml_takes_for_something_else(tmp_path):
    image(tmp_path / "images" / "a.jpg")
    text(tmp_path / "labels" / "a.txt", LABEL)
    text(tmp_path / "data.yaml", "train: images\nval: ~\nnc: 5\nnames: [no, on, 007, 1.0, null]\n")
    dataset = load_dataset(tmp_path)
    assert dataset.class_map.names == ("no", "on", "007", "1.0", "null") and not dataset.problems
