"""The bare mistakes, planted one at a time in a sound results file, are called by their names; sound files
are not accused.
"""

from __future__ import annotations

import numpy as np
import pytest

from detector.data.results_check import find_mistakes

CATEGORIES = [1, 2, 3, 5, 8, 13, 90]


def sound(seed=0, images=20, scores=(0.3, 1.0)):
    """Truth and good detections as columns: 640x426 images, 3 objects each, boxes moved by up to 3 pixels."""
    rng = np.random.default_rng(seed)
    m = images * 3
    rows = np.repeat(np.arange(images), 3)
    low = rng.random((m, 2)) * [480, 300]
    xywh = np.hstack([low, rng.uniform(25, 120, (m, 2))])
    kinds = rng.integers(0, len(CATEGORIES), m)
    truth = {
        "truth_xywh": xywh,
        "truth_rows": rows,
        "truth_kinds": kinds,
        "truth_image_ids": [100 + 7 * i for i in range(images)],
        "truth_category_ids": CATEGORIES,
        "sizes": np.tile([640, 426], (images, 1)),
    }
    found = {
        "xywh": xywh + rng.uniform(-3, 3, (m, 4)),
        "scores": rng.uniform(*scores, m),
        "image_ids": [100 + 7 * int(r) for r in rows],
        "category_ids": [CATEGORIES[k] for k in kinds],
    }
    return truth, found


def kinds_of(truth, found):
    return [m.kind for m in find_mistakes(**found, **truth)]


@pytest.mark.parametrize("seed", range(5))
def test_sound_files_are_not_accused(seed):
    truth, found = sound(seed)
    assert kinds_of(truth, found) == []


def test_nothing_found_is_no_mistake():
    truth, _ = sound()
    assert find_mistakes(np.zeros((0, 4)), np.zeros(0), [], [], **truth) == []


@pytest.mark.parametrize("seed", range(4))
def test_a_poor_detector_is_not_a_mistake(seed):
    truth, found = sound(seed)
    rng = np.random.default_rng(seed)
    found["xywh"] = np.hstack([rng.random((60, 2)) * [480, 300], rng.uniform(20, 120, (60, 2))])
    found["category_ids"] = [int(c) for c in rng.choice(CATEGORIES, 60)]
    assert kinds_of(truth, found) == []


def test_normalised_boxes():
    truth, found = sound()
    found["xywh"] = found["xywh"] / [640, 426, 640, 426]
    (mistake,) = find_mistakes(**found, **truth)
    assert mistake.kind == "normalised boxes" and mistake.fatal and "640x426" in mistake.message
    truth["sizes"] = np.zeros((20, 2), int)
    assert kinds_of(truth, found) == ["normalised boxes"], "also where the file states no sizes"


def test_corners_for_width_and_height():
    truth, found = sound()
    found["xywh"] = np.hstack([found["xywh"][:, :2], found["xywh"][:, :2] + found["xywh"][:, 2:]])
    (mistake,) = find_mistakes(**found, **truth)
    assert mistake.kind == "corners for width and height" and "write x, y, width, height" in mistake.message


def test_corners_seen_from_the_frame_alone():
    truth, found = sound(images=1)
    found["xywh"] = np.array([[400, 300, 560, 410], [500, 220, 620, 400], [350, 300, 600, 420.0]])
    assert kinds_of(truth, found) == ["corners for width and height"]


def test_rows_for_columns():
    truth, found = sound()
    x, y, w, h = found["xywh"].T
    found["xywh"] = np.stack([y, x, y + h, x + w], axis=1)
    assert kinds_of(truth, found) == ["rows for columns"]


@pytest.mark.parametrize("step, word", [(1, "one too large"), (-1, "one too small")])
def test_shifted_category_ids(step, word):
    truth, found = sound()
    truth["truth_category_ids"] = list(range(1, 8))
    found["category_ids"] = [CATEGORIES.index(c) + 1 + step for c in found["category_ids"]]
    (mistake,) = find_mistakes(**found, **truth)
    assert mistake.fatal and mistake.kind in ("shifted category ids", "category ids without gaps")
    assert word in mistake.message or "positions" in mistake.message


@pytest.mark.parametrize("first", [0, 1])
def test_category_ids_counted_without_the_gaps(first):
    truth, found = sound()
    found["category_ids"] = [CATEGORIES.index(c) + first for c in found["category_ids"]]
    (mistake,) = find_mistakes(**found, **truth)
    assert mistake.kind == "category ids without gaps" and f"positions {first}" in mistake.message


def test_ids_of_another_data_set():
    truth, found = sound()
    found["image_ids"] = [f"{i}.jpg" for i in found["image_ids"]]
    (mistake,) = find_mistakes(**found, **truth)
    assert mistake.fatal and "'100.jpg'" in mistake.message and "begins 100, 107, 114" in mistake.message
    truth, found = sound()
    found["category_ids"] = [c + 1000 for c in found["category_ids"]]
    assert kinds_of(truth, found) == ["unknown categories"]


def test_a_handful_of_known_images_is_still_another_data_set():
    truth, found = sound()
    found["image_ids"] = [i if n < 6 else 5000 + n for n, i in enumerate(found["image_ids"])]
    (mistake,) = find_mistakes(**found, **truth)
    assert mistake.fatal and mistake.message.startswith("Only 6 of the 60 detections have an image id")


def test_a_few_strays_are_counted_and_not_fatal():
    truth, found = sound()
    found["image_ids"][3] = 5
    found["category_ids"][7] = 4
    found["scores"][0] = 97
    mistakes = find_mistakes(**found, **truth)
    assert [m.kind for m in mistakes] == [
        "unknown image ids",
        "unknown categories",
        "scores above 1",
    ] and not any(m.fatal for m in mistakes)
    assert mistakes[0].message.startswith("1 of 60 detections name an image")


def test_ids_as_text_and_as_numbers_are_the_same_ids():
    truth, found = sound()
    found["image_ids"] = [str(i) for i in found["image_ids"]]
    assert kinds_of(truth, found) == []
