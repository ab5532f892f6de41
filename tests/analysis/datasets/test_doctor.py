"""The doctor: a clean data set has no finding, and each fault gives exactly its own."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.datasets.doctor import diagnose
from analysis.datasets.duplicates import Look, grey_thumb
from analysis.datasets.findings import Settings
from analysis.datasets.kinds import KINDS, SEVERITIES, counted
from detector.core import ClassMap
from detector.data.dataset import Problem
from tests.analysis.dataset_builders import scene, table
from tests.analysis.datasets.test_anchor_reach import grid, network

FEW = Settings(rare=2)
# Two images a split; a car and a dog in each, well inside, of ordinary shape.
CLEAN = [(i, c, 10 + 80 * c, 10, 60 + 80 * c, 70) for i in range(4) for c in (0, 1)]
SPLITS = ["train", "train", "val", "val"]


def clean(objects=CLEAN, **changes):
    options = {"sizes": ((200, 100),) * 4, "splits": SPLITS} | changes
    return table(objects, **options)


def kinds(dataset, **options) -> dict[str, int]:
    return {f.kind: f.count for f in diagnose(dataset, settings=FEW, **options).findings}


def look_of(dataset, pictures, digests=None) -> Look:
    return Look(
        tuple(digests or map(str, range(len(dataset)))),
        dataset.sizes,
        np.array([grey_thumb(p) for p in pictures]),
        np.ones(len(dataset), bool),
    )


def test_a_clean_data_set_has_no_finding():
    dataset = clean()
    assert (
        kinds(
            dataset,
            look=look_of(dataset, [scene(k) for k in range(4)]),
            label_map=ClassMap(("car", "dog"), (1, 2)),
        )
        == {}
    )


def test_a_data_set_of_nothing_says_so():
    assert kinds(table([], names=(), sizes=())) == {"no image": 1}


@pytest.mark.parametrize(
    ("extra", "kind"),
    [
        ((0, 0, 150, 10, 151, 40), "thin box"),
        ((0, 0, 10, 80, 110, 90), "odd aspect ratio"),
        ((0, 0, 1, 0, 200, 100), "box is the whole image"),
        ((0, 0, 10, 10, 60, 69), "labelled twice"),
        ((0, 1, 10, 10, 60, 69), "two classes on one box"),
    ],
)
def test_each_odd_box_is_found_and_placed(extra, kind):
    [finding] = diagnose(clean([*CLEAN, extra]), settings=FEW).findings
    assert (finding.kind, finding.count, finding.rows) == (kind, 1, [0])
    place = finding.places[0]
    assert place.path == "small.json" and place.line == 10 + place.objects[0], "file and line of the box"
    assert 2 in place.objects and "of 3 (" in place.message


def test_crowds_are_no_odd_boxes():
    crowd = {"crowd": [False] * 8 + [True]}
    assert kinds(clean([*CLEAN, (3, 0, 0, 0, 200, 100)], flags=crowd)) == {}


def test_images():
    dataset = clean(
        CLEAN[:4],
        labelled=[True, True, True, False],
        sizes=((200, 100), (200, 100), (200, 100), (310, 100)),
        splits=None,
    )
    found = {f.kind: f for f in diagnose(dataset, settings=FEW).findings}
    assert {k: f.count for k, f in found.items()} == {
        "unlabelled image": 1,
        "image without objects": 1,
        "long image": 1,
        "no split": 1,
    }
    assert found["image without objects"].sentence == "1 of 3 labelled images holds no object."
    assert kinds(table([], sizes=((9, 9), (9, 9)), labelled=[False, False])) == {"nothing labelled": 2}
    many = clean([*CLEAN, *((1, 0, 2 * k, 0, 2 * k + 2, 2) for k in range(60))])
    assert diagnose(many, settings=Settings(rare=0, crowded=61)).find("many objects").rows == [1]


def test_an_image_whose_reader_says_why_it_is_unlabelled_is_not_said_twice():
    problem = Problem("no annotation", "the picture has no XML file.", "im3.jpg", None, "im3")
    assert kinds(clean(CLEAN[:6], labelled=[True, True, True, False], problems=[problem])) == {
        "no annotation": 1
    }


def test_classes():
    assert kinds(clean(names=("Stop sign", "stop_sign"))) == {"similar class names": 1}
    objects = [*CLEAN, (0, 2, 100, 75, 130, 99), (2, 3, 100, 75, 130, 99)]
    found = {
        f.kind: f
        for f in diagnose(clean(objects, names=("car", "dog", "cup", "hat", "owl")), settings=FEW).findings
    }
    assert set(found) == {"rare class", "class never trained", "class without objects"}
    assert (
        "cup 1" in found["rare class"].sentence
        and found["class never trained"].places[0].rows == (2,)
        and found["class never trained"].severity == "error"
    )
    assert kinds(
        clean(
            [(0, 1, 0, 20, 9, 29), *[(0, 0, 10 * k, 0, 10 * k + 9, 9) for k in range(21)]],
            sizes=((300, 90),),
            splits=["train"],
        )
    ) == {"rare class": 1, "class imbalance": 1, "long image": 1}


def test_label_map():
    labels = ClassMap(("Car", "cat"), (0, 1))
    found = {f.kind: f for f in diagnose(clean(), label_map=labels, settings=FEW).findings}
    assert set(found) == {
        "not in the label map",
        "spelt differently",
        "only in the label map",
        "label map has id 0",
    }
    assert (
        found["not in the label map"].rows == [0, 1, 2, 3]
        and "dog" in found["not in the label map"].sentence
        and "'car' there 'Car'" in found["spelt differently"].sentence
    )
    assert kinds(clean(format="coco", external_ids=(3, 18)), label_map=ClassMap(("car", "dog"), (3, 4))) == {
        "label map ids differ": 1
    }


def test_problems_are_gathered_by_kind_with_their_lines():
    problems = [
        Problem("zero-area box", "expected a box with an area.", "a.xml", 7, "im1", True),
        Problem("zero-area box", "again.", "b.xml", 9, "im0", True),
        Problem("green box", "new.", "c"),
    ]
    findings = diagnose(clean(problems=problems), settings=FEW).findings
    assert [(f.kind, f.severity, f.count, f.rows) for f in findings] == [
        ("zero-area box", "error", 2, [1, 0]),
        ("green box", "warning", 1, []),
    ]
    assert (
        str(findings[0].places[0]) == "a.xml:7: expected a box with an area."
        and findings[0].sentence == "2 boxes have no area and are left out."
    )


def test_copies_within_and_between_splits():
    a, b = scene(1), scene(2)
    dataset = clean()
    leak = look_of(dataset, [a, b, a, scene(3)], ["x", "b", "x", "c"])
    assert kinds(dataset, look=leak) == {"leak between splits": 1}
    inside = look_of(dataset, [a, a, b, scene(3)], ["x", "x", "b", "c"])
    assert kinds(dataset, look=inside) == {"copy": 1}
    differ = clean([*CLEAN, (1, 0, 150, 20, 180, 60)])
    assert kinds(differ, look=inside) == {"copies labelled differently": 1}
    near = look_of(dataset, [a, b, (a * 0.8).astype(np.uint8), scene(3)])
    assert kinds(dataset, look=near) == {"near leak between splits": 1}


def test_reach_and_small_boxes():
    # On 200x100 the anchors of the grid measure 50 x 50; cells of its 2 rows are 32 of 64 pixels high.
    objects = [(0, 0, 75, 0, 125, 50), (0, 1, 75, 0, 85, 10), (0, 1, 80, 50, 84, 60)]
    found = diagnose(
        clean(objects, sizes=((200, 100),), splits=None), anchors=grid(), settings=Settings(rare=0)
    )
    assert {f.kind: f.count for f in found.findings} == {"too small for the input": 3, "no anchor": 2}
    assert found.find("no anchor").severity == "warning" and "33.3 %" in found.find("no anchor").sentence
    [place] = found.find("no anchor").places
    assert place.objects == (1, 2) and place.line == 11 and "2 objects are" in place.message


@pytest.mark.parametrize("n", [1, 2])
def test_every_kind_reads_as_a_sentence(n):
    for name, kind in KINDS.items():
        assert kind.severity in SEVERITIES, name
        words = counted(kind.sentence, n)
        assert words.endswith(".") and "{" not in words and " s " not in words, words


def test_bccd(shared):
    from detector import load_dataset

    found = diagnose(load_dataset(shared / "data" / "bccd"), anchors=network("ssd_mobilenet_v2_fpnlite"))
    zero = found.find("zero-area box")
    assert [(p.path.rsplit("/", 1)[1], p.line) for p in zero.places] == [
        ("BloodImage_00338.xml", 158),
        ("BloodImage_00343.xml", 50),
    ]
    assert found.find("labelled twice").count == 7 and found.find("no anchor").count == 164
