"""The push against the real FiftyOne and mongod: what arrives, what stays, what FiftyOne makes of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.fiftyone.push.verdicts import judge
from analysis.fiftyone_bridge import push_to_fiftyone, sample_link
from analysis.matching.counts import counts
from analysis.matching.match import match_run
from analysis.runs.in_memory import run_from_detections
from detector.core import ClassMap, Detections, DetectorInfo
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import InputError
from tests.analysis.fiftyone_runs import draw, random_run

TIMES = ("created_at", "last_modified_at")


def hand_made(tmp_path):
    """Two pictures of 100 x 80: a car found, a dog missed with a 0.3 detection on it, a car called a dog."""
    files = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    truth = ObjectTable.build(
        [0, 0, 1],
        [[10, 8, 50, 40], [60, 20, 90, 60], [20, 16, 70, 56]],
        [0, 1, 0],
        ids=[7, 9, 4],
        truncated=[True, False, False],
    )
    for i, file in enumerate(files):
        draw(file, (100, 80), truth.xyxy[truth.rows == i])
    data = Dataset(
        name="two",
        format="coco",
        source="x",
        class_map=ClassMap(("car", "dog")),
        sample_ids=["a", "b"],
        files=files,
        sizes=np.int32([[100, 80], [100, 80]]),
        objects=truth,
    )
    found = [
        Detections([[10, 8, 50, 40], [60, 20, 90, 60]], [0.9, 0.3], [0, 1], (100, 80)),
        Detections([[20, 16, 70, 56], [0, 0, 10, 10]], [0.8, 0.02], [1, 0], (100, 80)),
    ]
    info = DetectorInfo(name="tiny", kind="fake", class_map=ClassMap(("car", "dog")), weights_hash="t")
    return run_from_detections(data, found, info, floor=0.01)


def documents(fo, name):
    found = fo.load_dataset(name)._sample_collection.find().sort("_id")
    return [{k: v for k, v in doc.items() if k not in (*TIMES, "_dataset_id")} for doc in found]


def test_heat_maps_on_request_and_gone_without(fo, tmp_path):
    import cv2

    run = hand_made(tmp_path)
    push_to_fiftyone(run, name="warm", heatmaps=True)
    first, second = list(fo.load_dataset("warm"))
    everything = cv2.imread(first.confidence_map.map_path, cv2.IMREAD_UNCHANGED)
    assert everything.shape == (80, 100) and everything[24, 30] == round(
        255 * 0.9
    )  # the found car's centre: its score
    missed = cv2.imread(first.missed_map.map_path, cv2.IMREAD_UNCHANGED)
    assert missed[40, 75] == round(255 * 0.3) and missed[24, 30] == 0  # the missed dog alone
    assert list(first.confidence_map.range) == [0, 255]
    seen_on_b = cv2.imread(second.missed_map.map_path, cv2.IMREAD_UNCHANGED)
    assert seen_on_b.max() == round(255 * 0.02)  # the car there was called a dog: only the 0.02 one is a car
    shown = fo.load_dataset("warm").app_config.active_fields
    assert shown.paths == ["ground_truth", "predictions"] and not shown.exclude
    push_to_fiftyone(run, name="warm")
    assert fo.load_dataset("warm").first().confidence_map is None


def written_maps(run, folder):
    """What `boxscope explain` leaves: two objects of image a by one method, one by another, and four that do
    not belong.
    """
    folder.mkdir()
    image = run.sample_ids[0]

    def write(stem, values, **facts):
        (folder / f"{stem}.json").write_text(
            json.dumps(
                {"image": image, "method": "d_rise", "weights_hash": "t", "side": None, "rather_than": None}
                | facts
            )
        )
        np.save(folder / f"{stem}.npy", np.float32(values))

    left, right = np.full((80, 100), -3.0), np.zeros((80, 100))
    left[:, :40], right[:, 60:] = 0.5, 8.0
    write("a-d0-d_rise", left)
    write("a-t2-d_rise", right)
    write("a-d0-layer_cam", left, method="layer_cam")
    write("a-d0-box", left, side="left")
    write("a-other-weights", left, weights_hash="u")
    write("nowhere", left, image="nowhere")
    write("a-confidence", left, method="confidence_map")
    return folder


def test_evidence_that_was_made_before_goes_along(fo, tmp_path):
    import cv2

    run = hand_made(tmp_path)
    report = push_to_fiftyone(run, name="evidence", evidence=written_maps(run, tmp_path / "maps"))
    first, second = list(fo.load_dataset("evidence"))
    both = cv2.imread(first.evidence_d_rise.map_path, cv2.IMREAD_UNCHANGED)
    assert both.shape == (80, 100) and both[40, 10] == both[40, 90] == 255 and both[40, 50] == 0, (
        "each from 0 to its own peak, evidence against left out"
    )
    assert (
        first.evidence_layer_cam is not None
        and second.evidence_d_rise is None
        and not first.has_field("confidence_map")
    )
    assert len(report.problems) == 4 and all("left out" in p for p in report.problems)
    assert "evidence_d_rise" in next(
        g.paths for g in fo.load_dataset("evidence").app_config.sidebar_groups if g.name == "heat maps"
    )
    push_to_fiftyone(run, name="evidence", heatmaps=True)
    again = fo.load_dataset("evidence").first()
    assert again.evidence_d_rise is None and again.confidence_map is not None


def test_a_folder_without_maps_of_the_run_is_refused(fo, tmp_path):
    run = hand_made(tmp_path)
    with pytest.raises(InputError, match="there is none"):
        push_to_fiftyone(run, name="evidence", evidence=tmp_path / "nothing")
    folder = written_maps(run, tmp_path / "maps")
    for file in folder.glob("*d_rise.json"):
        file.unlink()
    (folder / "a-d0-layer_cam.json").write_text("{")
    with pytest.raises(InputError, match="1 map in .* left out: of a detector with other weights"):
        push_to_fiftyone(run, name="evidence", evidence=folder)
    np.save(folder / "a-d0-box.npy", np.zeros((3, 3), np.float32))
    (folder / "a-d0-box.json").write_text(
        json.dumps({"image": run.sample_ids[0], "method": "d_rise", "weights_hash": "t"})
    )
    with pytest.raises(InputError, match=r"expected a map of 80 by 100 numbers, got float32 \(3, 3\)"):
        push_to_fiftyone(run, name="evidence", evidence=folder)


def test_nothing_to_push(fo):
    data = Dataset(
        name="none", format="folder", source="x", class_map=ClassMap(("car",)), sample_ids=[], files=[]
    )
    info = DetectorInfo(name="d", kind="fake", class_map=ClassMap(("car",)), weights_hash="e")
    report = push_to_fiftyone(run_from_detections(data, [], info))
    assert (report.inserted, report.objects, report.detections) == (0, 0, 0)
    assert fo.load_dataset(report.dataset).persistent


def test_each_label_carries_what_we_know(fo, tmp_path):
    run = hand_made(tmp_path)
    report = push_to_fiftyone(
        run,
        name="two",
        pages="http://localhost:8501",
        detection_columns={"cause": np.array(["", "a", "", ""])},
    )
    assert (report.inserted, report.updated, report.objects, report.detections, report.below_lowest) == (
        2,
        0,
        3,
        3,
        1,
    )
    data = fo.load_dataset("two")
    assert data.persistent and data.media_type == "image"
    first, second = list(data)
    assert [first.image_id, second.image_id] == ["a", "b"]
    assert (first.metadata.width, first.metadata.height, first.metadata.size_bytes) == (
        100,
        80,
        (tmp_path / "a.jpg").stat().st_size,
    )
    car, dog = first.ground_truth.detections
    assert (car.label, car.object_id, car.verdict, car.eval, car.truncated) == ("car", 7, "found", "tp", True)
    np.testing.assert_allclose(car.bounding_box, [0.1, 0.1, 0.4, 0.4])
    assert (dog.label, dog.object_id, dog.verdict, dog.eval, dog.eval_id) == ("dog", 9, "missed", "fn", "")
    assert dog.seen_at == pytest.approx(0.3)
    hit, low = first.predictions.detections
    assert (hit.verdict, hit.eval, hit.eval_id, hit.eval_iou, hit.iou) == ("correct", "tp", car.id, 1.0, 1.0)
    assert car.eval_id == hit.id and car.eval_iou == 1.0
    assert (low.verdict, low.confidence, low.cause) == (
        "below",
        pytest.approx(0.3),
        "a",
    ) and "eval" not in low.to_dict()
    (wrong,) = second.predictions.detections
    assert (wrong.verdict, wrong.error, wrong.confused_with, wrong.eval, wrong.object_id) == (
        "wrong",
        "classification",
        "car",
        "fp",
        0,
    )
    assert (
        dog.error == "missed"
        and second.ground_truth.detections[0].error == "classification"
        and "error" not in car.to_dict()
    )
    assert wrong.link == "http://localhost:8501/image?run=two+with+tiny&conf=0.5&iou=0.5&image=b&object=d0"
    assert (first.eval_tp, first.eval_fp, first.eval_fn) == (1, 0, 1)
    assert (second.eval_tp, second.eval_fp, second.eval_fn) == (0, 1, 1)
    note = data.info["boxscope"]["runs"][run.manifest.identity]
    assert (
        note["state"] == "complete"
        and note["point"]["threshold"] == 0.5
        and "IoU ≥ 0.50" in data.info["operating point"]
    )
    assert sample_link(run, "b", name="two", port=5151).endswith(f"/datasets/two?id={second.id}")


def test_fiftyone_reads_every_document_as_its_own(fo, tmp_path):
    """Saved again by FiftyOne, a document is what we wrote: its schema and ours agree."""
    push_to_fiftyone(random_run(tmp_path, images=4), name="own")
    data = fo.load_dataset("own")
    before = documents(fo, "own")
    for sample in data.iter_samples(autosave=True):
        sample["image_id"] = sample.image_id + "!"
        sample["image_id"] = sample.image_id[:-1]
    assert documents(fo, "own") == before
    copy = fo.Dataset("copy")
    copy.add_samples([fo.Sample.from_dict(s.to_dict()) for s in data], dynamic=True)
    plain = [{k: v for k, v in doc.items() if k not in ("_id", "_rand")} for doc in documents(fo, "copy")]
    assert plain == [{k: v for k, v in doc.items() if k not in ("_id", "_rand")} for doc in before]
    assert data.stats()["samples_count"] == 4
    assert data.bounds("predictions.detections.confidence")[1] <= 1
    assert set(data.count_values("predictions.detections.verdict")) <= {
        "correct",
        "wrong",
        "duplicate",
        "ignored",
        "unjudged",
        "below",
    }


@pytest.mark.parametrize("threshold", [0.5, {"car": 0.2, "dog": 0.8, "cup": 0.4}])
def test_the_evaluation_is_what_fiftyone_would_compute(fo, tmp_path, threshold):
    run = random_run(tmp_path, images=12, objects=5, dets=9, seed=3, crowd=0.2, unlabelled=(3,), missing=(5,))
    push_to_fiftyone(run, name="eval", threshold=threshold, lowest=0.1)
    data = fo.load_dataset("eval")
    ours = data.load_evaluation_results("eval", cache=False)
    theirs = data.load_evaluation_view("eval").evaluate_detections(
        "predictions", gt_field="ground_truth", eval_key="theirs", iou=0.5
    )

    def rows(results):
        return sorted(
            map(
                str,
                zip(
                    results.ytrue,
                    results.ypred,
                    results.ytrue_ids,
                    results.ypred_ids,
                    np.round(np.array(results.confs, float), 9),
                ),
            )
        )

    assert len(rows(ours)) > 20 and rows(ours) == rows(theirs)
    assert list(ours.classes) == list(theirs.classes)
    for name in ("accuracy", "precision", "recall", "fscore", "support"):
        assert ours.metrics()[name] == theirs.metrics()[name]
    assert ours.metrics()["AP50"] > 0
    total = counts(match_run(run, 0.5), judge(run, threshold).thresholds)
    assert (data.sum("eval_tp"), data.sum("eval_fp"), data.sum("eval_fn")) == (total.tp, total.fp, total.fn)
    assert data.get_evaluation_info("eval").config.iou == 0.5
    for sample in data:
        for label in (sample.ground_truth or fo.Detections()).detections + (
            sample.predictions or fo.Detections()
        ).detections:
            assert label.to_dict().get("eval") == label.to_dict().get("theirs")
            assert label.to_dict().get("eval_id") == label.to_dict().get("theirs_id")


def test_saved_views_show_the_boxes_they_name(fo, tmp_path):
    push_to_fiftyone(hand_made(tmp_path), name="views")
    data = fo.load_dataset("views")

    def labels(view, field):
        return data.load_saved_view(view).values(f"{field}.detections.label", unwind=2)

    assert labels("Missed", "ground_truth") == ["dog", "car"]
    assert labels("Missed but seen", "ground_truth") == ["dog"]
    assert labels("Wrong", "predictions") == ["dog"] == labels("Confusions", "predictions")
    assert labels("Duplicates", "predictions") == []
    assert sorted(data.load_saved_view("Mistakes as patches").values("type")) == ["fn", "fn", "fp"]
    assert data.app_config.sidebar_groups[0].name == "labels"


def test_pushed_again_updates_and_doubles_nothing(fo, tmp_path):
    run = random_run(tmp_path, images=7, seed=2)
    push_to_fiftyone(run, name="again")
    before = documents(fo, "again")
    report = push_to_fiftyone(run, name="again")
    assert (report.inserted, report.updated) == (0, 7)
    assert documents(fo, "again") == before
    push_to_fiftyone(run, name="again", threshold=0.9)
    assert fo.load_dataset("again").list_evaluations() == ["eval"]
    assert fo.load_dataset("again").sum("eval_tp") < sum(d["eval_tp"] for d in before)
    push_to_fiftyone(run, name="again")
    assert documents(fo, "again") == before


def test_a_push_that_was_cut_is_completed_by_the_next(fo, tmp_path):
    run = random_run(tmp_path, images=7, seed=2)
    push_to_fiftyone(run, name="whole")
    from analysis.fiftyone.push.dataset import push
    from analysis.fiftyone.push.options import PushOptions

    seen = []
    report = push(
        run,
        judge(run),
        PushOptions(name="cut"),
        batch=2,
        progress=lambda p: seen.append(p.done),
        should_stop=lambda: len(seen) == 2,
    )
    assert report.cancelled and report.inserted == 4 and fo.load_dataset("cut").count() == 4
    assert fo.load_dataset("cut").info["boxscope"]["runs"][run.manifest.identity]["state"] == "pushing"
    report = push(run, judge(run), PushOptions(name="cut"), batch=2)
    assert (report.inserted, report.updated, report.cancelled) == (3, 4, False)
    assert documents(fo, "cut") == documents(fo, "whole")


def test_what_people_did_stays(fo, tmp_path):
    run = hand_made(tmp_path)
    push_to_fiftyone(run, name="people")
    data = fo.load_dataset("people")
    first = data.first()
    first.tags.append("look")
    first.ground_truth.detections[0].label = "dog"
    first.ground_truth.detections[0].tags = ["label-wrong"]
    del first.ground_truth.detections[1]
    first.ground_truth.detections.append(fo.Detection(label="car", bounding_box=[0, 0, 0.1, 0.1]))
    first.predictions.detections[1].tags = ["ok"]
    first["mine"] = 3
    first.save()
    report = push_to_fiftyone(run, name="people", threshold=0.25, lowest=0.5)
    assert report.kept_edits == 3
    again = fo.load_dataset("people").first()
    again.reload()
    assert again.tags == ["look"] and again.mine == 3
    assert [(o.label, o.tags, o.to_dict().get("verdict")) for o in again.ground_truth.detections] == [
        ("dog", ["label-wrong"], "found"),
        ("car", [], None),
    ]
    assert (
        again.predictions.detections[1].tags == ["ok"]
        and again.predictions.detections[1].verdict == "correct"
    )
    report = push_to_fiftyone(run, name="people", discard_edits=True)
    again.reload()
    assert report.kept_edits == 0
    assert [(o.label, o.tags) for o in again.ground_truth.detections] == [
        ("car", ["label-wrong"]),
        ("dog", []),
    ]


def test_a_second_run_lies_beside_the_first(fo, tmp_path):
    one, two = (
        random_run(tmp_path, images=5, seed=4),
        random_run(tmp_path, images=5, seed=4, detector="other"),
    )
    push_to_fiftyone(one, name="both")
    report = push_to_fiftyone(two, name="both")
    assert (report.predictions, report.eval_key, report.inserted, report.updated) == (
        "predictions_2",
        "eval_2",
        0,
        5,
    )
    data = fo.load_dataset("both")
    assert data.list_evaluations() == ["eval", "eval_2"]
    for run, suffix in ((one, ""), (two, "_2")):
        total = counts(match_run(run, 0.5), 0.5)
        assert data.sum(f"eval{suffix}_tp") == total.tp and data.sum(f"eval{suffix}_fn") == total.fn
        assert data.count_values(f"ground_truth.detections.verdict{suffix}").get("missed", 0) == total.fn
    assert push_to_fiftyone(one, name="both").predictions == "predictions"
    assert push_to_fiftyone(two, name="both").eval_key == "eval_2"
    assert fo.load_dataset("both").count("ground_truth.detections") == len(one.truth)


def test_names_that_are_taken_are_refused(fo, tmp_path):
    run = hand_made(tmp_path)
    other = fo.Dataset("theirs", persistent=True)
    other.add_sample(fo.Sample(str(tmp_path / "a.jpg")))
    with pytest.raises(InputError, match="did not make"):
        push_to_fiftyone(run, name="theirs")
    push_to_fiftyone(random_run(tmp_path / "r", images=2), name="others")
    with pytest.raises(InputError, match="other images or annotations"):
        push_to_fiftyone(run, name="others")


def test_pictures_a_browser_cannot_show_get_a_copy(fo, tmp_path):
    import cv2

    run = hand_made(tmp_path)
    cv2.imwrite(str(tmp_path / "a.pgm"), np.full((80, 100), 90, np.uint8))
    run.files[0] = str(tmp_path / "a.pgm")
    run._loader = None
    report = push_to_fiftyone(run, name="shown")
    first, second = list(fo.load_dataset("shown"))
    assert (
        report.copies == 1
        and first.source_file == str(tmp_path / "a.pgm")
        and second.filepath == str(tmp_path / "b.jpg")
    )
    assert cv2.imread(first.filepath).shape == (80, 100, 3) and first.filepath.endswith(".png")
    assert push_to_fiftyone(run, name="shown").copies == 0


def test_a_column_must_fit(tmp_path):
    run = hand_made(tmp_path)
    with pytest.raises(InputError, match="expected 3 values"):
        judge(run, truth_columns={"cause": np.zeros(2)})
    with pytest.raises(InputError, match="may not be named 'verdict'"):
        judge(run, det_columns={"verdict": np.zeros(4)})
    with pytest.raises(InputError, match="did you mean car"):
        judge(run, {"cars": 0.4})


def test_mistakes_by_hand(tmp_path):
    judged = judge(hand_made(tmp_path), 0.5)
    assert judged.confused.tolist() == [-1, -1, 2, -1]
    assert judged.det_error.tolist() == ["", "", "classification", ""] and judged.truth_error.tolist() == [
        "",
        "missed",
        "classification",
    ]
    assert judged.counts["tp"] == 1 and judged.counts["fp"] == 1 and judged.counts["fn"] == 2
    assert judge(hand_made(tmp_path), 0.01).det_error.tolist() == ["", "", "classification", "background"]
