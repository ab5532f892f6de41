"""Confidence maps: fixed scale, right place, right class, whatever they are made from."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.saliency.colour import confidence_rgba, contours
from analysis.saliency.confidence import confidence_map
from detector.core import Candidates, Detections
from detector.errors import InputError

W, H = 60, 40


def grid_candidates(scores_fine, scores_coarse):
    """Two levels over 60x40: 6x4 cells of 10 pixels, 3x2 cells of 20; two anchors a cell."""
    anchors, levels = [], []
    for level, step in ((0, 10), (1, 20)):
        for y in range(H // step):
            for x in range(W // step):
                cx, cy = (x + 0.5) * step, (y + 0.5) * step
                for w, h in ((step, step), (2 * step, step / 2)):
                    anchors.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
                    levels.append(level)
    scores = np.concatenate(
        [np.asarray(scores_fine).reshape(-1, 2), np.asarray(scores_coarse).reshape(-1, 2)]
    )
    return Candidates(np.array(anchors), scores, (W, H), anchors=np.array(anchors), levels=np.array(levels))


def test_nothing_is_cold():
    assert confidence_map(Detections.empty((W, H))).shape == (H, W)
    assert confidence_map(Detections.empty((W, H))).max() == 0
    none = Candidates(np.zeros((0, 4)), np.zeros((0, 3)), (W, H))
    assert confidence_map(none).max() == 0


def test_one_cell_of_one_level_peaks_at_its_centre():
    fine = np.zeros((4, 6, 2, 2))
    fine[1, 4, 1, 0] = 0.8  # the second anchor of the cell at (45, 15), class 0
    m = confidence_map(grid_candidates(fine, np.zeros((2, 3, 2, 2))))
    assert m.dtype == np.float32 and m.shape == (H, W)
    assert m.max() == pytest.approx(0.8, abs=0.09)
    assert np.argwhere(m > 0.95 * m.max())[:, ::-1].mean(axis=0) == pytest.approx([44.5, 14.5], abs=0.5)
    assert m[15, 34] < 0.05 and m[35, 45] == 0
    exact = confidence_map(grid_candidates(fine, np.zeros((2, 3, 2, 2))), image_size=(W * 3, H * 3))
    assert exact[45, 135] == pytest.approx(0.8 * (1 - 0.5 / 30) ** 2, abs=1e-4)


def test_levels_join_by_their_maximum_and_classes_are_apart():
    fine, coarse = np.zeros((4, 6, 2, 2)), np.zeros((2, 3, 2, 2))
    fine[:, :, 0, 0], coarse[:, :, 0, 1], coarse[0, 0, 0, 0] = 0.3, 0.9, 0.7
    c = grid_candidates(fine, coarse)
    only_0 = confidence_map(c, class_ids=0)
    assert only_0[9, 9] == pytest.approx(0.7, abs=0.02) and only_0[35, 55] == pytest.approx(0.3)
    assert confidence_map(c, class_ids=[1]).min() == pytest.approx(0.9)
    assert confidence_map(c).min() == pytest.approx(0.9), "any class: the maximum"


def test_an_absent_class_is_not_blown_up():
    fine = np.full((4, 6, 2, 2), 0.004)
    m = confidence_map(grid_candidates(fine, np.zeros((2, 3, 2, 2))), class_ids=[1])
    assert m.max() == pytest.approx(0.004)


def test_a_box_raises_a_dome_with_its_score_at_its_centre():
    d = Detections([[10, 20, 30, 30], [40, 0, 60, 40]], [0.6, 0.2], [1, 0], (W, H))
    m = confidence_map(d)
    assert m[25, 20] == pytest.approx(0.6, abs=0.001) and m[20, 50] == pytest.approx(0.2, abs=0.001)
    assert 0 < m[25, 11] < 0.3 and m[35, 20] == 0
    assert m[22, 20] == pytest.approx(0.6 * (1 - (2 / 5) ** 2), abs=1e-3)
    assert confidence_map(d, class_ids=[0])[25, 20] == 0
    np.testing.assert_array_equal(m, confidence_map(d[[1, 0]]), "the order of boxes does not matter")


def test_candidates_without_anchors_paint_their_boxes():
    c = Candidates([[10, 20, 30, 30], [-20, -20, 4, 6]], [[0.6, 0.1], [0.0, 0.5]], (W, H))
    m = confidence_map(c)
    assert m[25, 20] == pytest.approx(0.6, abs=0.001) and 0 < m[0, 0] < 0.5
    assert confidence_map(c, class_ids=[1])[25, 20] == pytest.approx(0.1, abs=0.001)


def test_thin_and_outside_boxes_do_no_harm():
    m = confidence_map(
        Candidates([[5, 5, 5, 5], [100, 100, 120, 120], [0, 0, 60, 0.1]], [[0.9], [0.9], [0.4]], (W, H))
    )
    assert np.isfinite(m).all() and m[5, 5] == pytest.approx(0.9, abs=1e-3) and m[39, 59] == 0


def test_a_smaller_map_keeps_the_place():
    d = Detections([[30, 10, 50, 30]], [0.8], [0], (W, H))
    m = confidence_map(d, side=30)
    assert m.shape == (20, 30)
    assert np.unravel_index(m.argmax(), m.shape)[::-1] in {(19, 9), (20, 10), (19, 10), (20, 9)}
    assert m.max() == pytest.approx(0.8, abs=0.01)


def test_bad_questions():
    d = Detections.empty((W, H))
    with pytest.raises(InputError, match="needs candidates with anchors"):
        confidence_map(d, paint="cell")
    with pytest.raises(InputError, match="paint: expected one of"):
        confidence_map(d, paint="dots")
    with pytest.raises(InputError, match=r"class_ids: expected 0\.\.1"):
        confidence_map(Candidates([[0, 0, 1, 1]], [[0.1, 0.2]], (W, H)), class_ids=[2])


def test_colours_are_on_a_fixed_scale():
    weak, strong = confidence_rgba(np.full((4, 6), 0.1)), confidence_rgba(np.full((4, 6), 0.9))
    assert not np.array_equal(weak[..., :3], strong[..., :3])
    assert confidence_rgba(np.zeros((4, 6)))[..., 3].max() == 0, "cold is clear"
    assert strong[0, 0, 3] == round(255 * 0.65)
    with pytest.raises(InputError, match=r"in 0\.\.1"):
        confidence_rgba(np.full((4, 6), 1.2))


def test_the_threshold_is_a_contour():
    m = np.zeros((40, 60), np.float32)
    m[10:20, 30:50] = 0.6
    m[25:35, 5:15] = 0.2
    assert len(contours(m, 0.5)) == 1 and len(contours(m, 0.1)) == 2 and contours(m, 0.7) == []
    line = contours(m, 0.5)[0][:, 0]
    assert line.min(axis=0).tolist() == [30, 10] and line.max(axis=0).tolist() == [49, 19]
    picture = confidence_rgba(m, 0.5)
    assert picture[10, 40].tolist() == [255, 255, 255, 255] and picture[25, 10].tolist() == [
        255,
        255,
        255,
        150,
    ]
