"""The way back: tags and corrections made through FiftyOne's own API come home, are applied, undone and
re-scored.
"""

from __future__ import annotations

import numpy as np
import pytest

from analysis.fiftyone.pull.changes import (
    Change,
    ChangeList,
    Truth,
    apply_changes,
    as_dataset,
    rescore,
    write_changed,
)
from analysis.fiftyone.pull.expectations import (
    Expectation,
    check_expectations,
    excuse,
    expectations_file,
    expectations_of,
    find_objects,
    load_expectations,
    save_expectations,
)
from analysis.fiftyone.service import plugin
from analysis.fiftyone_bridge import pull_from_fiftyone, push_to_fiftyone
from detector.errors import DataError, InputError
from tests.analysis.fiftyone.push.test_push import hand_made
from tests.analysis.fiftyone_runs import random_run


def objects(dataset):
    t = dataset.objects
    return sorted(
        (int(r), int(i), int(c), tuple(b)) for r, i, c, b in zip(t.rows, t.ids, t.class_ids, t.xyxy.tolist())
    )


def edit(fo, name):
    """What a person does: correct a class, move a box, delete, redraw, add, tag."""
    data = fo.load_dataset(name)
    first, second = list(data)
    first.ground_truth.detections[1].label = "car"
    first.ground_truth.detections[1].tags = ["must-detect"]
    first.ground_truth.detections[0].bounding_box = [0.1, 0.1, 0.5, 0.4]
    first.ground_truth.detections.append(
        fo.Detection(label="dog", bounding_box=[0.7, 0.8, 0.2, 0.1], tags=["ok-to-miss"])
    )
    first.tags = ["night"]
    first.save()
    second.ground_truth.detections = [
        fo.Detection(label="dog", bounding_box=[0.2, 0.2, 0.5, 0.45])
    ]  # redrawn, with another class
    second.predictions.detections[0].tags = ["look"]
    second.save()


def test_nothing_was_done(fo, tmp_path):
    run = random_run(tmp_path, images=9, seed=6, crowd=0.2, unlabelled=(2,))
    push_to_fiftyone(run, name="calm")
    changes = pull_from_fiftyone(run, name="calm")
    assert changes.changes == () and changes.tags == () and changes.counts() == {}


def test_a_round_trip_twice_over(fo, tmp_path):
    run = hand_made(tmp_path)
    push_to_fiftyone(run, name="home")
    edit(fo, "home")
    for _ in range(2):
        changes = pull_from_fiftyone(run, name="home")
        by_kind = {c.kind: c for c in changes.changes}
        assert changes.counts() == {
            "box": 1,
            "class": 1,
            "class and box": 1,
            "added": 1,
            "tag look": 1,
            "tag must-detect": 1,
            "tag night": 1,
            "tag ok-to-miss": 1,
        }
        assert str(by_kind["class"]) == "a: dog -> car" and by_kind["class"].before.id == 9
        assert by_kind["box"].after.xyxy == pytest.approx((10, 8, 60, 40)) and by_kind[
            "box"
        ].before.flags == ("truncated",)
        assert by_kind["added"].before is None and by_kind["added"].after.xyxy == pytest.approx(
            (70, 64, 90, 72)
        )
        redrawn = by_kind["class and box"]
        assert redrawn.how.startswith("IoU 0.9") and (redrawn.before.id, redrawn.after.label) == (4, "dog")
        assert redrawn.who == "FiftyOne data set home" and redrawn.when
        assert [(t.side, t.object_id, t.tags) for t in changes.tags] == [
            ("image", None, ("night",)),
            ("truth", 9, ("must-detect",)),
            ("truth", None, ("ok-to-miss",)),
            ("detection", 0, ("look",)),
        ]
        report = push_to_fiftyone(run, name="home")
        assert report.kept_edits == 5 and fo.load_dataset("home").count("ground_truth.detections") == 4


def test_changes_are_applied_undone_and_rescored(fo, tmp_path):
    run = hand_made(tmp_path)
    push_to_fiftyone(run, name="score")
    edit(fo, "score")
    changes = pull_from_fiftyone(run, name="score")
    data = as_dataset(run)
    before = objects(data)
    applied = apply_changes(data, changes)
    assert applied.done == 4 and applied.skipped == [] and objects(data) == before != objects(applied.dataset)
    assert applied.dataset.objects.truncated.sum() == 1
    assert objects(apply_changes(applied.dataset, changes.inverse()).dataset) == before
    assert apply_changes(applied.dataset, changes).done == 1  # only the added object fits twice
    old, new, corrected = rescore(run, changes)
    assert old["AP50"] != new["AP50"] and len(corrected.truth) == 4 and len(run.truth) == 3
    changes.save(tmp_path / "changes.json")
    assert ChangeList.load(tmp_path / "changes.json") == changes
    (tmp_path / "changes.json").write_text("{}")
    with pytest.raises(DataError, match="not a change list"):
        ChangeList.load(tmp_path / "changes.json")


