"""Detections from and to other libraries, by stand-ins of a few attributes, and tables for notebooks."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from detector.bridges import notebook
from detector.core import ClassMap, Detections
from detector.errors import InputError, UnavailableError

CLASSES = ClassMap(("cat", "dog", "owl"))
XYXY = np.array([[1, 2, 11, 22], [-3, 5, 50, 64], [7, 8, 9, 10]], np.float64)


def stand_in(**changes):
    """As supervision keeps it: no image size, not in the order of scores, one box over the edge."""
    values = {
        "xyxy": XYXY,
        "confidence": np.array([0.25, 0.75, 0.5]),
        "class_id": np.array([2, 0, 1]),
        "data": {},
    }
    return SimpleNamespace(**{**values, **changes})


def test_supervision_is_sorted_and_clipped():
    found = Detections.from_supervision(stand_in(), image_size=(48, 60), class_map=CLASSES)
    assert found.xyxy.tolist() == [[0, 5, 48, 60], [7, 8, 9, 10], [1, 2, 11, 22]]
    assert found.scores.tolist() == [0.75, 0.5, 0.25]
    assert found.class_ids.tolist() == [0, 1, 2]
    assert found.class_map == CLASSES and found.image_size == (48, 60)


def test_names_choose_the_class_where_the_rows_bring_them():
    named = stand_in(data={"class_name": np.array(["dog", "owl", "cat"])}, class_id=np.array([16, 90, 15]))
    found = Detections.from_supervision(named, image_size=(100, 100), class_map=CLASSES)
    assert found.class_ids.tolist() == [2, 0, 1]
    without = Detections.from_supervision(named, image_size=(100, 100))
    assert without.class_ids.tolist() == [90, 15, 16] and without.class_map is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"confidence": None}, "confidence for 3 boxes"),
        ({"class_id": None}, "class_id for 3 boxes"),
        ({"class_id": np.array([0, 3, 1])}, r"0\.\.2.*row 1 is 3"),
        ({"data": {"class_name": ["cat", "wolf", "dog"]}}, "wolf"),
        ({"confidence": np.array([0.1, 0.2])}, "2 scores"),
        ({"confidence": np.array([0.1, 0.2, 1.5])}, r"0\.\.1"),
    ],
)
def test_what_is_no_detection_is_refused(changes, said):
    with pytest.raises(InputError, match=said):
        Detections.from_supervision(stand_in(**changes), image_size=(48, 60), class_map=CLASSES)


def test_nothing_found_stays_nothing():
    none = stand_in(xyxy=np.zeros((0, 4)), confidence=None, class_id=None)
    assert len(Detections.from_supervision(none, image_size=(4, 3))) == 0
    boxes = SimpleNamespace(xyxy=np.zeros((0, 4)), conf=np.zeros(0), cls=np.zeros(0))
    result = SimpleNamespace(boxes=boxes, names={0: "a"}, orig_shape=(3, 4))
    found = Detections.from_ultralytics(result)
    assert len(found) == 0 and found.image_size == (4, 3) and found.class_map.names == ("a",)


def test_to_supervision_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UnavailableError, match="pip install supervision"):
        Detections.empty((4, 3)).to_supervision()


def test_to_supervision_hands_over_the_columns(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=SimpleNamespace))
    found = Detections.from_supervision(stand_in(), image_size=(48, 60), class_map=CLASSES)
    out = found.to_supervision()
    assert out.data["class_name"].tolist() == ["cat", "dog", "owl"]
    assert out.xyxy.flags.writeable and out.class_id.tolist() == [0, 1, 2]
    assert Detections.from_supervision(out, image_size=(48, 60), class_map=CLASSES).equals(found)
    assert found.named(None).to_supervision().data == {}


def test_there_and_back_through_supervision_itself():
    supervision = pytest.importorskip("supervision")
    found = Detections.from_supervision(stand_in(), image_size=(48, 60), class_map=CLASSES)
    out = found.to_supervision()
    assert isinstance(out, supervision.Detections)
    assert Detections.from_supervision(out, image_size=(48, 60), class_map=CLASSES).equals(found)
    empty = supervision.Detections.empty()
    assert len(Detections.from_supervision(empty, image_size=(4, 3), class_map=CLASSES)) == 0


class Tensor:
    """Of PyTorch, as far as it is asked: not an array until detached and on the CPU."""

    def __init__(self, values):
        self.values = values

    def detach(self):
        return self

    def cpu(self):
        return SimpleNamespace(numpy=lambda: np.array(self.values, np.float32))

    def __array__(self, *_):
        raise TypeError("on a GPU")


def test_ultralytics():
    boxes = SimpleNamespace(xyxy=Tensor(XYXY), conf=Tensor([0.25, 0.75, 0.5]), cls=Tensor([9.0, 2.0, 4.0]))
    names = {9: "owl", 2: "cat", 4: "cat"}
    found = Detections.from_ultralytics(SimpleNamespace(boxes=boxes, names=names, orig_shape=(60, 48)))
    assert found.xyxy.tolist() == [[0, 5, 48, 60], [7, 8, 9, 10], [1, 2, 11, 22]]
    assert found.class_map == ClassMap(("cat", "cat 4", "owl"), (2, 4, 9))
    assert found.class_ids.tolist() == [0, 1, 2]


def test_ultralytics_without_boxes_or_names():
    with pytest.raises(InputError, match="expected a result with boxes"):
        Detections.from_ultralytics(SimpleNamespace(boxes=None, names={}, orig_shape=(1, 1)))
    boxes = SimpleNamespace(xyxy=XYXY[:1], conf=[0.5], cls=[3])
    with pytest.raises(InputError, match="class 3 is not"):
        Detections.from_ultralytics(SimpleNamespace(boxes=boxes, names=["a", "b", "c"], orig_shape=(9, 9)))


def test_a_notebook_shows_the_first_rows_with_escaped_names():
    n = notebook.ROWS + 2
    classes = ClassMap(("<b>cat</b>", "dog"))
    found = Detections(
        np.tile([1, 2, 3.25, 4], (n, 1)), np.linspace(0.9, 0.1, n), np.arange(n) % 2, (8, 9), None, classes
    )
    shown = found._repr_html_()
    assert "12 detections in an image of 8x9" in shown and "and 2 more" in shown
    assert shown.count("&lt;b&gt;cat&lt;/b&gt;") == notebook.ROWS // 2 and "<b>" not in shown
    assert ">3.2<" in shown and ">0.9<" in shown
    assert "and" not in Detections.empty((8, 9))._repr_html_()
