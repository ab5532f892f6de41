"""The sliding-window detector: the contract, where its windows lie, what is kept of them, its folder."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from detector import load_detector
from detector.core import Candidates, ClassMap
from detector.errors import ConfigError, ModelError
from detector.models.sliding_window import SlidingWindow, find_windows, windows_to_detections
from detector.sliding.convert import WindowGeometry, to_fully_convolutional
from detector.sliding.network import patch_classifier
from detector.sliding.scan import compiled, cut_out, scan
from detector.sliding.settings import SlidingWindowSettings
from detector.sliding.stored import is_sliding_window, save_sliding_window
from detector.testing import DetectorContract, patterned
from tests.detector.sliding.test_convert import shaken

BAR = ClassMap(("bar",))
SETTINGS = SlidingWindowSettings(window_widths=(36.0, 54.0), score_threshold=0.05)


@pytest.fixture(scope="module")
def classifier() -> keras.Model:
    return shaken(patch_classifier((36, 20), widths=(3, 4), dense=7))


@pytest.fixture(scope="module")
def folder(classifier, tmp_path_factory):
    return save_sliding_window(
        tmp_path_factory.mktemp("made") / "bars", classifier, BAR, SETTINGS, name="Bars"
    )


class TestKeepsTheContract(DetectorContract):
    @pytest.fixture(scope="class")
    def detector(self, folder):
        return load_detector(folder)


def bright_corner(window: tuple[int, int] = (8, 6), stride: int = 2):
    """A network that is sure of a window whose first pixel is white, and its geometry."""
    width, height = window

    def network(batch):
        corner = batch[:, : batch.shape[1] - height + 1 : stride, : batch.shape[2] - width + 1 : stride, 0]
        return np.stack([np.full_like(corner, 4), corner * 8], axis=-1)

    return network, WindowGeometry(window, stride)


def picture(height: int, width: int, *white: tuple[int, int]) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    for x, y in white:
        image[y, x] = 255
    return image


def test_a_window_lies_where_its_first_pixel_is():
    network, geometry = bright_corner()
    settings = SlidingWindowSettings((8,), score_threshold=0.5, pad=0.0)
    detector = SlidingWindow(network, geometry, BAR, settings)
    [found] = detector.detect([picture(21, 31, (4, 10), (20, 2))])
    assert sorted(found.xyxy.tolist()) == [[4, 10, 12, 16], [20, 2, 28, 8]]
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp(-4)), rtol=1e-6)
    [shown] = detector.candidates([picture(21, 31, (4, 10))])
    assert len(shown) == 12 * 8  # (31 - 8) // 2 + 1 columns, (21 - 6) // 2 + 1 rows
    assert shown.xyxy[found.anchor_ids[0]].tolist() in ([4, 10, 12, 16], [20, 2, 28, 8])


def test_padding_moves_no_window_and_lets_it_reach_over_the_border():
    network, geometry = bright_corner((10, 5), 1)
    detector = SlidingWindow(
        network,
        geometry,
        BAR,
        SlidingWindowSettings(
            (10,), score_threshold=0.5, pad=0.4, refine_iou=1.0, iou_threshold=1.0, inside_threshold=1.0
        ),
    )
    image = picture(9, 14, (6, 3))
    [found], [whole] = detector.detect([image]), detector.windows([image])
    assert whole.xyxy.tolist() == [[6, 3, 16, 8]] and found.xyxy.tolist() == [[6, 3, 14, 8]]
    corner = detector.windows([picture(9, 14, (0, 0))])[
        0
    ]  # the repeated edge is white too: windows from (-4, -2) on
    assert corner.xyxy.min(axis=0).tolist() == [-4, -2, 6, 3] and corner.xyxy.max(axis=0).tolist() == [
        0,
        0,
        10,
        5,
    ]


def test_windows_of_other_sizes_are_found_in_the_resized_picture():
    network, geometry = bright_corner((8, 6), 2)
    seen = scan(network, geometry, np.zeros((21, 31), np.uint8), 16, 0.0)
    assert seen.margins.shape == (
        3,
        5,
    )  # 31x21 becomes 16x10 (rounded half to even), each way by its own factor
    np.testing.assert_allclose(seen.xyxy[0], [0, 0, 8 * 31 / 16, 6 * 21 / 10], rtol=1e-6)
    np.testing.assert_allclose(seen.xyxy[-1], [8 * 31 / 16, 4 * 21 / 10, 16 * 31 / 16, 21], rtol=1e-6)
    none = scan(network, geometry, np.zeros((21, 31), np.uint8), 200, 0.0)
    assert none.margins.shape == (0, 0) and none.xyxy.shape == (0, 4)
    assert (
        len(
            SlidingWindow(network, geometry, BAR, SlidingWindowSettings((200,), pad=0.0)).detect(
                [picture(21, 31)]
            )[0]
        )
        == 0
    )


def test_a_scan_equals_the_classifier_on_the_windows_it_names(classifier):
    """Position by position, at a scale of its own, on a picture that is not square, with the border
    repeated.
    """
    network, geometry = to_fully_convolutional(classifier)
    grey = patterned(63, 101, 4)[..., 0]
    for width in (36.0, 27.0):
        seen = scan(compiled(network), geometry, grey, width, 0.2)
        import cv2

        size = (round(101 * 36 / width), round(63 * 36 / width))
        padded = cv2.copyMakeBorder(
            cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR) if width != 36 else grey,
            4,
            4,
            7,
            7,
            cv2.BORDER_REPLICATE,
        )
        windows = (seen.xyxy * np.tile([size[0] / 101, size[1] / 63], 2) + [7, 4, 7, 4]).round().astype(int)
        patches = (
            np.stack([padded[y1:y2, x1:x2] for x1, y1, x2, y2 in windows])[..., None].astype(np.float32) / 255
        )
        logits = np.asarray(classifier(patches))
        scores = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
        np.testing.assert_allclose(seen.scores.reshape(-1), scores, atol=1e-5)
        assert len(windows) > 100 and np.ptp(scores) > 1e-3


def test_cut_out_takes_the_pixels_of_the_window():
    grey = np.random.default_rng(0).integers(0, 256, (21, 31), np.uint8)
    assert np.array_equal(cut_out(grey, [[4, 3, 12, 9]], (8, 6))[0], grey[3:9, 4:12])
    assert np.array_equal(
        cut_out(grey, [[-2, 0, 6, 6]], (8, 6))[0][:, :3], np.repeat(grey[:6, :1], 3, axis=1)
    )
    assert cut_out(grey, np.zeros((0, 4)), (8, 6)).shape == (0, 6, 8)


def of(rows: list[tuple[list[float], float]], size: tuple[int, int] = (300, 100)) -> Candidates:
    boxes, margins = (
        np.array([r[0] for r in rows], np.float32).reshape(-1, 4),
        np.array([[r[1]] for r in rows], np.float32).reshape(-1, 1),
    )
    return Candidates(
        boxes,
        1 / (1 + np.exp(-margins.astype(np.float64))),
        size,
        anchors=boxes,
        levels=np.zeros(len(rows)),
        logits=margins,
    )


def test_refinement_weighs_neighbours_by_their_odds_by_hand():
    rows = [([100, 20, 200, 60], np.log(3)), ([104, 20, 204, 60], 0.0), ([250, 20, 350, 60], 0.0)]
    found = find_windows(of(rows), SlidingWindowSettings(score_threshold=0.1))
    np.testing.assert_allclose(
        found.xyxy, [[101, 20, 201, 60], [250, 20, 350, 60]]
    )  # (3 * 100 + 1 * 104) / 4
    assert found.rows.tolist() == [0, 2]
    as_found = find_windows(of(rows), SlidingWindowSettings(score_threshold=0.1, refine_iou=1.0))
    assert as_found.xyxy.tolist() == [[100, 20, 200, 60], [250, 20, 350, 60]]
    assert windows_to_detections(of(rows), SlidingWindowSettings(score_threshold=0.1)).xyxy[1].tolist() == [
        250,
        20,
        300,
        60,
    ]


def test_a_part_of_the_object_at_another_scale_is_suppressed():
    rows = [
        ([0, 0, 200, 80], 3.0),
        ([20, 20, 100, 52], 2.0),
        ([210, 0, 290, 32], 1.0),
    ]  # the second has an IoU of 0.16
    assert find_windows(of(rows), SlidingWindowSettings()).rows.tolist() == [0, 2]
    assert find_windows(of(rows), SlidingWindowSettings(inside_threshold=1.0)).rows.tolist() == [0, 1, 2]


def test_sure_windows_are_ordered_by_logit_where_scores_round_to_one():
    rows = [([0, 0, 100, 40], 40.0), ([150, 0, 250, 40], 50.0)]
    found = find_windows(of(rows), SlidingWindowSettings())
    assert found.rows.tolist() == [1, 0] and found.scores.tolist() == [1, 1]


def test_nothing_above_the_threshold_and_the_cap():
    assert len(windows_to_detections(of([([0, 0, 100, 40], -9.0)]), SlidingWindowSettings())) == 0
    assert len(find_windows(of([]), SlidingWindowSettings()).rows) == 0
    rows = [([0, 0, 50, 20], 1.0), ([100, 0, 150, 20], 2.0)]
    assert find_windows(of(rows), SlidingWindowSettings(max_detections=1)).rows.tolist() == [1]


def test_more_than_one_class_is_refused():
    with pytest.raises(ModelError, match="finds one class, got 2: a, b"):
        SlidingWindow(*bright_corner(), ClassMap(("a", "b")))


def test_the_folder_opens_with_its_settings_and_takes_others(folder):
    detector = load_detector(folder)
    assert (detector.info.name, detector.info.kind, detector.info.class_map.names) == (
        "Bars",
        "sliding_window",
        ("bar",),
    )
    assert detector.settings == SETTINGS and detector.geometry == WindowGeometry((36, 20), 4)
    other = load_detector(folder, window_widths=[40], labels=["pole"])
    assert other.settings.window_widths == (40.0,) and other.info.class_map.names == ("pole",)
    assert (
        len(
            {
                detector.info.weights_hash,
                other.info.weights_hash,
                load_detector(folder, pad=0.1).info.weights_hash,
            }
        )
        == 3
    )
    assert load_detector(folder).info.weights_hash == detector.info.weights_hash
    with pytest.raises(ConfigError, match="pad"):
        load_detector(folder, pad=0.9)


def test_a_broken_folder_says_what_is_wrong(folder, tmp_path):
    stored = json.loads((folder / "detector.json").read_text())

    def load(**changes):
        (tmp_path / "detector.json").write_text(json.dumps(stored | changes))
        return load_detector(tmp_path)

    assert not is_sliding_window(tmp_path)
    with pytest.raises(ModelError, match="schema 1, got .* and 9"):
        load(schema=9)
    with pytest.raises(ModelError, match="there is none yet"):
        load()
    (tmp_path / "classifier.keras").write_bytes(b"torn")
    with pytest.raises(ModelError, match="a classifier that Keras saved"):
        load()
    with pytest.raises(ModelError, match="unexpected keyword argument 'colour'"):
        load(settings={"colour": 1})
    three = keras.Sequential([keras.Input((20, 36, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    save_sliding_window(tmp_path / "three", three, BAR)
    with pytest.raises(
        ModelError, match=r"two logits \(background, object\), it takes 1 channels and gives 3"
    ):
        load_detector(tmp_path / "three")
