"""AP and AR against pycocotools, to the last bit, on its own example and on random variants."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from analysis.metrics.coco_columns import columns_of_files, image_ranks
from analysis.metrics.evaluate import evaluate
from analysis.metrics.evaluation import FIGURES
from analysis.runs.in_memory import run_from_detections
from detector.core import Detections, DetectorInfo
from detector.data.dataset import Dataset
from detector.errors import DataError, InputError
from tests.analysis.builders import coco_dicts, make_run, pycoco_eval, random_run


def equal(evaluation, ev):
    own = [-1.0 if evaluation[name] is None else evaluation[name] for name in FIGURES]
    np.testing.assert_array_equal(own, ev.stats)


VARIANTS = {
    "plain": {},
    "no crowd, no ties": {"crowd": 0, "ties": False},
    "crowds": {"crowd": 0.5},
    "one image": {"images": 1},
    "large boxes": {"size": 300},
    "more than 100 detections": {"images": 3, "dets": 600, "objects": 20},
    "two images": {"images": 2},
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("variant", VARIANTS)
def test_random_variants(variant, seed):
    truth, results = coco_dicts(random_run(seed + 20, **VARIANTS[variant]))
    equal(evaluate(truth=truth, predictions=results, check=False), pycoco_eval(truth, results))


def test_duplicate_boxes_and_duplicate_scores():
    truth, results = coco_dicts(random_run(3))
    results = results + copy.deepcopy(results)
    equal(evaluate(truth=truth, predictions=results, check=False), pycoco_eval(truth, results))


def test_images_in_any_order_and_scattered_ids():
    truth, results = coco_dicts(random_run(4, images=20))
    rng = np.random.default_rng(0)
    new = {i: int(v) for i, v in enumerate(rng.permutation(5000)[:20])}
    for entry in truth["annotations"] + results:
        entry["image_id"] = new[entry["image_id"]]
    for image in truth["images"]:
        image["id"] = new[image["id"]]
    rng.shuffle(truth["annotations"])
    rng.shuffle(results)
    rng.shuffle(truth["images"])
    equal(evaluate(truth=truth, predictions=results, check=False), pycoco_eval(truth, results))


def test_image_ids_that_are_text():
    truth, results = coco_dicts(random_run(5, images=15))
    for entry in truth["annotations"] + results:
        entry["image_id"] = f"photo {entry['image_id']}"
    for image in truth["images"]:
        image["id"] = f"photo {image['id']}"
    equal(evaluate(truth=truth, predictions=results, check=False), pycoco_eval(truth, results))


def test_nothing_predicted_nothing_to_find():
    truth, results = coco_dicts(random_run(6))
    none = evaluate(truth=truth, predictions=[])
    equal(none, pycoco_eval(truth, []))
    assert none["AP"] == 0 and none.detections == 0
    empty = truth | {"annotations": []}
    undefined = evaluate(truth=empty, predictions=results, check=False)
    equal(undefined, pycoco_eval(empty, results))
    assert undefined["AP"] is None and undefined.per_class["c0"]["AP"] is None
    assert json.loads(json.dumps(undefined.to_dict()))["AP"] is None
    assert evaluate(truth=truth | {"images": [], "annotations": []}, predictions=[])["AP"] is None


def test_annotation_id_0_is_an_object_like_any_other():
    run = random_run(7)
    first_is_one, results = coco_dicts(run, first_id=1)
    first_is_zero, _ = coco_dicts(run, first_id=0)
    equal(evaluate(truth=first_is_zero, predictions=results, check=False), pycoco_eval(first_is_one, results))


def test_per_class_is_pycocotools_with_that_class_alone():
    truth, results = coco_dicts(random_run(8, images=20))
    whole = evaluate(truth=truth, predictions=results, check=False)
    for k, name in enumerate(("c0", "c1", "c2")):
        alone = pycoco_eval(truth, results, catIds=[k])
        assert whole.per_class[name]["AP"] == float(np.mean(alone.eval["precision"][:, :, :, 0, 2]))
        narrowed = evaluate(truth=truth, predictions=results, classes=[name], check=False)
        assert narrowed["AP"] == whole.per_class[name]["AP"]
        assert (
            narrowed.objects
            == whole.per_class[name]["objects"]
            == sum(a["category_id"] == k and not a["iscrowd"] for a in truth["annotations"])
        )
    assert whole.per_class["c3"]["AP"] is None, "no object of c3 exists"


def test_a_subset_of_images():
    truth, results = coco_dicts(random_run(9, images=10))
    mask = np.arange(10) % 3 == 0
    keep = {i for i in range(10) if mask[i]}
    less = truth | {
        "images": [i for i in truth["images"] if i["id"] in keep],
        "annotations": [a for a in truth["annotations"] if a["image_id"] in keep],
    }
    equal(
        evaluate(truth=truth, predictions=results, images=mask, check=False),
        pycoco_eval(less, [r for r in results if r["image_id"] in keep]),
    )


def test_area_of_the_box_is_a_choice():
    truth, results = coco_dicts(random_run(10, size=300))
    masked = copy.deepcopy(truth)
    for a in masked["annotations"]:
        a["area"] *= 0.4
    equal(evaluate(truth=masked, predictions=results, check=False), pycoco_eval(masked, results))
    equal(evaluate(truth=masked, predictions=results, area="box", check=False), pycoco_eval(truth, results))


def test_a_run_equals_its_own_file():
    run = random_run(11, images=12)
    names = run.class_map
    ids = [str(i) for i in (30, 4, 100, 7, 22, 1, 2, 3, 55, 8, 9, 10)]  # file order is not number order
    data = Dataset(
        name="d",
        format="coco",
        source="",
        class_map=names,
        sample_ids=ids,
        files=[""] * 12,
        sizes=run.sizes,
        objects=run.truth,
    )
    found = [
        Detections(run.detections.xyxy[s], run.detections.scores[s], run.detections.class_ids[s], (100, 80))
        for s in map(run.detections.of, range(12))
    ]
    stored = run_from_detections(data, [*found[:11], None], DetectorInfo("toy", "fake", names, "abcdef0123"))
    truth, results = coco_dicts(run)
    for entry in truth["annotations"] + results:
        entry["image_id"] = int(ids[entry["image_id"]])
    for image in truth["images"]:
        image["id"] = int(ids[image["id"]])
    last = int(ids[11])
    truth = truth | {
        k: [e for e in truth[k] if e.get("image_id", e["id"]) != last] for k in ("images", "annotations")
    }
    evaluation = evaluate(stored)
    equal(evaluation, pycoco_eval(truth, [r for r in results if r["image_id"] != last]))
    assert evaluation.notes == ("1 of 12 images take no part: not labelled, not finished or not readable.",)
    assert evaluation.settings["detector"] == "toy" and "toy abcdef01" in evaluation.operating_point
    json.dumps(evaluation.to_dict())


def test_order_of_images():
    assert image_ranks(["10", "9", "100"]).tolist() == [1, 0, 2]
    assert image_ranks(["b10", "b9", "a"]).tolist() == [1, 2, 0]


def test_questions_that_make_no_sense():
    truth, results = coco_dicts(random_run(1))
    for kwargs in ({}, {"truth": truth}, {"run": object(), "truth": truth, "predictions": results}):
        with pytest.raises(InputError, match="expected a run, or truth= and predictions="):
            evaluate(**kwargs)
    for kwargs, words in (
        ({"area": "mask"}, "area"),
        ({"max_detections": (1, 10)}, "three numbers"),
        ({"images": np.ones(3)}, "a mask over 12"),
        ({"classes": ["x"]}, "No class"),
    ):
        with pytest.raises(InputError, match=words):
            evaluate(truth=truth, predictions=results, check=False, **kwargs)


def test_files_that_cannot_be_used_are_named(tmp_path):
    truth, results = coco_dicts(random_run(1))
    broken = tmp_path / "broken.json"
    broken.write_text('{"images": [\n}')
    for t, p, words in (
        (tmp_path / "none.json", results, "no such annotation file"),
        (broken, results, r"broken.json:2: Expected JSON"),
        ([1], results, "COCO annotation file"),
        (truth, {"x": 1}, "COCO results file"),
        (truth, [{"image_id": 1}], "entry 0"),
        (truth, [{**results[0], "bbox": [1, 2, 3]}], "4 finite numbers"),
        (truth, [{**results[0], "score": float("nan")}], "finite number"),
    ):
        with pytest.raises(DataError, match=words):
            evaluate(truth=t, predictions=p)


def test_pycocotools_own_example(shared):
    folder = shared / "data/detection_metrics/coco_val2014_fakebbox100"
    expected = json.loads((shared / "data/detection_metrics/EXPECTED.json").read_text())[
        "coco_val2014_fakebbox100"
    ]["bbox"]
    evaluation = evaluate(
        truth=folder / "instances_val2014_100.json",
        predictions=folder / "instances_val2014_fakebbox100_results.json",
    )
    assert evaluation.to_dict()["AP"] == pytest.approx(0.504580698724962, abs=1e-12)
    for name in FIGURES:
        assert evaluation[name] == pytest.approx(expected[name], abs=1e-12), name
    assert evaluation.notes == ()


def test_padillas_toy_with_annotation_id_0(shared):
    folder = shared / "data/detection_metrics/padilla_toyexample"
    e = evaluate(
        truth=folder / "gts_coco_format/toy_example_coco.JSON",
        predictions=folder / "dets_coco_format/coco_dets.json",
    )
    assert (e["AP"], e["AP50"], e["AP75"]) == pytest.approx((0.597923, 0.890264, 0.509241), abs=5e-7)


@pytest.mark.parametrize("variant", VARIANTS)
def test_our_own_matcher_gives_cocos_figures_too(variant):
    """The engine behind the other choices, at COCO's choices, against pycocotools."""
    from analysis.metrics import evaluate as metrics

    run = random_run(31, **VARIANTS[variant])
    truth, results = coco_dicts(run)
    ev = pycoco_eval(truth, results)
    columns = columns_of_files(metrics.read_truth(truth), metrics.read_results(results), False)
    figures, _ = metrics._chosen(columns, *columns.chosen(), [1, 10, 100], metrics.DEFAULTS)
    own = [-1.0 if figures[name] is None else figures[name] for name in FIGURES]
    np.testing.assert_allclose(own, ev.stats, atol=1e-12)


