"""Augmentation: a corner drawn into a picture is found where its box says it is."""

import numpy as np
import pytest

from detector.errors import ConfigError
from detector.training.common import augment
from detector.training.common.augment import (
    Labelled,
    compose,
    crop_to,
    flip_horizontally,
    random_crop_image,
    sample_window,
)

WIDTH, HEIGHT = 210, 90


def marked(*boxes: tuple[int, int, int, int]) -> Labelled:
    """A black picture with each box (x1, y1, x2, y2) filled, its number as the red value."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2] = (i + 1, 0, 0)
    rows = np.array([(y1 / HEIGHT, x1 / WIDTH, y2 / HEIGHT, x2 / WIDTH) for x1, y1, x2, y2 in boxes])
    return Labelled.of(image, rows)


def drawn_box(sample: Labelled, row: int) -> list[int]:
    """Where the pixels of box `row` are: [y1, x1, y2, x2] in pixels."""
    y, x = np.nonzero(sample.image[..., 0] == row + 1)
    return [int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1]


def stated_boxes(sample: Labelled) -> np.ndarray:
    height, width = sample.image.shape[:2]
    return sample.boxes * [height, width, height, width]


def assert_boxes_follow_pixels(sample: Labelled) -> None:
    for row, box in zip(sample.rows, stated_boxes(sample)):
        np.testing.assert_allclose(box, drawn_box(sample, row), atol=1e-3)


def test_flip_by_hand():
    flipped = flip_horizontally(marked((10, 20, 40, 80)))
    np.testing.assert_allclose(stated_boxes(flipped)[0], [20, 170, 80, 200], atol=1e-4)
    assert_boxes_follow_pixels(flipped)
    again = flip_horizontally(flipped)
    assert np.array_equal(again.image, marked((10, 20, 40, 80)).image)


def test_flip_happens_half_of_the_time():
    rng, plain = np.random.default_rng(0), marked((0, 0, 10, 10))
    flips = sum(augment.random_horizontal_flip(plain, rng) is not plain for _ in range(2000))
    assert 920 < flips < 1080


def test_crop_by_hand():
    # the window keeps columns 100..200 and rows 30..90; box 0 loses its left half, box 1 lies outside
    got = crop_to(marked((90, 40, 110, 60), (0, 0, 50, 20)), (30, 100, 60, 100), 0.0)
    assert got.image.shape == (60, 100, 3)
    assert got.rows.tolist() == [0]
    np.testing.assert_allclose(got.boxes, [[10 / 60, 0, 30 / 60, 0.1]], atol=1e-6)


def test_a_box_is_kept_at_exactly_the_overlap_and_dropped_below():
    sample = marked((80, 40, 120, 60))
    assert len(crop_to(sample, (0, 100, 90, 100), 0.5).rows) == 1
    assert len(crop_to(sample, (0, 101, 90, 100), 0.5).rows) == 0


def test_a_box_that_only_touches_the_window_is_dropped():
    assert len(crop_to(marked((80, 40, 100, 60)), (0, 100, 90, 100), 0.0).rows) == 0


def test_a_box_without_area_is_dropped_by_any_crop():
    sample = Labelled.of(np.zeros((HEIGHT, WIDTH, 3), np.uint8), [[0.5, 0.5, 0.5, 0.5]])
    assert len(crop_to(sample, (0, 0, 90, 210), 0.0).rows) == 0


@pytest.mark.parametrize("name", list(augment.AUGMENTATIONS))
def test_boxes_follow_the_pixels(name):
    rng, apply = np.random.default_rng(3), compose([name])
    sample, seen = marked((15, 10, 75, 70), (120, 25, 200, 85), (90, 2, 100, 8)), 0
    for _ in range(200):
        got = apply(sample, rng)
        assert_boxes_follow_pixels(got)
        assert got.boxes.min(initial=0) >= 0 and got.boxes.max(initial=0) <= 1
        seen += len(got.rows)
    assert seen > 200


def test_the_window_keeps_its_promises():
    rng, boxes = np.random.default_rng(5), marked((15, 10, 75, 70), (120, 25, 200, 85)).boxes
    for _ in range(300):
        y, x, h, w = sample_window(
            (WIDTH, HEIGHT), boxes, rng, min_object_covered=0.7, aspect_ratio=(0.5, 2.0), area=(0.1, 1.0)
        )
        assert y >= 0 and y + h <= HEIGHT and x >= 0 and x + w <= WIDTH
        if (h, w) == (HEIGHT, WIDTH):
            continue  # a hundred attempts failed
        assert 0.5 - 1 / h <= w / h <= 2 + 1 / h
        assert h * w >= 0.1 * HEIGHT * WIDTH
        covered = [
            max(min(b[2] * HEIGHT, y + h) - max(b[0] * HEIGHT, y), 0)
            * max(min(b[3] * WIDTH, x + w) - max(b[1] * WIDTH, x), 0)
            / ((b[2] - b[0]) * HEIGHT * (b[3] - b[1]) * WIDTH)
            for b in boxes
        ]
        assert max(covered) >= 0.7 - 0.02


def test_a_window_that_cannot_cover_anything_is_the_whole_picture():
    # the object is as wide as the picture, no window of ratio 0.5 to 0.6 covers nine tenths of it
    boxes = np.array([[0.1, 0.0, 0.9, 1.0]])
    got = sample_window(
        (WIDTH, HEIGHT),
        boxes,
        np.random.default_rng(0),
        min_object_covered=0.9,
        aspect_ratio=(0.5, 0.6),
        area=(0.1, 1.0),
    )
    assert got == (0, 0, HEIGHT, WIDTH)


def test_without_objects_the_picture_itself_must_be_covered():
    rng = np.random.default_rng(1)
    for _ in range(50):
        _, _, h, w = sample_window(
            (WIDTH, HEIGHT),
            np.zeros((0, 4)),
            rng,
            min_object_covered=0.3,
            aspect_ratio=(0.5, 2),
            area=(0.1, 1),
        )
        assert h * w >= 0.3 * WIDTH * HEIGHT
    got = compose(["ssd_random_crop"])(Labelled.of(np.zeros((HEIGHT, WIDTH, 3), np.uint8), []), rng)
    assert got.boxes.shape == (0, 4)


def test_keep_original():
    rng, sample = np.random.default_rng(2), marked((15, 10, 75, 70))
    kept = sum(
        random_crop_image(sample, rng, area=(0.1, 0.2), min_object_covered=0.0, keep_original=0.15) is sample
        for _ in range(1000)
    )
    assert 110 < kept < 190


def test_ssd_random_crop_draws_all_seven_settings():
    """With overlap 1 a box is kept whole or not at all; with 0 it may be cut: both must be seen."""
    rng, sample, whole, cut = np.random.default_rng(4), marked((60, 20, 140, 70)), 0, 0
    for _ in range(400):
        got = augment.ssd_random_crop(sample, rng)
        if len(got.rows) and got.image.shape != sample.image.shape:
            y1, x1, y2, x2 = drawn_box(got, 0)
            share = (y2 - y1) * (x2 - x1) / (80 * 50)
            whole, cut = whole + (share == 1), cut + (share < 0.3)
    assert whole > 50 and cut > 10


def test_the_same_seed_gives_the_same_crop():
    apply, sample = compose(["random_horizontal_flip", "ssd_random_crop"]), marked((15, 10, 75, 70))
    one, two = (apply(sample, np.random.default_rng([7, 3])) for _ in range(2))
    other = apply(sample, np.random.default_rng([7, 5]))
    assert np.array_equal(one.image, two.image) and np.array_equal(one.boxes, two.boxes)
    assert one.image.shape != other.image.shape or not np.array_equal(one.boxes, other.boxes)


def test_an_unknown_name_is_refused():
    with pytest.raises(ConfigError, match="'mosaic' is not known; known are random_horizontal_flip"):
        compose(["mosaic"])
