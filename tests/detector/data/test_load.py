"""What a path is taken for, and what is said where it is unclear."""

from __future__ import annotations

import pytest

from detector.data import check_images, load_dataset
from detector.data.load import FORMATS
from detector.errors import DataError, InputError
from tests.detector.data.builders import coco_json, encoded, kinds, picture, pixels, voc_xml


def test_a_plain_folder_and_a_single_picture(tmp_path):
    picture(tmp_path / "b.jpg", 40, 30)
    picture(tmp_path / "in" / "a.png", 20, 10)
    (tmp_path / "in" / "cut.png").write_bytes(encoded(pixels(90, 60))[:120])
    (tmp_path / "in" / "notes.txt").write_text("x")
    dataset = load_dataset(tmp_path)
    assert (
        dataset.format == "folder"
        and dataset.sample_ids == ["b.jpg", "in/a.png", "in/cut.png"]
        and not dataset.labelled.any()
    )
    assert dataset["in/a.png"].image_size == (20, 10) and dataset["in/a.png"].annotations is None
    assert kinds(dataset) == ["annotation file not read", "truncated image"]
    assert [p.path.rsplit("/", 1)[-1] for p in dataset.problems] == ["notes.txt", "cut.png"]
    one = load_dataset(tmp_path / "b.jpg")
    assert one.sample_ids == ["b.jpg"] and one[0].load().shape == (30, 40, 3)


def test_nothing_there_lists_what_was_looked_for(tmp_path):
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(DataError) as caught:
        load_dataset(tmp_path)
    assert all(
        word in caught.value.message for word in ("COCO", "Pascal VOC", "YOLO", "CSV", "plain pictures")
    )
    with pytest.raises(
        DataError, match=r"no such file or folder, nor a sample set of this name \(demo, coco-2017-val"
    ):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match="looked for"):
        load_dataset(tmp_path / "readme.txt")


def test_two_possible_readings_ask_which(tmp_path):
    picture(tmp_path / "images" / "a.jpg", 40, 30)
    voc_xml(tmp_path / "annotations" / "a.xml", [("dog", 1, 1, 9, 9)])
    coco_json(
        tmp_path / "annotations" / "instances.json",
        [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
        [],
    )
    with pytest.raises(DataError, match="coco .* and as voc .*format='coco'"):
        load_dataset(tmp_path)
    assert (
        load_dataset(tmp_path, format="voc").format == "voc"
        and load_dataset(tmp_path, format="coco").format == "coco"
    )
    assert load_dataset(tmp_path, format="folder").sample_ids == ["images/a.jpg"]
    with pytest.raises(InputError, match="expected one of"):
        load_dataset(tmp_path, format="no such format")
    for name in set(FORMATS) - {"folder", "coco", "voc"}:
        with pytest.raises(DataError):
            load_dataset(tmp_path, format=name)


def test_check_images_finds_what_only_decoding_shows(tmp_path):
    picture(tmp_path / "a.png", 40, 30)
    picture(tmp_path / "b.jpg", 40, 30)
    picture(tmp_path / "c.jpg", 40, 30)
    dataset = load_dataset(tmp_path)
    assert dataset.problems == () and check_images(dataset) == []
    whole = (tmp_path / "a.png").read_bytes()
    at = whole.index(b"IDAT") + 20
    (tmp_path / "a.png").write_bytes(whole[:at] + bytes(12) + whole[at + 12 :])
    picture(tmp_path / "b.jpg", 30, 40)
    (tmp_path / "c.jpg").unlink()
    seen = []
    found = check_images(dataset, lambda done, total: seen.append((done, total)))
    assert [(p.sample_id, p.kind) for p in found] == [
        ("a.png", "unreadable image"),
        ("b.jpg", "wrong size"),
        ("c.jpg", "missing image"),
    ]
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_beyond_the_limit_headers_are_left_alone(tmp_path, monkeypatch):
    from detector.data.formats import draft

    picture(tmp_path / "a.jpg", 40, 30)
    file = coco_json(tmp_path / "x.json", [{"id": 1, "file_name": "a.jpg", "width": 80, "height": 60}], [])
    assert kinds(load_dataset(file)) == ["wrong size"]
    monkeypatch.setattr(draft, "HEADER_LIMIT", 0)
    dataset = load_dataset(file)
    assert kinds(dataset) == [] and dataset["1"].image_size == (80, 60)
    assert [p.kind for p in check_images(dataset)] == ["wrong size"]


def test_the_package_offers_the_calls_without_importing_a_picture_library():
    import subprocess
    import sys

    code = (
        "import sys, detector, detector.data; print([m for m in ('PIL', 'cv2', 'tensorflow', 'fiftyone') if m"
        " in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )
