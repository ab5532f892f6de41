import csv
import json

import numpy as np
import pytest

from analysis.mistakes.export import CSV_COLUMNS, export_run, write_coco, write_csv, write_yolo
from analysis.runs.in_memory import run_from_detections
from detector.core import ClassMap, Detections, DetectorInfo
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import InputError

INFO = DetectorInfo(
    "net", "saved_model", ClassMap(("dog", "car"), (18, 3)), "feed", settings={"score_threshold": 0.0}
)


def a_run(sample_ids=("12", "7", "31"), labelled=(True, True, False), detections=None):
    # ids 0 and 1 twice: the way VOC counts objects within an image
    objects = ObjectTable.build(
        [0, 0, 1],
        [[1, 2, 11, 6], [0, 0, 40, 30], [3, 4, 5, 8]],
        [0, 1, 1],
        ids=[0, 1, 0],
        area=[33.5, np.nan, np.nan],
        difficult=[True, False, False],
    )
    dataset = Dataset(
        name="three",
        format="voc",
        source="x",
        class_map=ClassMap(("car", "bus"), (3, 6)),
        sample_ids=sample_ids,
        files=[f"/p/{s}.jpg" for s in sample_ids],
        sizes=[[40, 30], [20, 10], [8, 16]],
        labelled=labelled,
        objects=objects,
    )
    if detections is None:
        detections = [
            Detections([[1, 2, 11, 6.3], [0, 0, 4, 3]], [0.9, 0.1], [1, 0], (40, 30)),
            Detections.empty((20, 10)),
            Detections([[2, 4, 6, 12]], [0.7], [1], (8, 16)),
        ]
    return run_from_detections(dataset, detections, INFO)


def test_coco_results_and_truth(tmp_path):
    folder = write_coco(a_run(), tmp_path / "coco")
    results, truth, rest, told = (
        json.loads((folder / f).read_text())
        for f in ("detections.json", "truth.json", "detections_unlabelled.json", "about.json")
    )
    assert [(r["image_id"], r["category_id"], np.float32(r["score"])) for r in results] == [
        (12, 3, np.float32(0.9)),
        (12, 18, np.float32(0.1)),
    ]
    assert results[0]["bbox"] == [1, 2, 10, float(np.float32(6.3)) - 2] and [r["image_id"] for r in rest] == [
        31
    ]
    assert np.float32(results[0]["bbox"][1] + results[0]["bbox"][3]) == np.float32(6.3)
    assert [i["id"] for i in truth["images"]] == [12, 7] and truth["images"][1]["width"] == 20
    assert [
        (a["id"], a["image_id"], a["category_id"], a["bbox"], a["area"]) for a in truth["annotations"]
    ] == [(1, 12, 3, [1, 2, 10, 4], 33.5), (2, 12, 6, [0, 0, 40, 30], 1200), (3, 7, 6, [3, 4, 2, 4], 8)]
    assert truth["annotations"][0]["difficult"] and "difficult" not in truth["annotations"][1]
    assert truth["categories"] == [
        {"id": 3, "name": "car"},
        {"id": 6, "name": "bus"},
        {"id": 18, "name": "dog"},
    ]
    assert (told["detector"], told["weights_hash"], told["threshold"], told["floor"], told["detections"]) == (
        "net",
        "feed",
        0.0,
        0.0,
        3,
    )


def test_the_files_go_through_pycocotools(tmp_path, capsys):
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    folder = write_coco(a_run(), tmp_path / "coco")
    truth = coco.COCO(str(folder / "truth.json"))
    figures = evaluation.COCOeval(truth, truth.loadRes(str(folder / "detections.json")), "bbox")
    figures.evaluate()
    figures.accumulate()
    figures.summarize()
    assert figures.stats[1] == pytest.approx(0.5)  # car found, bus missed, at IoU 0.5


