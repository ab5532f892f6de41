"""The network run again on changed pictures, with a detector that sees red squares of a certain size."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import autopsy
from analysis.matching.counts import counts
from analysis.matching.match import match_run
from analysis.misses.retries import crop_window, enlarged, hidden, quarters, retry, stretched
from analysis.misses.retry_prices import RETRIES, price_retries
from detector.core import Detections
from tests.analysis.builders import make_run

BOX = np.float32([60, 30, 80, 50])


def scene() -> np.ndarray:
    image = np.full((90, 140, 3), 90, np.uint8)
    image[30:50, 60:80] = (160, 90, 90)
    return image


def sees_red(images):
    """Finds the reddest square; its score is its share of the picture's width, times two, and 0.3 more where
    the red is strong.
    """
    found = []
    for image in images:
        red = image[..., 0].astype(int) - image[..., 1]
        ys, xs = np.nonzero(red > 40)
        size = image.shape[1], image.shape[0]
        if not len(xs):
            found.append(Detections.empty(size))
            continue
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        score = min(1.0, 2 * (box[2] - box[0]) / size[0] + 0.3 * (red.max() > 120))
        found.append(Detections([box], [score], [2], size))
    return found


def test_a_small_object_is_found_in_a_crop():
    assert sees_red([scene()])[0].scores[0] == pytest.approx(40 / 140)
    tried = {a.change: a for a in retry(sees_red, scene(), BOX, 2)}
    near, far = tried["a crop of 40×40 pixels around it"], tried["a crop of 80×80 pixels around it"]
    assert (near.found, near.score, near.iou) == (
        True,
        1.0,
        1.0,
    ), "put back into the frame of the whole picture"
    assert far.found and far.score == pytest.approx(0.5)
    assert tried["contrast stretched"].score == pytest.approx(40 / 140 + 0.3) and len(tried) == 4
    larger = tried["1.6 times the input size (in overlapping quarters)"]
    assert larger.score == pytest.approx(40 / 88) and larger.iou == 1.0, (
        "a quarter is 88 pixels wide, the red 20 of them"
    )
    assert retry(sees_red, scene(), BOX, 1)[0].to_dict() == {
        "change": near.change,
        "found": False,
        "score": None,
        "iou": 0.0,
    }, "another class"


def test_crops_stay_in_the_picture():
    assert crop_window(BOX, 2, (140, 90)) == (50, 20, 90, 60)
    assert crop_window(np.float32([0, 80, 10, 90]), 4, (140, 90)) == (0, 50, 40, 90)
    assert crop_window(np.float32([0, 0, 3, 2]), 2, (140, 12)) == (0, 0, 16, 12)
    assert all("crop" not in a.change for a in retry(sees_red, scene(), np.float32([0, 0, 139, 89]), 2))


def test_a_neighbour_is_hidden_and_the_object_kept():
    image = scene()
    covered = hidden(image, BOX, np.float32([[70, 20, 120, 60]]))
    assert (covered[40, 65] == image[40, 65]).all() and (covered[40, 75] == image[40, 75]).all(), (
        "the object's own pixels stay"
    )
    assert (covered[25, 100] == image.mean(axis=(0, 1)).astype(np.uint8)).all() and hidden(
        image, BOX, np.zeros((0, 4))
    ) is None
    changes = [
        a.change for a in retry(sees_red, image, BOX, 2, others=np.float32([[70, 20, 120, 60], [0, 0, 5, 5]]))
    ]
    assert "1 neighbour hidden" in changes, "one overlaps it, the other does not"


def test_stretching_uses_the_whole_range_and_keeps_a_flat_picture():
    image = np.tile(np.linspace(100, 150, 101).astype(np.uint8)[None, :, None], (7, 1, 3))
    assert (
        stretched(image).min() == 0
        and stretched(image).max() == 255
        and (np.diff(stretched(image)[0, :, 0].astype(int)) >= 0).all()
    )
    assert stretched(np.full((4, 5, 3), 77, np.uint8)).tolist() == np.full((4, 5, 3), 77).tolist()


def test_quarters_overlap_and_cut_boxes_are_left_to_the_whole():
    assert quarters((140, 90)) == [(0, 0, 88, 57), (52, 0, 140, 57), (0, 33, 88, 90), (52, 33, 140, 90)]
    found = enlarged(sees_red, scene())
    assert len(found) == 1 and found.xyxy[0].tolist() == BOX.tolist(), (
        "seen whole in one quarter and cut in the others: one box"
    )
    wide = np.full((90, 140, 3), 90, np.uint8)
    wide[30:50, 20:120] = (160, 90, 90)
    assert enlarged(sees_red, wide).xyxy.tolist() == [[20, 30, 120, 50]], "no quarter holds it"
    assert len(enlarged(sees_red, np.full((90, 140, 3), 90, np.uint8))) == 0


def test_the_price_of_running_again_is_a_recount():
    # Two pictures: the red square at a score of 0.29, and a red square where the data say nothing.
    run = make_run([(0, *BOX, 0.29, 1), (1, *BOX, 0.29, 1)], [(0, *BOX, 1)], num_images=2, sizes=(140, 90))
    run.load_image = lambda i: scene()
    m = match_run(run, 0.5)
    thresholds = np.float32([0.4, 0.4, 0.4])
    assert (
        counts(m, thresholds).fn == 1 and autopsy(run, thresholds, matches=m).counts()["below threshold"] == 1
    )
    told = []
    prices = {
        change: price_retries(
            change,
            lambda images: [
                Detections(d.xyxy, d.scores, np.zeros(len(d), int), d.image_size) for d in sees_red(images)
            ],
            run,
            m,
            thresholds,
            [1],
            progress=lambda done, total: told.append((done, total)),
        )
        for change in RETRIES
    }
    assert told == [(1, 2), (2, 2)] * 2
    for change in RETRIES:
        assert (prices[change].gained, prices[change].wrong, prices[change].whole) == (1, 1, True), change
    only = price_retries(
        "contrast stretched",
        lambda images: [Detections.empty((140, 90)) for _ in images],
        run,
        m,
        thresholds,
        [1],
        images=[0],
    )
    assert (only.gained, only.wrong, only.images, only.whole) == (0, 0, 1, False)
    words = prices["contrast stretched"].sentence(("car", "dog", "cup"))
    assert (
        words
        == "Contrast stretched, over the whole run finds 1 more object and adds 1 false positive (precision"
        " 50.0 %, recall 100.0 %)."
    )
    assert prices["contrast stretched"].to_dict(("car", "dog", "cup"))["value"] is None
