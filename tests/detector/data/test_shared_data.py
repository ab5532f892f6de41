"""Real data sets, by the counts and quirks their descriptions state."""

from __future__ import annotations

import json

import numpy as np

from detector.data import check_images, count_problems, load_dataset


def test_coco_mini_equals_its_json_and_names_the_unlisted_pictures(shared):
    root = shared / "data" / "coco_mini"
    dataset = load_dataset(root)
    assert len(dataset) == 159 and len(dataset.objects) == 739 + 624 and len(dataset.class_map) == 80
    assert (dataset.splits.count("train"), dataset.splits.count("val")) == (80, 79)
    assert count_problems(dataset.problems) == {"unlisted image": 80}
    val = load_dataset(root, split="val")
    assert (
        int(val.objects.crowd.sum()) == 5
        and int(dataset.objects.crowd.sum()) == 13
        and max(val.class_map.external_ids) == 90
    )
    document = json.loads((root / "annotations" / "instances_val2017.json").read_text())
    for annotation in document["annotations"]:
        truth = val[str(annotation["image_id"])].annotations
        k = int(np.flatnonzero(truth.ids == annotation["id"])[0])
        x, y, w, h = annotation["bbox"]
        assert np.allclose(truth.xyxy[k], [x, y, x + w, y + h], atol=0.02) and np.isclose(
            truth.area[k], annotation["area"]
        )
        assert val.class_map.to_external(int(truth.class_ids[k])) == annotation["category_id"]


def test_coco_tiny38(shared):
    dataset = load_dataset(shared / "data" / "coco_tiny38")
    assert (
        len(dataset) == 38
        and len(dataset.objects) == 288 + 136
        and int(dataset.objects.crowd.sum()) == 5
        and dataset.problems == ()
    )
    assert int((np.bincount(dataset.objects.rows, minlength=38) == 0).sum()) == 2 and dataset.labelled.all()


def test_raccoon_xml_and_csv_agree(shared):
    root = shared / "data" / "raccoon"
    xml, table, halves = (
        load_dataset(root),
        load_dataset(root / "data" / "raccoon_labels.csv"),
        load_dataset(root / "data"),
    )
    assert (
        len(xml) == 200
        and len(xml.objects) == 217
        and xml.problems == ()
        and int(xml.objects.truncated.sum()) == 59
    )
    for sample in table:
        assert np.array_equal(sample.annotations.xyxy, xml[sample.path.stem].annotations.xyxy)
    assert len(halves) == 200 and set(halves.splits) == {"train", "test"}
    assert xml["raccoon-150"].load().shape[2] == 3  # a grey JPEG


def test_bccd_with_its_two_empty_boxes(shared):
    root = shared / "data" / "bccd"
    dataset = load_dataset(root)
    assert len(dataset) == 364 and len(dataset.objects) == 4888 - 2
    found = {(p.sample_id, p.kind): p.line for p in dataset.problems}
    assert set(found) == {("BloodImage_00338", "zero-area box"), ("BloodImage_00343", "zero-area box")}
    text = (root / "BCCD" / "Annotations" / "BloodImage_00338.xml").read_text().splitlines()
    assert text[found[("BloodImage_00338", "zero-area box")] - 1].strip() == "<object>"
    counts = {
        name: int((dataset.objects.class_ids == k).sum()) for k, name in enumerate(dataset.class_map.names)
    }
    assert (
        counts == {"Platelets": 361, "RBC": 4155 - 2, "WBC": 372}
        and int(dataset.objects.truncated.sum()) == 1131
    )
    assert [dataset.splits.count(s) for s in ("train", "val", "test")] == [205, 87, 72]
    table = load_dataset(root / "test.csv")
    assert (
        len(table) == 364
        and len(table.objects) == 4886
        and count_problems(table.problems) == {"zero-area box": 2}
    )


def test_voc_sets(shared):
    base = shared / "data"
    five, hundred, four = (
        load_dataset(base / name) for name in ("voc2007_5cls", "voc2012_100", "voc2007_official4")
    )
    assert (len(five), len(five.objects), len(five["000001"].annotations)) == (
        700,
        1705,
        0,
    ) and five.problems == ()
    assert (len(hundred), len(hundred.objects), len(hundred.class_map)) == (100, 273, 20)
    assert (int(hundred.objects.truncated.sum()), int(hundred.objects.difficult.sum())) == (137, 38)
    assert (len(four), len(four.objects), four.class_map.names) == (
        4,
        11,
        ("car", "chair", "horse", "person"),
    )


def test_padilla_toyexample(shared):
    root = shared / "data" / "detection_metrics" / "padilla_toyexample"
    voc = load_dataset(root)
    assert (
        voc.format == "voc"
        and len(voc.objects) == 12
        and count_problems(voc.problems) == {"no annotation": 2}
    )
    jsons = [p for p in (root / "gts_coco_format").iterdir() if p.suffix == ".json"]
    for file in jsons:
        coco = load_dataset(file)
        assert (
            count_problems(coco.problems) == {"annotation id 0": 1}
            and 0 in coco.objects.ids
            and coco.class_map.external_ids[0] == 0
        )


def test_odd_images_as_a_folder(shared):
    dataset = load_dataset(shared / "data" / "odd_images")
    assert len(dataset) == 71
    bad = {p.sample_id for p in dataset.problems if p.sample_id is not None}
    assert bad == {
        "broken.png",
        "unknown_compression_method.png",
        "png_decompression_dos.png",
        "lfs_pointer_image1.jpg",
        "decompression_bomb.gif",
        "truncated_jpeg.jpg",
        "ultrahdr.jpg",
        "truncated_image.png",
        "broken_data_stream.png",
    }


def test_checking_pixels_of_a_real_set_finds_nothing_more(shared):
    assert check_images(load_dataset(shared / "data" / "coco_tiny38", split="val")) == []
