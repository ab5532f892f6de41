"""Training input: what a batch holds, that it depends on its number alone, and what is refused."""

import numpy as np
import pytest

from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import DataError, ImageError
from detector.ssd.anchors import anchors
from detector.ssd.config import mobilenet_v2
from detector.ssd.preprocess import preprocess
from detector.ssd.targets import assign_targets
from detector.training.common.batches import TrainingBatches, check_training_set
from tests.detector.ssd.drawn import CLASSES, SCENES, drawn_dataset

CONFIG = mobilenet_v2(num_classes=3, height=96, width=128)
GRID = anchors(CONFIG).boxes


def batches(dataset=None, **changes) -> TrainingBatches:
    settings = {
        "anchors": GRID,
        "preprocess": lambda image: preprocess(image, CONFIG),
        "num_classes": 3,
        "batch_size": 3,
        "augment": ("random_horizontal_flip", "ssd_random_crop"),
        "seed": 7,
        "workers": 2,
    }
    return TrainingBatches(dataset or drawn_dataset(), **(settings | changes))


def same(a, b) -> bool:
    return np.array_equal(a[0], b[0]) and all(np.array_equal(a[1][name], b[1][name]) for name in a[1])


def test_a_batch_without_augmentation_by_hand():
    dataset = drawn_dataset()
    images, targets = batches(dataset, augment=(), shuffle=False).batch(0)
    assert images.shape == (3, 96, 128, 3) and images.dtype == np.float32
    np.testing.assert_array_equal(images[1], preprocess(dataset.load_image(1), CONFIG))
    x1, y1, x2, y2 = np.array([s[1:] for s in SCENES[1]], np.float32).T
    boxes = np.stack([y1 / 160, x1 / 200, y2 / 160, x2 / 200], axis=1)
    want = assign_targets(GRID, boxes, [s[0] for s in SCENES[1]])
    np.testing.assert_array_equal(targets["classes"][1], want.classes)
    np.testing.assert_allclose(targets["boxes"][1], want.boxes, atol=1e-5)
    assert sorted(set(targets["classes"][1])) == [0, 2, 3]


def test_threads_and_order_do_not_matter():
    source = batches()
    ahead = dict(source.iterate(0, 9))
    assert list(ahead) == list(range(9))
    for step in (8, 0, 5):
        assert same(ahead[step], batches(workers=1).batch(step))


def test_going_on_in_mid_epoch_gives_the_same_batches():
    whole, rest = dict(batches().iterate(0, 9)), dict(batches().iterate(5, 9))
    assert all(same(whole[step], rest[step]) for step in range(5, 9))


def test_seed_and_epoch_change_the_batches():
    assert not same(batches().batch(0), batches(seed=8).batch(0))
    one = batches(batch_size=4, shuffle=False)
    assert not same(one.batch(0), one.batch(1))  # the same four pictures, augmented anew


def test_every_sample_comes_once_an_epoch():
    source = batches(batch_size=3)
    seen = [place for step in range(4) for place in source.places(step)]
    assert len(seen) == 12 and source.steps_per_epoch == pytest.approx(4 / 3)
    for epoch in range(3):
        assert sorted(row for row, e in seen if e == epoch) == [0, 1, 2, 3]
    assert [row for row, e in seen if e == 0] != [row for row, e in seen if e == 1]


def test_a_data_set_smaller_than_a_batch():
    images, _ = batches(drawn_dataset(SCENES[:1]), batch_size=3).batch(0)
    assert len(images) == 3


def test_crowd_boxes_weigh_nothing_and_empty_boxes_are_left_out():
    table = ObjectTable.build(
        [0, 0, 0],
        [[20, 30, 120, 130], [150, 20, 150, 80], [100, 40, 190, 150]],
        [0, 1, 2],
        crowd=[False, False, True],
    )
    source = batches(drawn_dataset(SCENES[:1], objects=table), batch_size=1, augment=())
    summary = source.summary
    assert (summary.objects, summary.empty_boxes, summary.crowd, summary.unlabelled) == (1, 1, 1, 0)
    _, targets = source.batch(0)
    assert sorted(set(targets["classes"][0])) == [0, 1, 3]
    crowd = targets["classes"][0] == 3
    assert not targets["class_weights"][0][crowd].any() and not targets["box_weights"][0][crowd].any()
    assert targets["box_weights"][0][targets["classes"][0] == 1].all()


def test_unlabelled_pictures_are_left_out_and_counted():
    dataset = drawn_dataset(
        labelled=np.array([True, False, True, True]), objects=ObjectTable.build([0], [[20, 30, 80, 100]], [0])
    )
    source = batches(dataset)
    assert source.summary.unlabelled == 1
    assert {row for step in range(4) for row, _ in source.places(step)} == {0, 2, 3}


def test_a_picture_known_to_be_empty_is_background():
    _, targets = batches(drawn_dataset(((), SCENES[0])), batch_size=2, augment=(), shuffle=False).batch(0)
    assert not targets["classes"][0].any() and targets["class_weights"][0].all()
    assert targets["classes"][1].any()


@pytest.mark.parametrize(
    "dataset, words",
    [
        (drawn_dataset(objects=None), "none of the 4 images has an annotation"),
        (drawn_dataset(((), ())), "got none in 2 labelled images"),
        (drawn_dataset(objects=ObjectTable.build([0], [[5, 5, 5, 9]], [0])), r"1 boxes have no area"),
        (
            drawn_dataset(
                source="cars.json",
                class_map=ClassMap((*CLASSES.names, "lorry")),
                objects=ObjectTable.build([0, 1], [[5, 5, 9, 9]] * 2, [0, 3]),
            ),
            r"cars.json: expected class ids 0 to 2.*of class 3 \('lorry'\), and 1 objects in all",
        ),
    ],
)
def test_refusals(dataset, words):
    with pytest.raises(DataError, match=words):
        check_training_set(dataset, 3)


def test_an_unreadable_picture_is_named_when_its_turn_comes():
    def load(i):
        if i == 2:
            raise ImageError("expected a picture.", path="two.jpg")
        return np.zeros((160, 200, 3), np.uint8)

    dataset = Dataset(
        name="d",
        format="memory",
        source="",
        class_map=CLASSES,
        sample_ids=list("abcd"),
        files=[""] * 4,
        objects=ObjectTable.build([0], [[5, 5, 50, 90]], [0]),
        loader=load,
    )
    source = batches(dataset, shuffle=False, batch_size=2, augment=())
    taken = []
    with pytest.raises(ImageError, match="two.jpg"):
        taken.extend(step for step, _ in source.iterate(0, 4))
    assert source.files(1) == ["c", "d"]


def test_batches_from_records_equal_those_from_the_data_they_were_written_from(tmp_path):
    from detector.data.formats.tfrecord import write_tfrecord
    from detector.data.load import load_dataset

    assert write_tfrecord(drawn_dataset(), tmp_path, shards=2) == []
    records = load_dataset(tmp_path)
    assert records.sample_ids == drawn_dataset().sample_ids
    for step in (0, 3):
        assert same(batches().batch(step), batches(records).batch(step))
    assert all("data.record-0000" in file for file in batches(records).files(0))
