"""Two rules of heat maps on numbers small enough to add up by hand: where a path is sampled, and how far two
halves agree."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from analysis.saliency.d_rise import _Spot
from analysis.saliency.integrated import _mean_gradient


def test_the_path_is_sampled_at_midpoints():
    """Of x²/2 the gradient is x: at the midpoints of four steps from 0 to 2 that is .25, .75, 1.25, 1.75."""
    asked = []

    def gradients(frame, inputs, anchors, outputs, weights):
        asked.extend(inputs.ravel().tolist())
        return SimpleNamespace(inputs=inputs)

    detector = SimpleNamespace(gradients=gradients, info=SimpleNamespace(class_map=("a",)))
    view = SimpleNamespace(
        pixels=np.full((1, 1, 1), 2, np.float32), fill=np.float32(0), frame=None, detector=detector
    )
    target = SimpleNamespace(anchor_ids=[0], weights=[1.0], outputs=lambda classes: [0])
    mean = _mean_gradient(view, target, view.pixels - view.fill, steps=4, batch=3)
    assert asked == [0.25, 0.75, 1.25, 1.75]
    assert mean.tolist() == [[[1.0]]], "so that the sum is exact for a straight gradient"


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([1, -1, 0], 2 / 3),  # correlation 1/2 of the halves: 2 · ½ / (1 + ½) for the whole
        ([1, 0, -1], 1.0),
        ([0, 1, 0], 0.0),
        ([-1, 0, 1], 0.0),  # against each other is no agreement
        ([5, 5, 5], 0.0),  # a flat half says nothing
    ],
)
def test_reliability_of_the_whole_from_its_halves(second, expected):
    halves = [np.float32([[1, 0, -1]]), np.float32([second])]
    spot = SimpleNamespace(slope=halves.__getitem__, count=4)
    assert _Spot.reliability(spot) == pytest.approx(expected)
    spot.count = 3
    assert _Spot.reliability(spot) == 0, "two masks a half are the least"
