import json

import numpy as np
import pytest

from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import DataError
from detector.models.predictions import PredictionsDetector
from detector.testing import DetectorContract, patterned
from tests.detector.builders import SIZES, small_dataset

IDS = (3, 18, 38)  # category ids of small_dataset's car, dog, kite


def results_of(data: Dataset, score=0.9) -> list[dict]:
    """Every object of the data set as a detection, 1 pixel to the right."""
    entries = []
    for row, (x1, y1, x2, y2), k in zip(
        data.objects.rows, data.objects.xyxy.tolist(), data.objects.class_ids
    ):
        entries.append(
            {
                "image_id": data.sample_ids[row],
                "category_id": IDS[k],
                "bbox": [x1 + 1, y1, x2 - x1 - 2, y2 - y1],
                "score": score,
            }
        )
    return entries


def write(path, content):
    path.write_text(json.dumps(content))
    return path


class TestPredictionsKeepTheContract(DetectorContract):
    @pytest.fixture
    def detector(self, tmp_path):
        data = small_dataset()
        entries = results_of(data)
        for i, entry in enumerate(entries):
            entry["score"] = 0.05 + (i * 7 % 23) / 25
        return PredictionsDetector(write(tmp_path / "r.json", entries), dataset=data)

    @pytest.fixture
    def images(self):
        return [patterned(h, w, i) for i, (w, h) in enumerate(SIZES)]


def test_rows_come_back_for_their_image_best_first(tmp_path):
    data = small_dataset()
    entries = [
        {"image_id": "s1", "category_id": 18, "bbox": [1, 2, 10, 20], "score": 0.2},
        {"image_id": "s0", "category_id": 3, "bbox": [5, 6, 7, 8], "score": 0.5},
        {"image_id": "s1", "category_id": 38, "bbox": [3, 4, 5, 6], "score": 0.7},
    ]
    detector = PredictionsDetector(write(tmp_path / "r.json", entries), dataset=data)
    zero, one, two = detector.detect_samples(["s0", "s1", "s2"])
    assert one.xyxy.tolist() == [[3, 4, 8, 10], [1, 2, 11, 22]] and one.class_ids.tolist() == [2, 1]
    assert zero.scores.tolist() == pytest.approx([0.5]) and len(two) == 0
    assert detector.detect([data.load_image(1)])[0].equals(one)


def test_no_detections_at_all(tmp_path):
    detector = PredictionsDetector(write(tmp_path / "r.json", []), dataset=small_dataset())
    assert len(detector.detect_samples(["s0"])[0]) == 0 and len(detector) == 0


def test_boxes_past_the_edge_are_clipped_and_those_outside_left_out_both_counted(tmp_path):
    width, height = SIZES[0]
    boxes = [
        [-4, 0, 20, 10],
        [width - 10, 5, 30, 10],
        [width + 5, 5, 10, 10],
        [1, 1, 5, -3],
        [1, 1, width - 0.9, 5],
    ]
    entries = [{"image_id": "s0", "category_id": 3, "bbox": b, "score": 0.9} for b in boxes]
    detector = PredictionsDetector(write(tmp_path / "r.json", entries), dataset=small_dataset())
    assert (detector.clipped, detector.outside, len(detector)) == (2, 1, 3)
    (found,) = detector.detect_samples(["s0"])
    assert found.xyxy[:2].tolist() == [[0, 0, 16, 10], [width - 10, 5, width, 15]]
    said = " ".join(detector.info.notes)
    assert (
        "2 boxes reach past" in said
        and "1 boxes lie wholly outside" in said
        and "1 boxes have a negative" in said
    )


@pytest.mark.parametrize(
    "write_id, how",
    [
        (lambda i: f"00{i + 139}.jpg", "the file name"),
        (lambda i: f"00{i + 139}", "the file name without its ending"),
        (lambda i: i + 139, "the number in the file name"),
    ],
)
def test_images_by_file_name(tmp_path, write_id, how):
    plain = small_dataset()
    data = Dataset(
        name="named",
        format="voc",
        source="",
        class_map=plain.class_map,
        sample_ids=[f"train/s{i}" for i in range(4)],
        files=[f"/pictures/00{i + 139}.jpg" for i in range(4)],
        sizes=plain.sizes,
        objects=plain.objects,
    )
    entries = [
        {"image_id": write_id(i), "category_id": 3, "bbox": [i, i, 5, 5], "score": 0.9} for i in range(4)
    ]
    detector = PredictionsDetector(write(tmp_path / "r.json", entries), dataset=data)
    assert detector.info.settings["images_by"] == how
    assert [d.xyxy[0, 0] for d in detector.detect_samples(data.sample_ids)] == [0, 1, 2, 3]


