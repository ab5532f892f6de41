from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.ssd.coder import BoxCoder


def test_nothing_gives_nothing():
    none = np.zeros((0, 4), np.float32)
    assert BoxCoder().encode(none, none).shape == BoxCoder().decode(none, none).shape == (0, 4)


def test_by_hand_with_uneven_scales():
    """Anchor 0.2 high and 0.4 wide around (0.5, 0.4); box 0.1 high and 0.8 wide around (0.55, 0.3)."""
    anchor = np.float32([[0.4, 0.2, 0.6, 0.6]])
    box = np.float32([[0.5, -0.1, 0.6, 0.7]])
    coder = BoxCoder((10.0, 8.0, 5.0, 4.0))
    code = coder.encode(box, anchor)
    assert code[0] == pytest.approx(
        [10 * 0.05 / 0.2, 8 * -0.1 / 0.4, 5 * math.log(0.5), 4 * math.log(2)], rel=1e-5
    )
    assert coder.decode(code, anchor)[0] == pytest.approx(box[0], abs=1e-6)


side = st.floats(0.01, 2.0)
place = st.floats(-1.0, 2.0)


@given(place, place, side, side, place, place, side, side)
def test_decode_undoes_encode(y, x, h, w, ya, xa, ha, wa):
    box, anchor = np.float64([[y, x, y + h, x + w]]), np.float64([[ya, xa, ya + ha, xa + wa]])
    coder = BoxCoder((10.0, 7.0, 5.0, 3.0))
    # 1e-8 is added to both sizes, so the narrowest anchor here is off by a millionth of itself.
    assert coder.decode(coder.encode(box, anchor), anchor) == pytest.approx(box, abs=1e-5)


def test_keras_tensors_give_the_same_numbers():
    from keras import ops

    rng = np.random.default_rng(3)
    codes = rng.standard_normal((2, 5, 4)).astype(np.float32)
    anchors = np.tile(np.float32([0.1, 0.2, 0.5, 0.9]), (5, 1))
    got = BoxCoder().decode(ops.convert_to_tensor(codes), ops.convert_to_tensor(anchors))
    assert ops.convert_to_numpy(got) == pytest.approx(BoxCoder().decode(codes, anchors), abs=1e-6)