def test_ids_that_are_no_numbers_and_images_that_do_not_count(tmp_path):
    folder = write_coco(
        a_run(
            ("a", "b", "c"),
            detections=[None, Detections.empty((20, 10)), Detections([[0, 0, 1, 1]], [0.5], [0], (8, 16))],
        ),
        tmp_path / "coco",
    )
    truth = json.loads((folder / "truth.json").read_text())
    assert [i["id"] for i in truth["images"]] == [2] and [a["image_id"] for a in truth["annotations"]] == [2]
    told = json.loads((folder / "about.json").read_text())
    assert told["sample_of_image_id"] == {"1": "a", "2": "b", "3": "c"} and told["images_not_done"] == 1
    nobody = a_run(
        labelled=(False, False, False),
        detections=[Detections.empty((40, 30))] * 2 + [Detections([[0, 0, 1, 1]], [0.5], [0], (8, 16))],
    )
    folder = write_coco(nobody, tmp_path / "none")
    assert sorted(p.name for p in folder.iterdir()) == ["about.json", "detections.json"]
    assert len(json.loads((folder / "detections.json").read_text())) == 1


def test_csv(tmp_path):
    out = write_csv(a_run(), tmp_path / "found.csv", threshold=0.5)
    rows = list(csv.reader(out.read_text().splitlines()))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert rows[1] == ["12", "/p/12.jpg", "40", "30", "car", "0.899999976", "1", "2", "11", "6.30000019"]
    assert (
        np.float32(rows[1][5]) == np.float32(0.9)
        and rows[2][:5] == ["31", "/p/31.jpg", "8", "16", "car"]
        and len(rows) == 3
    )
    told = json.loads((tmp_path / "found.csv.about.json").read_text())
    assert told["threshold"] == 0.5 and told["detections_left_out"] == 1


def test_yolo(tmp_path):
    folder = write_yolo(a_run(("x/1.jpg", "x/1.png", "../7.jpg")), tmp_path / "yolo", threshold=[0.95, 0, 0])
    labels = {
        str(p.relative_to(folder / "labels")): p.read_text()
        for p in sorted((folder / "labels").rglob("*.txt"))
    }
    assert labels == {"x/1.txt": "2 0.05 0.05 0.1 0.1 0.100000001\n", "x/1_2.txt": "", "7.txt": ""}
    assert "dog" in (folder / "data.yaml").read_text()
    told = json.loads((folder / "about.json").read_text())
    assert (
        told["threshold"] == {"car": 0.95, "bus": 0, "dog": 0}
        and told["labels"]["../7.jpg"] == "labels/7.txt"
    )


def test_only_some_classes_and_nothing_at_all(tmp_path):
    run = a_run()
    folder = export_run(run, tmp_path / "dogs", "coco", classes=["dog"])
    assert [r["category_id"] for r in json.loads((folder / "detections.json").read_text())] == [18]
    assert [c["name"] for c in json.loads((folder / "truth.json").read_text())["categories"]] == ["dog"]
    out = export_run(run, tmp_path / "none.csv", "csv", threshold=1.0)
    assert out.read_text() == ",".join(CSV_COLUMNS) + "\n"
    for bad in (
        {"format": "xml"},
        {"format": "csv", "classes": ["zebra"]},
        {"format": "csv", "threshold": [0.5]},
    ):
        with pytest.raises(InputError):
            export_run(run, tmp_path / "bad", **bad)


@pytest.mark.parametrize("format", ["coco", "csv", "yolo"])
def test_nothing_is_overwritten_and_nothing_half_is_left(tmp_path, format, monkeypatch):
    run = a_run()
    (tmp_path / "there").write_text("mine")
    with pytest.raises(InputError, match="there already"):
        export_run(run, tmp_path / "there", format)
    monkeypatch.setattr("analysis.mistakes.export.about", lambda *a, **k: {"cannot": object()})
    with pytest.raises(TypeError):
        export_run(run, tmp_path / "new", format)
    assert (
        sorted(p.name for p in tmp_path.iterdir()) == ["there"] and (tmp_path / "there").read_text() == "mine"
    )
