"""Pascal VOC in its three arrangements."""

from __future__ import annotations

import pytest

from detector.data import count_problems, load_dataset
from detector.data.formats.voc_xml import read_voc_xml
from detector.errors import DataError
from tests.detector.data.builders import kinds, picture, voc_xml


def test_a_devkit_with_splits_flags_and_one_based_pixels(tmp_path):
    year = tmp_path / "VOCdevkit" / "VOC2007"
    for stem in ("000001", "000002", "000003"):
        picture(year / "JPEGImages" / f"{stem}.jpg", 40, 30)
    voc_xml(
        year / "Annotations" / "000001.xml",
        [
            ("dog", 1, 1, 40, 30, {"truncated": 1, "difficult": 0, "occluded": 1}),
            ("car", 5, 6, 9, 12, {"difficult": 1}),
        ],
    )
    voc_xml(year / "Annotations" / "000002.xml", [])
    sets = year / "ImageSets" / "Main"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("000001\n000009\n")
    (sets / "test.txt").write_text("000002\n")
    (sets / "trainval.txt").write_text("000001\n000002\n")
    (sets / "dog_train.txt").write_text("000001  1\n000002 -1\n")
    for path in (tmp_path, tmp_path / "VOCdevkit", year):
        dataset = load_dataset(path)
        assert dataset.format == "voc" and dataset.sample_ids == ["000001", "000002", "000003"]
        assert dataset.class_map.names == ("car", "dog") and dataset.splits == ["train", "test", None]
        truth = dataset["000001"].annotations
        assert truth.xyxy.tolist() == [[0, 0, 40, 30], [4, 5, 9, 12]]
        assert (
            truth.truncated.tolist() == [True, False]
            and truth.difficult.tolist() == [False, True]
            and truth.occluded.tolist() == [True, False]
        )
        assert len(dataset["000002"].annotations) == 0 and dataset["000003"].annotations is None
        assert count_problems(dataset.problems) == {"no annotation": 1, "missing image": 1}


def test_images_and_annotations_folders_and_xml_beside_pictures(tmp_path):
    picture(tmp_path / "one" / "images" / "a b.jpg")
    voc_xml(tmp_path / "one" / "annotations" / "a b.xml", [("dog", 2, 3, 9, 9)])
    assert load_dataset(tmp_path / "one").objects.xyxy.tolist() == [[1, 2, 9, 9]]
    for split in ("train", "test"):
        picture(tmp_path / "two" / split / f"{split}1.jpg")
        voc_xml(tmp_path / "two" / split / f"{split}1.xml", [("dog", 2, 3, 9, 9)])
    two = load_dataset(tmp_path / "two")
    assert two.sample_ids == ["test1", "train1"] and two.splits == ["test", "train"] and two.problems == ()


def test_problems_carry_the_true_line(tmp_path):
    images, labels = tmp_path / "images", tmp_path / "annotations"
    for name in ("a.jpg", "b.jpg", "real.jpg"):
        picture(images / name, 40, 30)
    voc_xml(
        labels / "a.xml",
        [
            ("dog", 2, 3, 9, 9),
            ("dog", 5, 5, 5, 9),
            ("dog", 30, 3, 60, 9),
            ("dog", "x", 3, 9, 9),
            (" Dog ", 1, 1, 9, 9),
            ("", 1, 1, 9, 9),
        ],
        size=(80, 60),
    )
    voc_xml(labels / "b.xml", [("dog", 2, 3, 9, 9)], filename="other.jpg")
    voc_xml(labels / "c.xml", [("dog", 2, 3, 9, 9)], filename="real.png")
    voc_xml(labels / "d.xml", [("dog", 2, 3, 9, 9)])
    (labels / "e.xml").write_text("<annotation>\n<object>\n</annotation>")
    (labels / "f.xml").write_text("")
    dataset = load_dataset(tmp_path)
    found = {(p.path.rsplit("/", 1)[1], p.kind): p.line for p in dataset.problems}
    assert found == {
        ("a.xml", "unknown class"): 44,
        ("a.xml", "wrong size"): 3,
        ("a.xml", "zero-area box"): 12,
        ("a.xml", "box past border"): 20,
        ("a.xml", "malformed box"): 28,
        ("b.xml", "names another file"): 2,
        ("c.xml", "names another file"): 2,
        ("d.xml", "missing image"): 3,
        ("e.xml", "unreadable annotation"): 3,
        ("e.xml", "missing image"): None,
        ("f.xml", "unreadable annotation"): None,
        ("f.xml", "missing image"): None,
        (tmp_path.name, "similar class names"): None,
    }
    assert dataset["a"].image_size == (40, 30) and dataset["a"].annotations.xyxy.tolist() == [
        [1, 2, 9, 9],
        [29, 2, 40, 9],
        [0, 0, 9, 9],
    ]
    assert dataset["c"].path.name == "real.jpg" and dataset["e"].annotations is None


ATTACKS = {
    "entities": (
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y'
        ' "&x;&x;&x;">]><annotation><filename>&y;</filename></annotation>'
    ),
    "outside": (
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM'
        ' "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>'
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_entities_are_refused_in_one_sentence_and_stop_nothing_else(tmp_path, attack):
    picture(tmp_path / "images" / "a.jpg")
    voc_xml(tmp_path / "annotations" / "a.xml", [("dog", 2, 3, 9, 9)])
    bad = tmp_path / "annotations" / "b.xml"
    bad.write_text(ATTACKS[attack])
    with pytest.raises(DataError, match="entities or external references, which are refused") as caught:
        read_voc_xml(bad)
    assert "\n" not in caught.value.message
    dataset = load_dataset(tmp_path)
    assert len(dataset.objects) == 1 and "unreadable annotation" in kinds(dataset)


def test_other_xml_is_not_voc(tmp_path):
    (tmp_path / "x.xml").write_text("<svg></svg>")
    with pytest.raises(DataError, match="found <svg>"):
        read_voc_xml(tmp_path / "x.xml")
    with pytest.raises(DataError, match="looked for COCO"):
        load_dataset(tmp_path)


def test_parts_of_a_person_are_not_objects(tmp_path):
    picture(tmp_path / "images" / "a.jpg")
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox>"
    part = f"<part><name>head</name>{box}</part>"
    text = voc_xml(tmp_path / "annotations" / "a.xml", [("person", 2, 3, 9, 9)]).read_text()
    (tmp_path / "annotations" / "a.xml").write_text(text.replace("</object>", part + "</object>"))
    dataset = load_dataset(tmp_path)
    assert dataset.class_map.names == ("person",) and dataset.objects.xyxy.tolist() == [[1, 2, 9, 9]]


def test_the_same_stem_in_two_years(tmp_path):
    for year in ("VOC2007", "VOC2012"):
        picture(tmp_path / year / "JPEGImages" / "1.jpg")
        voc_xml(tmp_path / year / "Annotations" / "1.xml", [("dog", 2, 3, 9, 9)])
    dataset = load_dataset(tmp_path)
    assert dataset.sample_ids == ["1", "VOC2012/1"] and kinds(dataset) == ["duplicate id"]
