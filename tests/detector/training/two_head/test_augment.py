"""Augmentation: a drawn rectangle is found again in the pixels where its box says."""

from __future__ import annotations

import numpy as np
import pytest

from detector.training.two_head.augment import Shown, augmented, mirrored, random_window, recoloured
from detector.two_head.frames import GREY, Frame, fitted, whole
from tests.detector.two_head.drawn import SMALL, rectangle

WIDTH, HEIGHT = 203, 131


def found(pixels: np.ndarray) -> np.ndarray:
    """The box of what is bright in a picture, xyxy in pixels, to a fraction of one: edges at half
    brightness.
    """
    bright = np.clip((pixels[..., 0].astype(float) - GREY) / (255 - GREY), 0, 1)
    columns, rows = bright.max(axis=0), bright.max(axis=1)

    def ends(line):
        inside = np.flatnonzero(line > 0.5)
        first, last = inside[0], inside[-1]
        return first + 1 - min(1, line[first] + (line[first - 1] if first else 0)), last + min(
            1, line[last] + (line[last + 1] if last + 1 < len(line) else 0)
        )

    (x1, x2), (y1, y2) = ends(columns), ends(rows)
    return np.array([x1, y1, x2, y2])


@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
@pytest.mark.parametrize("size", [(160, 96), (96, 224)])
def test_a_whole_picture(resize, size):
    box = np.array([40, 20, 150, 90])
    frame = whole((WIDTH, HEIGHT), size, resize)
    pixels = frame.pixels(rectangle(WIDTH, HEIGHT, box))
    assert pixels.shape == (size[1], size[0], 3)
    shares = frame.to_input(box)
    assert found(pixels) == pytest.approx(shares * [*size, *size], abs=1.0)
    assert frame.to_picture(shares) == pytest.approx(box)


def test_letterbox_keeps_the_shape_and_fills_with_grey():
    frame = whole((200, 100), (64, 64), "letterbox")
    assert frame.window == (0, -50, 200, 150)
    pixels = frame.pixels(np.full((100, 200, 3), 255, np.uint8))
    assert (pixels[:15] == GREY).all() and (pixels[-15:] == GREY).all() and (pixels[17:47] == 255).all()
    assert fitted((0, 0, 128, 64), (64, 32)) == (0, 0, 128, 64)


def test_a_stretched_picture_is_opencvs_resize():
    import cv2

    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    assert np.array_equal(
        whole((WIDTH, HEIGHT), (96, 64), "stretch").pixels(image),
        cv2.resize(image, (96, 64), interpolation=cv2.INTER_LINEAR),
    )


def test_a_window_samples_at_the_pixels_it_covers():
    # A window of 8x4 pixels into 8x4: the crop itself.
    image = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    assert np.array_equal(Frame((5, 7, 13, 11), (8, 4)).pixels(image), image[7:11, 5:13])


@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_augmented_pixels_and_box_move_together(resize):
    recipe = SMALL.with_(
        input_size=(192, 128), resize=resize, crop=0.3, zoom_out=0.2, colour=0.0, min_visible=0.6
    )
    box, sides = np.array([70.0, 40, 160, 100]), set()
    for seed in range(60):
        shown = augmented(
            rectangle(WIDTH, HEIGHT, box, ground=GREY), box, recipe, np.random.default_rng(seed)
        )
        assert shown.pixels.shape == (128, 192, 3) and shown.pixels.dtype == np.uint8
        assert found(shown.pixels) == pytest.approx(shown.box * [192, 128, 192, 128], abs=1.0), seed
        sides.add((bool(shown.box[0] < 1 - shown.box[2]), bool(shown.box[2] - shown.box[0] > 0.5)))
    assert len(sides) > 2, "places and sizes vary"


def test_a_corner_mark_tells_the_mirror_image():
    image = rectangle(WIDTH, HEIGHT, (20, 10, 60, 40))
    image[10:14, 20:24] = (255, 0, 0)  # the top left corner of the box is red
    shown = Shown(image, np.float32([20 / WIDTH, 10 / HEIGHT, 60 / WIDTH, 40 / HEIGHT]))
    other = mirrored(shown)
    x1, y1, x2, y2 = np.rint(other.box * [WIDTH, HEIGHT, WIDTH, HEIGHT]).astype(int)
    assert (x1, y1, x2, y2) == (WIDTH - 60, 10, WIDTH - 20, 40)
    assert (other.pixels[y1 : y1 + 4, x2 - 4 : x2] == (255, 0, 0)).all(), "it is at the top right now"
    again = mirrored(other)
    assert np.array_equal(again.pixels, image) and again.box == pytest.approx(shown.box)


def test_a_window_keeps_enough_of_the_object():
    box, rng = np.array([0.0, 0, 60, 50]), np.random.default_rng(5)
    for _ in range(200):
        x1, y1, x2, y2 = random_window((WIDTH, HEIGHT), box, rng, crop=0.45, zoom_out=0.1, min_visible=0.8)
        assert (min(60, x2) - max(0, x1)) * (min(50, y2) - max(0, y1)) >= 0.8 * 3000 - 1e-6
        assert (
            x1 >= -0.1 * WIDTH - 1e-6
            and x2 <= 1.1 * WIDTH + 1e-6
            and x1 <= 0.45 * WIDTH
            and x2 >= 0.55 * WIDTH
        )


def test_where_no_window_keeps_enough_the_picture_stays_whole():
    box = np.array([0.0, 0, WIDTH, HEIGHT])
    assert random_window(
        (WIDTH, HEIGHT), box, np.random.default_rng(0), crop=0.4, zoom_out=0.0, min_visible=1.0
    ) == (0, 0, WIDTH, HEIGHT)


def test_colour_changes_no_place_and_none_at_strength_0():
    image = np.random.default_rng(2).integers(0, 256, (9, 7, 3), np.uint8)
    assert np.array_equal(recoloured(image, np.random.default_rng(0), 0.0), image)
    grey = np.full((4, 5, 3), 100, np.uint8)
    changed = recoloured(grey, np.random.default_rng(1), 0.5)
    assert len(np.unique(changed)) == 1 and changed[0, 0, 0] == round(
        100 * np.random.default_rng(1).uniform(0.5, 1.5, 3)[0]
    )
