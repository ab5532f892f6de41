"""Letterbox and stretch there and back, and the range of the input."""

from __future__ import annotations

import numpy as np
import pytest

from detector.errors import InputError
from detector.models.decoders.input_rule import FITS, InputRule, fitted, place


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(64, 48), (37, 101), (1, 1), (333, 7), (640, 640)])
def test_there_and_back_on_odd_sizes(fit, size):
    at = place(size, (64, 32), fit)
    boxes = np.float32([[0, 0, *size], [0.25 * size[0], 0.5 * size[1], 0.75 * size[0], size[1]]])
    np.testing.assert_allclose(at.to_image(at.to_input(boxes)), boxes, atol=1e-3)
    whole = at.to_input(boxes[:1])[0]
    assert whole == pytest.approx([at.left, at.top, at.left + at.width, at.top + at.height], abs=1e-4)
    assert 0 <= at.left <= at.left + at.width <= 64 and 0 <= at.top <= at.top + at.height <= 32


def test_a_letterbox_by_hand():
    """100 x 30 into 64 x 64: .64 times, 64 x 19, (64 - 19) // 2 = 22 rows above."""
    at = place((100, 30), (64, 64), "letterbox")
    assert (at.left, at.top, at.width, at.height) == (0, 22, 64, 19)
    image = fitted(np.full((30, 100, 3), 7, np.uint8), (64, 64), InputRule("letterbox"))
    rows = (image == 7).all(axis=(1, 2))
    assert np.flatnonzero(rows).tolist() == list(range(22, 41)) and (image[~rows] == 114).all()


def test_ranges_and_colours():
    pixels = np.uint8([[[0, 51, 255]]])
    assert InputRule().real(pixels).ravel().tolist() == pytest.approx([0, 0.2, 1])
    assert InputRule(bgr=True).real(pixels).ravel().tolist() == pytest.approx([1, 0.2, 0])
    rule = InputRule(mean=(0, 1, 5), std=(1, 10, 2))
    assert rule.real(pixels).ravel().tolist() == rule.real(pixels.astype(np.float32)).ravel().tolist()
    assert rule.real(pixels).ravel().tolist() == [0, 5, 125]


def test_refuses_an_unknown_fit():
    with pytest.raises(InputError, match="fit"):
        InputRule("squeeze")
