"""The built-in demo."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from detector.data import load_dataset
from detector.data.samples.scenes import (
    DEMO_CLASSES,
    DEMO_SEED,
    MOST_SCENES,
    SIZES,
    demo_dataset,
    scene,
    write_scenes,
)
from detector.errors import DataError, InputError


def test_a_seed_decides_everything():
    image, truth = scene(3, (320, 214))
    again, same = scene(3, (320, 214))
    other, _ = scene(4, (320, 214))
    assert image.shape == (214, 320, 3) and image.dtype == np.uint8
    assert (
        np.array_equal(image, again)
        and np.array_equal(truth.xyxy, same.xyxy)
        and not np.array_equal(image, other)
    )
    with ThreadPoolExecutor(3) as pool:  # drawn in parallel, the pixels stay the same
        assert {
            hashlib.sha256(i.tobytes()).hexdigest()
            for i, _ in pool.map(lambda k: scene(3, (320, 214)), range(6))
        } == {hashlib.sha256(image.tobytes()).hexdigest()}


def test_truth_tells_of_truncation_and_occlusion():
    cut = hidden = clear = small = 0
    for seed in range(12):
        image, truth = scene(seed, (320, 214))
        width, height = truth.image_size
        assert (width, height) == (320, 214)
        sides = truth.xyxy[:, 2:] - truth.xyxy[:, :2]
        assert (sides >= 1).all() and (truth.area <= sides.prod(axis=1)).all() and (truth.area > 0).all()
        at_border = (truth.xyxy[:, :2] <= 0).any(axis=1) | (truth.xyxy[:, 2:] >= (width, height)).any(axis=1)
        assert not (
            truth.truncated & ~at_border & ~truth.occluded
        ).any()  # what reaches the border may be hidden
        cut, hidden = cut + truth.truncated.sum(), hidden + truth.occluded.sum()
        clear, small = (
            clear + (~truth.truncated & ~truth.occluded).sum(),
            small + (sides.max(axis=1) < 40).sum(),
        )
    assert min(cut, hidden, clear, small) >= 5


def test_boxes_fit_the_pixels_that_are_seen():
    """The place without its last-drawn thing differs from the picture only inside that thing's box and
    shadow.
    """
    from detector.data.samples.scenes import backgrounds, compose, living

    random = np.random.default_rng(5)
    place = backgrounds.street(random, 320, 214)
    stage = compose._Stage(place, random, place.pixels.copy())
    assert stage.put(living.dog(random, 80), 160, 180, 5, shadow=False)
    changed = np.abs(stage.picture - place.pixels).max(axis=2) > 40
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    box = stage.truth().xyxy[0]
    assert np.abs(box - (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)).max() <= 2


def test_the_demo_is_drawn_once_and_read_as_coco(tmp_path):
    demo = demo_dataset(tmp_path, count=10, seed=1)
    assert len(demo) == 10 and set(demo.splits) == {"test"} and demo.problems == () and demo.name == "demo"
    assert demo.class_map == DEMO_CLASSES and len(demo.objects) >= 20
    assert len({tuple(s) for s in demo.sizes.tolist()}) >= 3 and {
        tuple(s) for s in demo.sizes.tolist()
    } <= set(SIZES)
    files = {f.name: f.stat().st_mtime_ns for f in tmp_path.rglob("*.jpg")}
    again = demo_dataset(tmp_path, count=10, seed=1)
    assert again.fingerprint == demo.fingerprint and files == {
        f.name: f.stat().st_mtime_ns for f in tmp_path.rglob("*.jpg")
    }
    assert [p.name for p in tmp_path.iterdir()] == [next(tmp_path.iterdir()).name]
    assert demo[3].load().shape == (demo[3].image_size[1], demo[3].image_size[0], 3)


def test_scenes_to_train_on_are_others_than_the_demos(tmp_path):
    told = []
    with pytest.raises(InputError, match="expected 1 to 10,007 scenes of one seed, got 0"):
        write_scenes(tmp_path / "none", 0, seed=1)
    folder = write_scenes(
        tmp_path / "new" / "scenes", 6, seed=1, progress=lambda done, total: told.append((done, total))
    )
    written = load_dataset(folder)
    assert (
        written.problems == ()
        and sorted(written.splits) == ["train"] * 5 + ["val"]
        and written.class_map == DEMO_CLASSES
    )
    assert max(told) == (6, 6) and len(told) == 6
    # By seed and number alone: the first of this seed's, and none of the demo's own.
    first = written[written.position("1")]
    assert np.abs(first.load().astype(int) - scene(MOST_SCENES)[0]).mean() < 3 and np.array_equal(
        first.annotations.xyxy, scene(MOST_SCENES)[1].xyxy
    )
    assert DEMO_SEED != 1 and folder.stat().st_mode & 0o777 == 0o755
    with pytest.raises(DataError, match="there already"):
        write_scenes(folder, 6, seed=1)


@pytest.mark.slow
def test_the_whole_demo_by_its_name(tmp_path):
    demo = load_dataset("demo")
    assert demo.format == "demo" and len(demo) == 120 and demo.problems == ()
    counts = np.bincount(demo.objects.class_ids, minlength=len(DEMO_CLASSES))
    assert (counts >= 15).all() and demo.objects.truncated.any() and demo.objects.occluded.any()
