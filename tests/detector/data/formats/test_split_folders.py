"""Tables and records one folder down, as Roboflow writes them: train/, valid/, test/."""

import shutil

import numpy as np
import pytest
from PIL import Image

from detector import load_dataset
from detector.data.formats.tfrecord import write_tfrecord
from detector.errors import DataError

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
MAP = 'item {{\n  name: "{0}",\n  id: {1},\n  display_name: "{0}"\n}}\n'


def image(path, size=(100, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(path)


def table(root, folder, name="_annotations.csv", written="a.jpg", label="duck"):
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / name).write_text(f"{HEADER}{written},100,80,{label},11,21,30,50\n")


@pytest.mark.parametrize("written", ["a.jpg", "D:\\birds\\a.jpg", "/home/me/birds/a.jpg"])
def test_a_table_in_each_split_folder(tmp_path, written):
    for folder, label, size in (("train", "duck", (100, 80)), ("valid", "goose", (90, 70))):
        image(tmp_path / folder / "a.jpg", size)
        table(tmp_path, folder, written=written, label=label)
    dataset = load_dataset(tmp_path)
    assert (dataset.format, dataset.sample_ids) == ("csv", ["train/a.jpg", "valid/a.jpg"])
    assert dataset.splits == ["train", "val"] and dataset.objects.class_ids.tolist() == [0, 1]
    assert dataset.sizes.tolist() == [[100, 80], [90, 70]]
    assert dataset.objects.xyxy.tolist() == [[10, 20, 30, 50], [10, 20, 30, 50]]


def test_tables_in_a_folder_of_their_own(tmp_path):
    image(tmp_path / "images" / "a.jpg")
    table(tmp_path, "annotations", "train_labels.csv")
    dataset = load_dataset(tmp_path)
    assert (dataset.sample_ids, dataset.splits, dataset.problems) == (["a.jpg"], ["train"], ())


def records(tmp_path, folders, label="duck"):
    image(tmp_path / "source" / "a.jpg")
    table(tmp_path, "source", label=label)
    write_tfrecord(load_dataset(tmp_path / "source"), tmp_path / "written")
    (record,) = (tmp_path / "written").glob("*record*")
    for folder in folders:
        (tmp_path / "set" / folder).mkdir(parents=True)
        shutil.copy(record, tmp_path / "set" / folder / "birds.tfrecord")
    return tmp_path / "set"


def test_a_record_and_a_label_map_in_each_split_folder(tmp_path):
    root = records(tmp_path, ("train", "valid", "test"))
    for folder in ("train", "valid", "test"):
        (root / folder / "birds_label_map.pbtxt").write_text(MAP.format("duck", 1))
    (root / "valid" / "birds_label_map.pbtxt").write_text(MAP.format("goose", 2) + MAP.format("duck", 1))
    dataset = load_dataset(root)
    assert (dataset.format, len(dataset), len(dataset.objects)) == ("tfrecord", 3, 3)
    assert sorted(dataset.splits) == ["test", "train", "val"] and not dataset.problems
    assert (dataset.class_map.names, dataset.class_map.external_ids) == (("duck", "goose"), (1, 2))


def test_label_maps_that_contradict_each_other_are_refused(tmp_path):
    root = records(tmp_path, ("train", "valid"))
    (root / "train" / "m.pbtxt").write_text(MAP.format("duck", 1))
    (root / "valid" / "m.pbtxt").write_text(MAP.format("goose", 1))
    with pytest.raises(DataError, match="1 'goose', which differs"):
        load_dataset(root)
    assert len(load_dataset(root, label_map=root / "train" / "m.pbtxt")) == 2


def test_a_record_in_annotations_with_the_label_map_above(tmp_path):
    root = records(tmp_path, ("annotations",))
    (root / "label_map.pbtxt").write_text(MAP.format("duck", 7))
    assert load_dataset(root).class_map.external_ids == (7,)


def test_a_table_beside_records_is_read_only_with_its_images(tmp_path):
    root = records(tmp_path, ("data",)) / "data"
    table(root, ".", "test_labels.csv")
    assert load_dataset(root).format == "tfrecord"
    assert load_dataset(root, images=tmp_path / "source").format == "csv"
    image(root / "a.jpg")
    assert load_dataset(root).format == "csv"
