"""One object a picture, what is held out, and batches by number."""

from __future__ import annotations

import numpy as np
import pytest

from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import DataError
from detector.training.two_head.data import TwoHeadBatches, one_object
from detector.training.two_head.splits import load_split
from tests.detector.two_head.drawn import SMALL, drawn_pictures


def mixed() -> Dataset:
    """Six pictures: one object; none; two (the second larger); a crowd beside one; not labelled; one without
    area.
    """
    rows = [0, 2, 2, 3, 3, 5]
    xyxy = [[1, 1, 5, 4], [0, 0, 2, 2], [0, 0, 8, 6], [0, 0, 9, 6], [3, 3, 6, 6], [4, 2, 4, 6]]
    objects = ObjectTable.build(rows, xyxy, [0, 0, 1, 1, 0, 1], crowd=[0, 0, 0, 1, 0, 0])
    return Dataset(
        name="mixed",
        format="demo",
        source="mixed",
        class_map=ClassMap(("a", "b")),
        sample_ids=list("uvwxyz"),
        files=[""] * 6,
        sizes=np.tile([10, 7], (6, 1)),
        objects=objects,
        labelled=np.array([1, 1, 1, 1, 0, 1], bool),
        loader=lambda i: np.zeros((7, 10, 3), np.uint8),
    )


def test_pictures_with_one_object():
    chosen = one_object(mixed())
    assert chosen.rows.tolist() == [0, 3] and chosen.objects.tolist() == [0, 4]
    assert chosen.left_out == {
        "unlabelled pictures": 1,
        "pictures without an object": 2,
        "pictures with several objects": 1,
    }


def test_the_largest_of_several():
    chosen = one_object(mixed(), "largest")
    assert chosen.rows.tolist() == [0, 2, 3] and chosen.objects.tolist() == [0, 2, 4]


def test_a_class_alone_needs_no_area():
    assert one_object(mixed(), boxes=False).rows.tolist() == [0, 3, 5]


def test_nothing_to_train_on_says_why():
    empty = mixed().subset(["v", "w", "y"])
    with pytest.raises(
        DataError,
        match=(
            r"found none among 3 \(1 unlabelled pictures, 1 pictures without an object, 1 pictures with"
            r" several"
        ),
    ):
        one_object(empty)


@pytest.mark.parametrize("held_out, counts", [(0.25, (30, 10)), (7, (33, 7)), (0, (40, 0)), (None, (32, 8))])
def test_what_is_held_out(held_out, counts):
    dataset = drawn_pictures(40)
    split = load_split(SMALL.with_(held_out=held_out), dataset)
    train, test = split.ids
    assert (len(train), len(test)) == counts and not set(train) & set(test)
    if test:
        classes = dataset.objects.class_ids[split.held_out.objects]
        assert abs(int((classes == 0).sum()) - len(test) / 2) < 1, "half and half, as in the data"
        assert load_split(SMALL.with_(held_out=held_out), dataset).ids == (train, test)
        assert load_split(SMALL.with_(held_out=held_out, seed=4), dataset).ids != (train, test)
    assert load_split(SMALL.with_(held_out=held_out, train_images=6), dataset).train.rows.size == 6


def test_all_held_out_is_refused():
    with pytest.raises(DataError, match="nothing would be left"):
        load_split(SMALL.with_(held_out=12), drawn_pictures(12))


def test_another_data_set_to_judge_by_needs_the_same_classes():
    dataset, other = drawn_pictures(8), mixed()
    with pytest.raises(DataError, match="expected objects of the classes red, blue"):
        load_split(SMALL, dataset, other)
    split = load_split(SMALL, dataset, drawn_pictures(5, seed=1))
    assert (
        len(split.train.rows) == 8 and len(split.held_out.rows) == 5 and split.validation is not split.dataset
    )


def test_batches_are_functions_of_their_number():
    dataset = drawn_pictures(10)
    chosen = one_object(dataset)
    batches = TwoHeadBatches(dataset, chosen, SMALL)
    pixels, targets = batches.batch(7)
    assert pixels.shape == (4, 32, 64, 3) and pixels.dtype == np.float32 and 1 < pixels.max() <= 255
    assert targets["boxes"].shape == (4, 4) and targets["class_ids"].dtype == np.int32
    again = dict(TwoHeadBatches(dataset, chosen, SMALL).iterate(6, 9))
    assert np.array_equal(again[7][0], pixels) and np.array_equal(again[7][1]["boxes"], targets["boxes"])
    assert not np.array_equal(again[6][0], pixels)


def test_without_augmentation_every_picture_is_whole():
    dataset = drawn_pictures(3)
    batches = TwoHeadBatches(dataset, one_object(dataset), SMALL.with_(batch_size=3), augment=False)
    _, targets = batches.batch(0)
    sizes = np.tile(dataset.sizes, 2)
    assert targets["boxes"] * sizes == pytest.approx(dataset.objects.xyxy, abs=1e-4)
    assert targets["class_ids"].tolist() == [0, 1, 0]


def test_a_box_outside_its_picture_is_refused_unless_the_class_alone_is_wanted():
    objects = ObjectTable.build([0], [[20, 3, 30, 6]], [0])
    dataset = Dataset(
        name="crops",
        format="demo",
        source="crops",
        class_map=ClassMap(("a",)),
        sample_ids=["u"],
        files=["u.jpg"],
        objects=objects,
        loader=lambda i: np.zeros((7, 10, 3), np.uint8),
    )
    with pytest.raises(
        DataError, match=r"inside the picture of 10x7, got \[20.0, 3.0, 30.0, 6.0\]"
    ) as caught:
        TwoHeadBatches(dataset, one_object(dataset), SMALL).batch(0)
    assert caught.value.path == "u.jpg"
    recipe = SMALL.with_(heads="class")
    _, targets = TwoHeadBatches(dataset, one_object(dataset, boxes=False), recipe).batch(0)
    assert targets["class_ids"].tolist() == [0, 0, 0, 0]