def test_a_dict_with_its_own_images_and_categories(tmp_path):
    """Ids that count otherwise than the data set's: the file's own lists of images and categories decide."""
    plain = small_dataset()
    data = Dataset(
        name="named",
        format="voc",
        source="",
        class_map=plain.class_map,
        sample_ids=["1", "0", "3", "2"],
        files=[f"/pictures/{n}.jpg" for n in "abcd"],
        sizes=plain.sizes,
        objects=plain.objects,
    )
    content = {
        "images": [{"id": i, "file_name": f"elsewhere/{n}.jpg"} for i, n in enumerate("abcd")],
        "categories": [{"id": 0, "name": "dog"}, {"id": 7, "name": "unicorn"}],
        "annotations": [
            {"image_id": 3, "category_id": 0, "bbox": [1, 1, 5, 5], "score": 0.4},
            {"image_id": 0, "category_id": 7, "bbox": [1, 1, 5, 5], "score": 0.3},
        ],
    }
    detector = PredictionsDetector(write(tmp_path / "r.json", content), dataset=data)
    assert detector.info.class_map == ClassMap(("dog", "unicorn"), (0, 7))
    assert [len(d) for d in detector.detect_samples(["1", "0", "3", "2"])] == [1, 0, 0, 1]


def many() -> Dataset:
    images = [patterned(70 + i, 120, i) for i in range(12)]
    return small_dataset(images, objects_each=6)


FAULTS = {
    "look normalised": lambda e, size: {
        **e,
        "bbox": [
            e["bbox"][0] / size[0],
            e["bbox"][1] / size[1],
            e["bbox"][2] / size[0],
            e["bbox"][3] / size[1],
        ],
    },
    "read as x1, y1, x2, y2 they fit": lambda e, size: {
        **e,
        "bbox": [*e["bbox"][:2], e["bbox"][0] + e["bbox"][2], e["bbox"][1] + e["bbox"][3]],
    },
    "has an image id of the truth: they say 'x-": lambda e, size: {**e, "image_id": f"x-{e['image_id']}"},
    "category ids are positions 0, 1, 2": lambda e, size: {**e, "category_id": IDS.index(e["category_id"])},
    "smallest is -2; apply a sigmoid": lambda e, size: {**e, "score": -2},
    "largest is 250": lambda e, size: {**e, "score": 250},
}


@pytest.mark.parametrize("said", FAULTS)
def test_faults_are_named_in_one_sentence(tmp_path, said):
    data = many()
    entries = results_of(data)
    PredictionsDetector(write(tmp_path / "good.json", entries), dataset=data)
    broken = [FAULTS[said](e, data.sizes[data.position(e["image_id"])].tolist()) for e in entries]
    with pytest.raises(DataError, match=said) as caught:
        PredictionsDetector(write(tmp_path / "bad.json", broken), dataset=data)
    assert "bad.json" in str(caught.value)


def test_percent_and_unknown_images_are_noted(tmp_path):
    data = many()
    entries = [{**e, "score": 90} for e in results_of(data)]
    entries.append({**entries[0], "image_id": "nowhere"})
    info = PredictionsDetector(write(tmp_path / "r.json", entries), dataset=data).info
    assert any("percent" in n for n in info.notes)
    assert any("1 of 73 detections name an image" in n and "'nowhere'" in n for n in info.notes)


def test_what_is_no_results_file(tmp_path):
    data = small_dataset()
    cases = {
        "found keys hello": {"hello": 1},
        "looks like ground truth": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}],
        "entry 0 has \\[1, 2\\]": [{"image_id": 1, "category_id": 1, "bbox": [1, 2], "score": 0.5}],
        "entry 1 is": [{"image_id": "s0", "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}, 7],
    }
    for said, content in cases.items():
        with pytest.raises(DataError, match=said):
            PredictionsDetector(write(tmp_path / "r.json", content), dataset=data)
    (tmp_path / "r.json").write_text('[{"image_id": 1,\n "x" }]')
    with pytest.raises(DataError, match="r.json:2"):
        PredictionsDetector(tmp_path / "r.json", dataset=data)


def test_hash_follows_file_and_data(tmp_path):
    data, entries = small_dataset(), results_of(small_dataset())
    one = PredictionsDetector(write(tmp_path / "r.json", entries), dataset=data).info.weights_hash
    assert (
        PredictionsDetector(write(tmp_path / "r.json", entries), dataset=small_dataset()).info.weights_hash
        == one
    )
    assert PredictionsDetector(write(tmp_path / "r.json", entries[1:]), dataset=data).info.weights_hash != one
    other = Dataset(
        name="o",
        format="m",
        source="",
        class_map=data.class_map,
        sample_ids=data.sample_ids,
        files=[""] * 4,
        sizes=data.sizes,
        objects=ObjectTable.empty(),
    )
    assert PredictionsDetector(tmp_path / "r.json", dataset=other).info.weights_hash != one


def test_real_results(shared):
    """COCO's own fake detections: all 734 rows find their image and class."""
    from detector.data.formats.coco import read_coco

    folder = shared / "data" / "detection_metrics" / "coco_val2014_fakebbox100"
    data = read_coco(folder / "instances_val2014_100.json")
    detector = PredictionsDetector(folder / "instances_val2014_fakebbox100_results.json", dataset=data)
    assert len(detector) == 734 and len(detector.info.notes) == 1
    found = detector.detect_samples(["42"])[0]
    assert data.class_map.names[found.class_ids[0]] == "dog"
    assert found.xyxy[0].tolist() == pytest.approx([258.15, 41.29, 606.41, 285.07], abs=0.01)
    assert np.isclose(found.scores[0], 0.236)
