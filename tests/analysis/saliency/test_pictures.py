"""Evidence into pixels: a clear zero, both signs apart, the right part of the image; what stands beside a
map.
"""

from __future__ import annotations

import numpy as np
import pytest

from analysis.saliency.colour import evidence_rgba, evidence_scale, over
from analysis.saliency.heatmap import HeatMap
from analysis.saliency.picture import figures, heat_picture, part_of
from analysis.saliency.targets import Target
from detector.errors import InputError

SIZE = (60, 40)


def test_evidence_is_orange_for_purple_against_and_clear_at_zero():
    values = np.zeros((4, 8), np.float32)
    values[0, 0], values[3, 7], values[1, 1] = 2.0, -2.0, 0.2
    rgba = evidence_rgba(values, scale=2.0, alpha=0.8)
    (r, g, b, a), (_, g2, b2, a2) = rgba[0, 0].astype(int), rgba[3, 7].astype(int)
    assert r > g > b and b2 > g2 and a == a2 == round(255 * 0.8)
    assert rgba[2, 2, 3] == 0 and 0 < rgba[1, 1, 3] < a
    assert evidence_rgba(np.zeros((3, 5)))[..., 3].max() == 0, (
        "no evidence is no colour, not a rescaled nothing"
    )
    assert evidence_scale(np.zeros((3, 5))) == 0
    assert evidence_scale(np.r_[np.ones(999), 50.0].reshape(100, 10)) == pytest.approx(1, abs=0.3), (
        "one pixel does not set the scale"
    )
    with pytest.raises(InputError, match="expected a map"):
        evidence_rgba(np.zeros(5))


def test_a_layer_over_an_image_leaves_the_image_alone():
    image = np.full((4, 8, 3), 100, np.uint8)
    rgba = np.zeros((4, 8, 4), np.uint8)
    rgba[0, 0] = (200, 0, 50, 255)
    rgba[1, 1] = (200, 0, 50, 51)
    out = over(image, rgba)
    assert out[0, 0].tolist() == [200, 0, 50] and out[1, 1].tolist() == [120, 80, 90] and (image == 100).all()


def test_the_part_shown_holds_the_object_and_its_surroundings_inside_the_image():
    assert part_of(SIZE, None) == (0, 0, 60, 40)
    assert part_of((600, 400), np.array([100, 100, 150, 150])) == (50, 50, 200, 200)
    assert part_of((600, 400), np.array([100, 100, 140, 160])) == (
        45,
        40,
        195,
        220,
    ), "180 high, so 150 wide instead of 120"
    assert part_of((600, 400), np.array([580, 0, 600, 400])) == (266, 0, 600, 400), "moved into the image"
    assert part_of((100, 400), np.array([10, 0, 20, 400])) == (0, 0, 100, 400), "as wide as there is"
    assert part_of((600, 400), np.array([0, 0, 10, 10])) == (
        0,
        0,
        37,
        37,
    ), "at least 64 pixels, cut at the border"
    x1, y1, x2, y2 = part_of((600, 400), np.array([599, 399, 600, 400]))
    assert 0 <= x1 < x2 == 600 and 0 <= y1 < y2 == 400


def heat(**changes) -> HeatMap:
    values = np.zeros((20, 30), np.float32)
    values[10, 20] = 1  # the pixels around (41, 21) of the image
    fields = {
        "method": "d_rise",
        "values": values,
        "image_size": SIZE,
        "unit": "logit slope",
        "signed": True,
        "target": Target("missed", 0, [30, 10, 50, 30], [0]),
    }
    return HeatMap(**(fields | changes))


def test_the_picture_shows_the_map_where_it_belongs_and_fainter_while_it_is_uncertain():
    image = np.full((40, 60, 3), 90, np.uint8)
    full = heat_picture(image, heat(), box=np.array([0, 0, 1, 1]))
    change = np.abs(full.astype(int) - 90).sum(axis=2)
    change[:4, :4] = 0  # the box
    y, x = np.unravel_index(change.argmax(), change.shape)
    assert abs(x - 41) <= 1 and abs(y - 21) <= 1 and (image == 90).all()
    early = heat_picture(image, heat(done=False, reliability=0.3), box=np.array([0, 0, 1, 1]))
    assert np.abs(early.astype(int) - 90).sum(axis=2)[y, x] < change[y, x]
    part = heat_picture(image, heat(), part=(30, 10, 50, 30), width=100, caption="a line")
    assert part.shape[1] == 100 and part.shape[0] > 100
    confidence = heat(method="confidence_map", unit="confidence", signed=False, target=None)
    assert heat_picture(image, confidence, threshold=0.5).shape == image.shape


def test_figures_say_what_a_map_rests_on_and_cost():
    words = figures(
        heat(value=-1.234, reliability=0.876, forwards=97, seconds=1.26, seed=3, params={"masks": 96})
    )
    assert words == "logit -1.23 · reliability 0.88 after 96 masks, seed 3 · 97 forward passes, 1.3 s"
    path = heat(
        method="integrated_gradients",
        unit="logit",
        value=2.0,
        baseline=-3.5,
        completeness=0.0321,
        forwards=18,
        backwards=16,
        params={"steps": 16},
    )
    assert (
        "with nothing shown -3.50" in figures(path)
        and "completeness error 3.2 % in 16 steps" in figures(path)
        and "18 forward and 16 backward passes" in figures(path)
    )
    assert figures(heat(unit="score slope", value=0.5)).startswith("score 0.50")
    facts = heat(value=1.0).facts()
    assert facts["target"]["box"] == [30, 10, 50, 30] and facts["done"] is True


def test_a_map_is_checked_and_covers_the_image():
    assert heat().full().shape == (40, 60)
    with pytest.raises(InputError, match="finite"):
        heat(values=np.full((3, 3), np.nan))
    with pytest.raises(ValueError, match="read-only"):
        heat().values[0, 0] = 1