@pytest.mark.parametrize("form", ["coco", "voc", "yolo"])
def test_corrected_annotations_are_written_anew(tmp_path, form):
    from detector.data import load_dataset

    run = hand_made(tmp_path)
    data = as_dataset(run)
    data.format = form
    change = Change(
        "class", "a", Truth("dog", (60, 20, 90, 60), 9), Truth("car", (60, 20, 90, 60), 9), file="a.jpg"
    )
    late = Change("deleted", "b", Truth("dog", (20, 16, 70, 56), 4), None)
    lost = Change("deleted", "z", Truth("dog", (1, 1, 9, 9), 1), None)
    assert "no such image" in apply_changes(data, [lost]).skipped[0]
    odd = Change("added", "b", None, Truth("van", (1, 1, 9, 9), 50))
    applied = write_changed(data, ChangeList("x", "r", "f", (change, late, odd)), tmp_path / "out")
    assert (
        applied.done == 1
        and "no longer as it was" in applied.skipped[0]
        and "no class 'van'" in applied.skipped[1]
    )
    back = load_dataset(tmp_path / "out")
    assert sorted(back.class_map.names[c] for c in back.objects.class_ids) == ["car", "car", "car"]
    undone = apply_changes(back, [change.inverse()])  # ids are new: known by file, class and box
    with pytest.raises(InputError, match="never over the old ones"):
        write_changed(data, ChangeList("x", "r", "f"), tmp_path / "out")
    if form == "voc":  # its classes are those of its objects, and the last dog is gone
        assert "no class 'dog'" in undone.skipped[0]
        return
    assert undone.done == 1 and sorted(back.class_map.names[c] for c in undone.dataset.objects.class_ids) == [
        "car",
        "car",
        "dog",
    ]


def test_a_pull_needs_its_push(fo, tmp_path):
    run = hand_made(tmp_path)
    with pytest.raises(InputError, match="push the run first"):
        pull_from_fiftyone(run, name="never")
    push_to_fiftyone(random_run(tmp_path / "r", images=2), name="else")
    with pytest.raises(InputError, match="not pushed from these images"):
        pull_from_fiftyone(run, name="else")


def test_promises_by_hand(tmp_path):
    run = hand_made(tmp_path)
    must = [
        Expectation("must-detect", "a", 7, "car", (10, 8, 50, 40)),
        Expectation("must-detect", "a", 9, "dog", (60, 20, 90, 60)),
    ]
    other = [
        Expectation("ok-to-miss", "b", None, "car", (21, 16, 70, 56)),
        Expectation("must-detect", "a", 7, "car", (90, 70, 99, 79)),
    ]
    assert find_objects(run, must + other) == [0, 1, 2, -1]
    outcomes = check_expectations(run, must + other)
    assert [o.state for o in outcomes] == ["kept", "broken", "excused", "lost"]
    assert outcomes[1].score == pytest.approx(
        0.3
    ) and "dog in a at [60, 20, 90, 60] is broken (seen at 0.30)" in str(outcomes[1])
    assert [o.state for o in check_expectations(run, must, 0.25)] == ["kept", "kept"]
    excused, number = excuse(run, other)
    assert number == 1 and excused.truth.crowd.tolist() == [False, False, True]
    from analysis.matching.counts import counts
    from analysis.matching.match import match_run

    assert (counts(match_run(run)).fn, counts(match_run(excused)).fn) == (2, 1)
    path = expectations_file("/some/data")
    save_expectations(must, path)
    assert load_expectations(path) == must and load_expectations(path.with_name("none.json")) == []
    path.write_text("{")
    with pytest.raises(DataError, match="promises cannot be read"):
        load_expectations(path)


def test_promises_come_from_tags(fo, tmp_path):
    run = hand_made(tmp_path)
    push_to_fiftyone(run, name="tags")
    sample = fo.load_dataset("tags").first()
    sample.ground_truth.detections[1].tags = ["must-detect", "seen"]
    sample.save()
    (promise,) = expectations_of(pull_from_fiftyone(run, name="tags"))
    assert (promise.promise, promise.sample_id, promise.object_id, promise.label) == (
        "must-detect",
        "a",
        9,
        "dog",
    )
    assert [o.state for o in check_expectations(run, [promise])] == ["broken"]


def test_fiftyone_finds_our_operator(fo, tmp_path, monkeypatch):
    folder = plugin.install()
    monkeypatch.setattr(fo.config, "plugins_dir", str(folder.parent))
    import fiftyone.operators as operators
    import fiftyone.plugins as plugins

    assert plugin.NAME in [p.name for p in plugins.list_plugins()]
    assert any(o.uri == plugin.OPERATOR for o in operators.list_operators())
    run = hand_made(tmp_path)
    push_to_fiftyone(run, name="explained")
    sample = fo.load_dataset("explained").first()
    operator = operators.get_operator(plugin.OPERATOR)
    found = operator.execute(
        _Context(fo.load_dataset("explained"), sample, sample.ground_truth.detections[1].id)
    )
    assert found["links"] == [
        "http://localhost:8501/image?run=two+with+tiny&conf=0.5&iou=0.5&image=a&object=t9"
    ]
    assert operator.execute(_Context(fo.load_dataset("explained"), sample, None))["links"][0].endswith(
        "image=a"
    )


class _Context:
    def __init__(self, dataset, sample, label_id):
        self.dataset, self.view, self.current_sample, self.selected = dataset, dataset.view(), sample.id, []
        self.selected_labels = (
            [{"label_id": label_id, "sample_id": sample.id, "field": "ground_truth"}] if label_id else []
        )


def test_apply_on_an_empty_list(tmp_path):
    data = as_dataset(hand_made(tmp_path))
    assert objects(apply_changes(data, []).dataset) == objects(data)
    assert np.array_equal(apply_changes(data, []).dataset.labelled, data.labelled)
