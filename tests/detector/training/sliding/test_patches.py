"""Patches for training: what is refused, what a batch holds, where background begins."""

from __future__ import annotations

import numpy as np
import pytest

from detector.errors import DataError
from detector.training.sliding.patches import PatchBatches, Patches, far_from, hardest, mosaic
from tests.detector.sliding.drawn import QUICK, SIZE, drawn_patches


def noise(n: int, height: int = 20, width: int = 28) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, height, width), np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (noise(0), [], r"at least 5 positive \(object\) patches, got 0"),
        (noise(10), [1] * 6 + [0] * 4, r"at least 5 negative \(background\) patches, got 4"),
        (noise(10), [1] * 9, "a label each"),
        (noise(10).astype(float), [0, 1] * 5, "uint8"),
        (noise(10), [0, 2] * 5, r"labels 1 .* and 0 .*, got \[0, 2\]"),
        (noise(10, 15), [0, 1] * 5, "at least 16 pixels each way, they have 28x15"),
        (np.full((10, 20, 28), 7, np.uint8), [0, 1] * 5, "show something"),
        (np.concatenate([noise(8), noise(8)[:2]]), [1] * 5 + [0] * 5, "2 are given as both"),
    ],
)
def test_nonsense_is_refused(images, labels, words):
    with pytest.raises(DataError, match=words):
        Patches(images, np.array(labels))


def test_held_out_patches_are_a_share_of_each_kind_and_never_trained_on():
    images = np.concatenate([noise(20), noise(20)[:3]])  # three objects twice
    patches = Patches(images, np.array([1] * 10 + [0] * 10 + [1] * 3))
    train, held_out = patches.split(0.3, seed=2)
    seen = {p.tobytes() for p in train.images}
    assert (
        not any(p.tobytes() in seen for p in held_out.images)
        and len(train.images) + len(held_out.images) == 23
    )
    assert (
        len({p.tobytes() for p in held_out.images[held_out.labels == 1]}) == 3
        and (held_out.labels == 0).sum() == 3
    )
    again = patches.split(0.3, seed=2)[1]
    assert np.array_equal(again.images, held_out.images) and again.fingerprint == held_out.fingerprint
    assert not np.array_equal(patches.split(0.3, seed=3)[1].images, held_out.images)


def test_a_batch_depends_on_seed_and_step_alone():
    batches = PatchBatches(drawn_patches(), QUICK)
    images, targets = batches.batch(7)
    assert (
        images.shape == (16, 20, 28, 1)
        and images.dtype == np.float32
        and 0 <= images.min() < images.max() <= 1
    )
    np.testing.assert_allclose(targets, [[0.025, 0.975]] * 8 + [[0.975, 0.025]] * 8, atol=1e-6)
    batches.batch(3)
    assert np.array_equal(PatchBatches(drawn_patches(), QUICK).batch(7)[0], images)
    assert not np.array_equal(batches.batch(8)[0], images)
    assert not np.array_equal(PatchBatches(drawn_patches(), QUICK.with_(seed=6)).batch(7)[0], images)


def test_without_augmentation_the_objects_are_the_patches_themselves():
    plain = QUICK.with_(
        flip=False, shift=0.0, zoom=0.0, brightness=0.0, contrast=0.0, noise=0.0, blur=0.0, cut=0.0
    )
    patches = drawn_patches()
    known = {p.tobytes() for p in patches.images[patches.labels == 1]}
    images, _ = PatchBatches(patches, plain).batch(0)
    assert all(np.round(i[..., 0] * 255).astype(np.uint8).tobytes() in known for i in images[:8])


def test_hard_negatives_are_a_third_of_the_background_once_there_are_some():
    mark = np.full((4, 20, 28), 255, np.uint8)
    plain = QUICK.with_(batch_size=400, brightness=0.0, contrast=0.0, noise=0.0, blur=0.0)
    images, targets = PatchBatches(drawn_patches(), plain, mark).batch(0)
    hard = (images == 1).all(axis=(1, 2, 3))
    assert not hard[targets[:, 1] > 0.5].any() and 40 < hard.sum() < 95


def test_where_background_begins_by_hand():
    car = np.array(
        [[100.0, 50, 200, 90]]
    )  # 100 x 40; the rule ends 25 and 10 pixels away, background begins at 30.6 and 12.2
    windows = np.array(
        [
            [100, 50, 200, 90],
            [130, 50, 230, 90],
            [131, 50, 231, 90],
            [100, 62, 200, 102],
            [100, 63, 200, 103],
            [90, 46, 218, 97.2],
            [85, 44, 215, 96],
            [75, 40, 225, 100],
        ],
        float,
    )
    assert far_from(windows, car).tolist() == [False, False, True, False, True, False, False, True]
    assert far_from(windows[:2], np.zeros((0, 4))).all() and far_from(np.zeros((0, 4)), car).shape == (0,)


def test_the_hardest_windows_lie_apart():
    windows = np.array([[0, 0, 100, 40], [4, 0, 104, 40], [20, 0, 120, 40], [300, 0, 400, 40]], float)
    assert hardest([0.5, 0.9, 0.8, 0.1], windows, most=9).tolist() == [1, 2]
    assert hardest([0.5, 0.9, 0.8, 0.4], windows, most=1).tolist() == [1]
    assert hardest([], np.zeros((0, 4)), most=3).tolist() == []


def test_a_mosaic_knows_where_its_objects_are():
    patches = drawn_patches()
    patches = Patches(
        np.where(patches.labels[:, None, None] == 1, np.uint8(255), patches.images // 2), patches.labels
    )
    seen = 0
    for seed in range(12):
        picture = mosaic(patches, np.random.default_rng(seed))
        assert picture.image.shape == (80, 84)
        white = np.zeros_like(picture.image, bool)
        for x1, y1, x2, y2 in picture.objects.astype(int):
            assert 0 <= x1 < x2 <= 84 and 0 <= y1 < y2 <= 80
            white[y1:y2, x1:x2] = True
            seen += 1
        assert np.array_equal(picture.image == 255, white)
    assert seen > 3
    assert patches.size == SIZE
