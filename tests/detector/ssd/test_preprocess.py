from __future__ import annotations

import json
import zlib

import numpy as np
import pytest

from detector.ssd import preprocess as module
from detector.ssd.config import PRESETS, mobilenet_v2, resnet50_fpn
from detector.ssd.preprocess import preprocess, preprocess_tensor, sample_points
from tests.detector.ssd.seeded import golden, pictures
from tests.golden.ssd_strides import PICTURES

CASES = [(name, picture) for name in PRESETS for picture in PICTURES]


def test_where_five_pixels_become_three_and_back():
    low, high, weight = sample_points(5, 3)  # positions 0, 5/3, 10/3
    assert low.tolist() == [0, 1, 3] and high.tolist() == [1, 2, 4]
    assert weight == pytest.approx([0, 2 / 3, 1 / 3], abs=1e-6)
    low, high, weight = sample_points(3, 5)  # positions 0, .6, 1.2, 1.8, 2.4: the last one has no neighbour
    assert low.tolist() == [0, 0, 1, 1, 2] and high.tolist() == [1, 1, 2, 2, 2]
    assert weight == pytest.approx([0, 0.6, 0.2, 0.8, 0.4], abs=1e-6)


def test_a_tiny_wide_image_by_hand():
    """2 rows, 3 columns to 4 rows, 2 columns: columns 0 and 1.5, rows 0, 0.5, 1, 1 (no neighbour below)."""
    grey = np.uint8([[0, 100, 200], [40, 60, 80]])
    image = np.repeat(grey[:, :, None], 3, axis=2)
    got = preprocess(image, mobilenet_v2(height=4, width=2))
    want = np.float32([[0, 150], [20, 110], [40, 70], [40, 70]]) * (2 / 255) - 1
    assert got.shape == (4, 2, 3) and got.dtype == np.float32
    assert got[:, :, 1] == pytest.approx(want, abs=1e-6)


def test_the_resnet_loses_its_means_in_rgb_order():
    image = np.full((2, 3, 3), (200, 100, 50), np.uint8)
    got = preprocess(image, resnet50_fpn(height=32, width=64))
    assert got[5, 9] == pytest.approx([200 - 123.68, 100 - 116.779, 50 - 103.939], abs=1e-4)


def test_one_pixel_fills_the_input_and_the_picture_stays_untouched():
    image = np.uint8([[[255, 0, 51]]])
    before = image.copy()
    got = preprocess(image, mobilenet_v2(height=3, width=4))
    assert (got == got[0, 0]).all() and got[0, 0] == pytest.approx([1, -1, -0.6], abs=1e-6)
    assert np.array_equal(image, before)


@pytest.mark.parametrize(("name", "picture"), CASES)
def test_equal_to_the_reference(name, picture):
    config = PRESETS[name]()
    got = preprocess(pictures(config.height)[picture], config)
    stride = max(1, config.height // 32)
    assert np.array_equal(
        got[::stride, ::stride][::5, ::5], golden(config.architecture)[f"{picture}/preprocessed"]
    )


@pytest.mark.parametrize(("name", "picture"), CASES)
def test_every_bit_is_the_reference_s(shared, name, picture):
    config = PRESETS[name]()
    summary = json.loads((shared / "golden" / name / "summary.json").read_text())
    got = preprocess(pictures(config.height)[picture], config)
    assert zlib.crc32(got.tobytes()) == summary["images"][picture]["preprocessed"]["crc32_f32"]


@pytest.mark.parametrize("config", [mobilenet_v2(height=30, width=50), resnet50_fpn(height=64, width=32)])
def test_inside_a_graph_it_is_the_same(config):
    from keras import ops

    images = np.random.default_rng(0).integers(0, 256, (2, 41, 37, 3), dtype=np.uint8)
    got = ops.convert_to_numpy(preprocess_tensor(ops.convert_to_tensor(images), config))
    want = np.stack([preprocess(image, config) for image in images])
    assert np.abs(got - want).max() < 2e-5 * np.abs(want).max()


def test_half_pixel_centres_are_seen(monkeypatch):
    def centred(size_in, size_out):
        position = np.clip((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0, size_in - 1)
        low = np.floor(position).astype(np.int64)
        return low, np.minimum(low + 1, size_in - 1), (position - low).astype(np.float32)

    monkeypatch.setattr(module, "sample_points", centred)
    config = mobilenet_v2()
    got = preprocess(pictures(300)["noise_odd"], config)[::9, ::9][::5, ::5]
    assert np.abs(got - golden(config.architecture)["noise_odd/preprocessed"]).max() > 0.1