def test_other_choices():
    truth, results = coco_dicts(random_run(12, crowd=0.4, images=20))
    usual = evaluate(truth=truth, predictions=results, check=False)
    plain = copy.deepcopy(truth)
    for a in plain["annotations"]:
        a["iscrowd"] = 0
    counted = evaluate(truth=truth, predictions=results, crowd="count", check=False)
    np.testing.assert_allclose(
        [v for v in counted.figures.values() if v is not None],
        [v for v in pycoco_eval(plain, results).stats if v > -1],
        atol=1e-12,
    )
    without = truth | {"annotations": [a for a in truth["annotations"] if not a["iscrowd"]]}
    left = evaluate(truth=truth, predictions=results, crowd="leave out", check=False)
    np.testing.assert_allclose(
        [v for v in left.figures.values() if v is not None],
        [v for v in pycoco_eval(without, results).stats if v > -1],
        atol=1e-12,
    )
    assert (
        left.objects == usual.objects
        and "crowd: leave out" in left.operating_point
        and "crowd" not in usual.operating_point
    )
    zero = evaluate(truth=truth, predictions=results, classes_without_truth="zero", check=False)
    assert (
        zero["AP"] == pytest.approx(usual["AP"] * 3 / 4)
        and zero["AR100"] == pytest.approx(usual["AR100"])
        and zero.per_class["c3"]["AP"] == 0
    )
    eleven = evaluate(truth=truth, predictions=results, interpolation="11", check=False)
    assert (
        eleven["AP"] != usual["AP"]
        and eleven["AR100"] == pytest.approx(usual["AR100"])
        and "11 recall points" in eleven.operating_point
    )
    with pytest.raises(InputError, match="crowd: expected one of ignore, count, leave out"):
        evaluate(truth=truth, predictions=results, crowd="maybe")


def test_difficult_objects_are_a_choice():
    """Two cars, the difficult one missed, and two boxes on a difficult dog."""
    objects = [
        (0, 0, 0, 20, 10, 0),
        (0, 40, 0, 60, 10, 0, {"difficult"}),
        (1, 0, 0, 20, 10, 1, {"difficult"}),
        (1, 40, 0, 60, 10, 1),
    ]
    dets = [
        (0, 0, 0, 20, 10, 0.9, 0),
        (1, 0, 0, 20, 10, 0.9, 1),
        (1, 0, 0, 20, 10, 0.8, 1),
        (1, 40, 0, 60, 10, 0.7, 1),
    ]
    run = make_run(dets, objects)
    counted, ignored = evaluate(run), evaluate(run, difficult="ignore")
    assert counted.per_class["car"]["AP"] == pytest.approx(51 / 101) and counted.objects == 4
    assert (
        ignored.per_class["car"]["AP"] == 1
        and ignored.per_class["dog"]["AP"] == 1
        and (ignored.objects, ignored.crowd) == (2, 2)
    )
    assert counted.per_class["dog"]["AP"] == pytest.approx((51 + 50 * 2 / 3) / 101)
