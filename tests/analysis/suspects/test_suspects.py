"""Suspect labels: planted errors are found, what is planted is what was asked, and decisions come home."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.intervals import wilson
from analysis.suspects.boxes import Labels, best_of, scene_of
from analysis.suspects.decisions import decide, list_precision, load_decisions
from analysis.suspects.features import detection_features, label_features
from analysis.suspects.finding import find_suspects, trained_on_warning
from analysis.suspects.planting import KINDS, plant
from analysis.suspects.queue import read_queue, write_queue
from analysis.suspects.ranking import LABEL_KINDS, rank
from detector.errors import ConfigError, InputError
from tests.analysis.builders import make_run


def drawn_run(images=120, seed=0, spoil=()):
    """Two or three objects per image of a 300 x 200 frame, seen by a detector that misses one in seven."""
    rng = np.random.default_rng(seed)
    dets, objects = [], []
    for i in range(images):
        for n in range(rng.integers(2, 4)):
            x, y, w, h = 10 + 95 * n, rng.integers(5, 90), rng.integers(30, 70), rng.integers(30, 90)
            k = int(rng.integers(0, 3))
            objects.append((i, x, y, x + w, y + h, k))
            if rng.random() < 6 / 7:
                jitter = rng.normal(0, 2, 4)
                dets.append((i, *(np.array([x, y, x + w, y + h]) + jitter), rng.uniform(0.4, 1), k))
            if rng.random() < 0.15:
                dets.append((i, x, y, x + w, y + h, rng.uniform(0.05, 0.3), (k + 1) % 3))
        if rng.random() < 0.3:
            dets.append((i, 5, 150, 40, 190, rng.uniform(0.05, 0.4), int(rng.integers(0, 3))))
    for at, row in spoil:
        objects[at] = row(objects[at])
    return make_run(dets, objects, num_images=images, sizes=(300, 200))


def test_best_of_by_hand():
    best, place = best_of(np.array([0.2, 0.9, 0.5]), np.array([1, 1, 0]), 3)
    assert best.tolist() == [0.5, 0.9, 0.0] and place.tolist() == [2, 1, -1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_planted_is_what_was_asked(kind):
    scene = scene_of(drawn_run())
    m = len(scene.labels)
    planted = plant(scene, {kind: 0.1}, seed=3)
    n = round(0.1 * m)
    spoilt = planted.kind == KINDS.index(kind)
    assert (planted.kind >= 0).sum() == spoilt.sum() == (0 if kind == "missing" else n)
    assert len(planted.removed) == (n if kind == "missing" else 0)
    assert len(planted.labels) == m + {"missing": -n, "spurious": n, "duplicate": n}.get(kind, 0)
    before = {int(s): i for i, s in enumerate(scene.labels.source)}
    for i in np.flatnonzero(spoilt):
        source = int(planted.labels.source[i])
        if kind == "wrong name":
            assert planted.labels.classes[i] != scene.labels.classes[before[source]]
        if kind == "badly placed":
            old, new = scene.labels.xyxy[before[source]], planted.labels.xyxy[i]
            off = np.abs(new - old)[:2] / (old[2:] - old[:2])
            assert 0.05 < off.max() <= 0.61 and (new[2:] - new[:2]) == pytest.approx(old[2:] - old[:2])
        if kind in ("spurious", "duplicate"):
            assert source == -1


def test_planting_nothing_and_planting_one_class_leave_the_labels():
    scene = scene_of(drawn_run(10))
    assert np.array_equal(plant(scene, {}).labels.xyxy, scene.labels.xyxy)
    one = scene.with_labels(
        Labels(scene.labels.rows, scene.labels.classes * 0, scene.labels.xyxy, scene.labels.source)
    )
    assert (plant(one, {"wrong name": 0.5}).labels.classes == 0).all()


def test_features_by_hand():
    run = make_run(
        [
            (0, 0, 0, 10, 10, 0.9, 0),
            (0, 0, 0, 10, 10, 0.8, 1),
            (0, 50, 50, 60, 60, 0.7, 1),
            (0, 80, 0, 90, 10, 0.04, 1),
        ],
        [(0, 0, 0, 10, 10, 1), (0, 0, 0, 10, 9, 1)],
    )
    scene = scene_of(run)
    f = label_features(scene)
    assert f.table[0, :4] == pytest.approx([0.8, 0.9, 0.9, 0.1]), (
        "support of its name, of another, free, difference"
    )
    assert (f.same[0], f.other[0], f.twin[0]) == (1, 0, 1) and f.twin_iou[0] == pytest.approx(0.9)
    unexplained = detection_features(scene)
    assert unexplained.places.tolist() == [0, 2], (
        "one fits no label of its class, one lies alone, one is too weak"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_planted_errors_come_first(kind):
    whole = scene_of(drawn_run())
    planted = plant(whole, {kind: 0.06}, seed=1)
    scene = whole.with_labels(planted.labels)
    found = rank(scene)
    n = max(int((planted.kind >= 0).sum()), len(planted.removed))
    if kind == "missing":
        first = found.detections.places[np.argsort(-found.missing)[: n // 2]]
        rows = set(planted.removed.rows.tolist())
        assert np.mean([int(scene.det_rows[d]) in rows for d in first]) >= 0.8
        return
    first = np.argsort(-found.labels[:, LABEL_KINDS.index(kind)])[: n // 2]
    hit = planted.kind[first] >= 0
    if kind == "duplicate":
        hit |= planted.kind[found.features.twin[first]] >= 0
    assert hit.mean() >= 0.7


def test_a_renamed_object_is_listed_with_its_evidence_and_worth():
    run = drawn_run(spoil=[(4, lambda o: (*o[:5], (o[5] + 1) % 3))])
    found = find_suspects(run, threshold=0.3)
    [mine] = [s for s in found.suspects if s.object == 4]
    assert mine.kind == "wrong name" and mine.iou > 0.7 and mine.suspicion > 0.5
    assert mine.label_class != mine.seen_class and mine.seen_class in mine.reason
    assert (mine.counts, mine.worth) == ("missed", 2)
    assert found.recall_then >= found.recall_now
    assert sum(found.counts().values()) == len(found.suspects)
    json.dumps(found.to_dict())
    again = find_suspects(run, threshold=0.3)
    assert again.suspects == found.suspects, "the list is the same each time"


def test_too_few_labels_are_said_and_trained_images_warned_of():
    with pytest.raises(InputError, match="at least 30 labels"):
        find_suspects(drawn_run(3))
    run = drawn_run(3)
    assert trained_on_warning(run) == ""
    run.splits = ["train", "val", None]
    assert "split train" in trained_on_warning(run)


def test_decisions_are_kept_and_give_the_precision_of_the_list(tmp_path):
    run = drawn_run(spoil=[(4, lambda o: (*o[:5], (o[5] + 1) % 3)), (9, lambda o: (*o[:5], (o[5] + 1) % 3))])
    first, second, *_ = find_suspects(run).suspects
    assert load_decisions(tmp_path) == {}
    decide(tmp_path, first, "label wrong")
    kept = decide(tmp_path, second, "label right")
    assert load_decisions(tmp_path) == kept
    precision = list_precision(kept)
    assert (precision.wrong, precision.right, precision.share) == (1, 1, 0.5)
    assert list_precision(decide(tmp_path, second, None)).share == 1.0
    with pytest.raises(InputError, match="label wrong"):
        decide(tmp_path, first, "maybe")
    (tmp_path / "suspects.json").write_text('{"decisions": {"a": {}}}')
    with pytest.raises(ConfigError, match="decisions"):
        load_decisions(tmp_path)


def test_wilson_by_hand():
    low, high = wilson(8, 10)
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert wilson(0, 0) is None


def test_a_queue_goes_out_and_its_decisions_come_home(tmp_path):
    run = drawn_run(spoil=[(4, lambda o: (*o[:5], (o[5] + 1) % 3))])
    suspects = find_suspects(run).suspects
    for how in ("csv", "coco", "labelstudio"):
        write_queue(run, suspects, {}, tmp_path / how, how)
    coco = json.loads((tmp_path / "coco").read_text())
    assert (
        len(coco["annotations"]) == len(suspects)
        and coco["annotations"][0]["attributes"]["key"] == suspects[0].key
    )
    tasks = json.loads((tmp_path / "labelstudio").read_text())
    assert sum(len(t["predictions"][0]["result"]) for t in tasks) == len(suspects)
    assert read_queue(tmp_path / "csv") == {}
    lines = (tmp_path / "csv").read_text().splitlines()
    header = lines[0].split(",")
    (tmp_path / "back.csv").write_text(f"key,decision\n{suspects[0].key},unsure\n")
    assert header[0] == "key" and read_queue(tmp_path / "back.csv") == {suspects[0].key: "unsure"}
    (tmp_path / "back.csv").write_text(f"key,decision\n{suspects[0].key},wrong\n")
    with pytest.raises(InputError, match="line 2"):
        read_queue(tmp_path / "back.csv")
