"""VOC's AP: by hand, against the plain devkit loop, and Padilla's published values."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from analysis.average_precision import average_precision
from analysis.metrics.voc import evaluate_voc
from detector.errors import InputError
from tests.analysis.builders import make_run, random_run


def test_interpolations_by_hand():
    # right, wrong, right of 4 objects: precision 1, 1/2, 2/3 at recall 1/4, 1/4, 1/2.
    correct = np.array([1, 0, 1], bool)
    assert average_precision(correct, 4, "all") == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)
    assert average_precision(correct, 4, "11") == pytest.approx(
        (3 * 1 + 3 * 2 / 3) / 11
    )  # r = 0 .1 .2; .3 .4 .5
    assert average_precision(correct, 4, "101") == pytest.approx((26 * 1 + 25 * 2 / 3) / 101)
    assert average_precision(np.zeros(0, bool), 4) == 0 and np.isnan(average_precision(correct, 0))
    with pytest.raises(InputError, match="interpolation"):
        average_precision(correct, 4, "7")


def test_a_second_detection_is_wrong_even_where_another_object_is_free():
    # Both boxes overlap the first object most; COCO would give the second to the other object.
    objects = [(0, 0, 0, 20, 20, 0), (0, 0, 6, 20, 26, 0)]
    run = make_run([(0, 0, 0, 20, 20, 0.9, 0), (0, 0, 2, 20, 22, 0.8, 0)], objects)
    assert evaluate_voc(run).mean_ap == pytest.approx(0.5)


def test_difficult_and_crowd_count_on_neither_side():
    objects = [(0, 0, 0, 20, 20, 0), (0, 40, 0, 60, 20, 0, {"difficult"})]
    run = make_run(
        [(0, 40, 0, 60, 20, 0.9, 0), (0, 41, 0, 60, 20, 0.8, 0), (0, 0, 0, 20, 20, 0.7, 0)], objects
    )
    assert evaluate_voc(run).mean_ap == 1
    assert evaluate_voc(run, difficult="count").mean_ap == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_one_more_pixel_is_a_choice():
    run = make_run(
        [(0, 0, 0, 9, 4, 0.9, 0)], [(0, 0, 0, 9, 9, 0)]
    )  # 36/81 continuous, 50/100 with the devkit's pixels
    assert evaluate_voc(run, iou=0.5).mean_ap == 0
    assert evaluate_voc(run, iou=0.5, plus_one=True).mean_ap == 1


def test_nothing_and_nonsense():
    empty = evaluate_voc(make_run([], [], num_images=1))
    assert empty.mean_ap is None and set(empty.per_class.values()) == {None}
    for kwargs in ({"interpolation": "101"}, {"difficult": "maybe"}, {"iou": 0}):
        with pytest.raises(InputError):
            evaluate_voc(make_run([], [], num_images=1), **kwargs)


def devkit(run, k, bound, plus):
    """VOCevaldet in plain loops."""
    d, t = run.detections, run.truth
    gts = {
        i: [
            (b.astype(float), bool(f))
            for b, r, c, f in zip(t.xyxy, t.rows, t.class_ids, t.crowd | t.difficult)
            if r == i and c == k
        ]
        for i in range(len(run.sample_ids))
    }
    taken = {i: [False] * len(g) for i, g in gts.items()}
    dets = sorted([(-s, n) for n, (s, c) in enumerate(zip(d.scores, d.class_ids)) if c == k])
    out = []
    for _, n in dets:
        box, i = d.xyxy[n].astype(float), int(d.rows[n])
        best, at = -np.inf, -1
        for j, (g, _) in enumerate(gts[i]):
            w = min(box[2], g[2]) - max(box[0], g[0]) + plus
            h = min(box[3], g[3]) - max(box[1], g[1]) + plus
            if w > 0 and h > 0:
                union = (
                    (box[2] - box[0] + plus) * (box[3] - box[1] + plus)
                    + (g[2] - g[0] + plus) * (g[3] - g[1] + plus)
                    - w * h
                )
                if w * h / union > best:
                    best, at = w * h / union, j
        if best >= bound:
            if gts[i][at][1]:
                continue
            out.append(not taken[i][at])
            taken[i][at] = True
        else:
            out.append(False)
    n = sum(not f for g in gts.values() for _, f in g)
    return out, n


@pytest.mark.parametrize("plus", [0, 1])
@pytest.mark.parametrize("seed", range(4))
def test_equal_to_the_plain_loop(seed, plus):
    run = random_run(seed, images=15)
    e = evaluate_voc(run, iou=0.4, interpolation="all", plus_one=bool(plus))
    for k, name in enumerate(run.class_map.names):
        out, n = devkit(run, k, 0.4, plus)
        expected = None if not n else average_precision(np.array(out, bool), n, "all")
        assert e.per_class[name] == (None if expected is None else pytest.approx(expected, abs=1e-12))


def padilla(shared, gt, dt):
    """Run from lists of (file, x1, y1, x2, y2[, score])."""
    files = sorted({g[0] for g in gt} | {d[0] for d in dt})
    at = {f: i for i, f in enumerate(files)}
    return make_run(
        [(at[f], *b, s, 0) for f, *b, s in dt],
        [(at[f], *b, 0) for f, *b in gt],
        num_images=len(files),
        names=("object",),
    )


def test_padilla_sample_2(shared):
    folder = shared / "data/detection_metrics/padilla_sample_2"
    expected = json.loads((shared / "data/detection_metrics/EXPECTED.json").read_text())["padilla_sample_2"]
    gt, dt = [], []
    for file in sorted((folder / "groundtruths").glob("*.txt")):
        for line in file.read_text().splitlines():
            x, y, w, h = map(float, line.split()[-4:])
            gt.append((file.stem, x, y, x + w, y + h))
    for file in sorted((folder / "detections").glob("*.txt")):
        for line in file.read_text().splitlines():
            s, x, y, w, h = map(float, line.split()[-5:])
            dt.append((file.stem, x, y, x + w, y + h, s))
    run = padilla(shared, gt, dt)
    for bound in (0.1, 0.3, 0.5, 0.75):
        for interpolation, key in (("all", "AP_every_point"), ("11", "AP_11_point")):
            got = evaluate_voc(run, iou=bound, interpolation=interpolation, plus_one=True).mean_ap
            assert got == pytest.approx(expected[key][str(bound)], abs=1e-9), (bound, interpolation)


def test_padilla_toy(shared):
    folder = shared / "data/detection_metrics/padilla_toyexample"
    expected = json.loads((shared / "data/detection_metrics/EXPECTED.json").read_text())[
        "padilla_toyexample"
    ]["exact_by_us"]
    gt, dt = [], []
    for file in sorted(folder.rglob("*.xml")):
        gt += [
            (file.stem, *(float(b.find(k).text) for k in ("xmin", "ymin", "xmax", "ymax")))
            for b in ET.parse(file).iter("bndbox")
        ]
    for file in sorted((folder / "dets_classname_abs_xyx2y2").glob("*.txt")):
        for line in file.read_text().splitlines():
            s, *box = map(float, line.split()[-5:])
            dt.append((file.stem, *box, s))
    assert len(gt) == len(dt) == 12
    run = padilla(shared, gt, dt)
    for bound in (0.5, 0.75):
        for interpolation, key in (("all", "AP_every_point"), ("11", "AP_11_point")):
            got = evaluate_voc(run, iou=bound, interpolation=interpolation, plus_one=True).mean_ap
            assert got == pytest.approx(expected[key][str(bound)], abs=1e-9), (bound, interpolation)
