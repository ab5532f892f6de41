from __future__ import annotations

import numpy as np
import pytest

from detector.errors import ConfigError
from detector.ssd import anchors as module
from detector.ssd.anchors import anchors
from detector.ssd.config import (
    PRESETS,
    MultiscaleAnchors,
    SSDAnchors,
    SSDConfig,
    mobilenet_v2,
    mobilenet_v2_fpnlite,
)
from tests.detector.ssd.seeded import golden
from tests.golden.ssd_strides import anchor_rows


@pytest.mark.parametrize(("name", "count"), zip(PRESETS, (1917, 12804, 51150)))
def test_bit_equal_to_the_reference(name, count):
    config = PRESETS[name]()
    got = anchors(config)
    assert len(got) == count
    assert np.array_equal(got.boxes[anchor_rows(count)], golden(config.architecture)["anchors"])


@pytest.mark.parametrize("name", PRESETS)
def test_all_of_them_against_the_full_reference(shared, name):
    want = np.load(shared / "golden" / name / "anchors.npz")["anchors"]
    assert np.array_equal(anchors(PRESETS[name]()).boxes, want)


def test_multiscale_on_a_wide_input_by_hand():
    """64 rows, 96 columns: level 3 has 8x12 cells; level 6 (stride 64) divides the height only."""
    config = mobilenet_v2_fpnlite(height=64, width=96)
    got = anchors(config)
    assert [int((got.levels == i).sum()) for i in range(5)] == [
        8 * 12 * 6,
        4 * 6 * 6,
        2 * 3 * 6,
        1 * 2 * 6,
        1 * 1 * 6,
    ]
    # Level 3, row 1, column 2, ratio 1, scale 1: 32 pixels square around (y 12, x 20).
    row = (1 * 12 + 2) * 6
    assert got.boxes[row] == pytest.approx([(12 - 16) / 64, (20 - 16) / 96, (12 + 16) / 64, (20 + 16) / 96])
    # The next one is sqrt(2) as large; the third has ratio 2: wide, height 32 / sqrt 2.
    side, flat = 16 * 2**0.5, 16 / 2**0.5
    assert got.boxes[row + 1] == pytest.approx(
        [(12 - side) / 64, (20 - side) / 96, (12 + side) / 64, (20 + side) / 96]
    )
    assert got.boxes[row + 2] == pytest.approx(
        [(12 - flat) / 64, (20 - side) / 96, (12 + flat) / 64, (20 + side) / 96]
    )
    # Level 6: 64 divides 64 but not 96, so rows start at 32 and columns at 0.
    first = int(np.flatnonzero(got.levels == 3)[0])
    centre = (got.boxes[first, :2] + got.boxes[first, 2:]) / 2
    assert centre == pytest.approx([32 / 64, 0])
    assert got.cells[first + 7].tolist() == [0, 1, 1]


def test_ssd_scales_on_a_wide_input_by_hand():
    """A square anchor is square in pixels: scales are fractions of the shorter side."""
    config = mobilenet_v2(height=100, width=200)
    got = anchors(config)
    assert config.grids()[:2] == [(7, 13), (4, 7)]
    y, x = (0 + 0.5) / 7, (1 + 0.5) / 13
    assert got.boxes[3] == pytest.approx([y - 0.05, x - 0.025, y + 0.05, x + 0.025])
    second = 7 * 13 * 3  # map 1, first cell: scale 0.35, ratios 1, 2, 0.5, 3, 0.3333 and the scale between
    height, width = 0.35 / 2**0.5, 0.35 * 2**0.5 / 2
    y, x = 0.5 / 4, 0.5 / 7
    assert got.boxes[second + 1] == pytest.approx(
        [y - height / 2, x - width / 2, y + height / 2, x + width / 2], abs=1e-6
    )
    between = (0.35 * 0.5) ** 0.5
    assert got.boxes[second + 5] == pytest.approx(
        [y - between / 2, x - between / 4, y + between / 2, x + between / 4], abs=1e-6
    )


def test_a_lowest_layer_that_is_not_reduced_has_all_types():
    config = mobilenet_v2(
        anchors=SSDAnchors(reduce_boxes_in_lowest_layer=False, interpolated_scale_aspect_ratio=0.0)
    )
    assert config.anchors_per_cell() == [5] * 6
    assert len(anchors(config)) == sum(rows * columns for rows, columns in config.grids()) * 5


def test_level_seven_of_320_starts_at_zero_and_reaches_far_out():
    boxes = anchors(mobilenet_v2_fpnlite()).boxes
    assert boxes[-6] + 0 == pytest.approx([256 / 320 - 0.8, 256 / 320 - 0.8, 1.6, 1.6])
    assert boxes.max() == pytest.approx(2.4, abs=0.01)


@pytest.mark.parametrize("wrong", ["offset", "order"])
def test_deliberate_errors_are_seen(monkeypatch, wrong):
    """A half-stride offset on level 7, and scale slow instead of ratio slow: detections alone would not
    tell.
    """
    if wrong == "offset":
        monkeypatch.setattr(module, "grid_offset", lambda side, stride: stride / 2)
    else:
        monkeypatch.setattr(
            module,
            "multiscale_types",
            lambda spec: [
                (2 ** (i / spec.scales_per_octave), ratio)
                for i in range(spec.scales_per_octave)
                for ratio in spec.aspect_ratios
            ],
        )
    config = mobilenet_v2_fpnlite()
    got = anchors(config).boxes[anchor_rows(12804)]
    assert np.abs(got - golden(config.architecture)["anchors"]).max() > 0.01


def test_config_refuses_what_no_network_has():
    with pytest.raises(ConfigError, match="architecture.*'vgg'"):
        SSDConfig("vgg")
    with pytest.raises(ConfigError, match="multiples of 32, got 100x320"):
        mobilenet_v2_fpnlite(width=100)
    with pytest.raises(ConfigError, match="expects MultiscaleAnchors"):
        mobilenet_v2_fpnlite(anchors=SSDAnchors())
    with pytest.raises(ConfigError, match="levels 3 to 7, got 2 to 6"):
        mobilenet_v2_fpnlite(anchors=MultiscaleAnchors(2, 6))
    with pytest.raises(ConfigError, match="num_layers 5"):
        mobilenet_v2(anchors=SSDAnchors(num_layers=5))
    with pytest.raises(ConfigError, match="num_classes"):
        mobilenet_v2(num_classes=0)
    with pytest.raises(ConfigError, match="0x300"):
        mobilenet_v2(width=0)
