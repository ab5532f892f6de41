"""Copies by content: each kind told apart, across splits, and what is no copy."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest

from analysis.datasets.duplicates import Look, difference_hash, find_copies, grey_thumb, look_at_pictures
from detector import load_dataset
from tests.analysis.dataset_builders import scene, table, write


@pytest.fixture
def folder(tmp_path):
    """a, its copy, its pixels in another format, it at half the size; b, c of their own; d broken; two flat
    ones.
    """
    a = write(tmp_path / "train" / "a.png", scene(1, (130, 90)))
    shutil.copyfile(a, tmp_path / "train" / "a-again.png")
    (tmp_path / "test").mkdir()
    write(tmp_path / "test" / "a.bmp", scene(1, (130, 90)))
    write(
        tmp_path / "test" / "a-small.jpg",
        cv2.resize(scene(1, (130, 90)), (65, 45), interpolation=cv2.INTER_AREA),
        60,
    )
    write(tmp_path / "train" / "b.png", scene(2, (130, 90)))
    write(tmp_path / "train" / "c.png", scene(3, (130, 90)))
    (tmp_path / "train" / "d.png").write_bytes(a.read_bytes()[:200])
    for k, grey in enumerate((100, 101)):
        write(tmp_path / "train" / f"flat{k}.png", np.full((90, 130, 3), grey, np.uint8))
    return tmp_path


def test_each_kind_is_told_apart(folder):
    dataset = load_dataset(folder)
    for i, name in enumerate(dataset.sample_ids):
        dataset.splits[i] = name.split("/")[0]
    seen = []
    look = look_at_pictures(dataset, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, 9) for k in range(1, 10)]
    found = {
        (c.kind, tuple(dataset.sample_ids[i] for i in c.rows), c.splits) for c in find_copies(dataset, look)
    }
    assert found == {
        ("same file", ("train/a-again.png", "train/a.png"), ("train",)),
        ("same pixels", ("test/a.bmp", "train/a-again.png", "train/a.png"), ("test", "train")),
        ("near", ("test/a-small.jpg", "test/a.bmp", "train/a-again.png", "train/a.png"), ("test", "train")),
    }, "flat pictures resemble one another and are no copies"
    assert [(p.kind, p.sample_id) for p in look.problems] == [("truncated image", "train/d.png")]
    broken = dataset.position("train/d.png")
    assert not look.read[broken] and look.digests[broken] == "" and not look.sizes[broken].any()
    assert [c.kind for c in find_copies(dataset, look, near=False)] == ["same file"]


def test_leaks_come_first():
    dataset = table([], sizes=((90, 60),) * 4, splits=["train", "train", "train", "test"])
    thumbs = np.array([grey_thumb(scene(k)) for k in range(4)])
    look = Look(("x", "x", "y", "y"), np.full((4, 2), (90, 60)), thumbs, np.ones(4, bool))
    assert [(c.rows, c.leaks) for c in find_copies(dataset, look)] == [((2, 3), True), ((0, 1), False)]


def test_nothing_and_one():
    for n in (0, 1):
        dataset = table([], sizes=((90, 60),) * n)
        look = look_at_pictures(dataset)
        assert len(look) == n and find_copies(dataset, look) == []


def test_hash_is_the_sign_of_each_step_to_the_right():
    rising = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))
    assert int(np.bitwise_count(difference_hash(rising[None])).sum()) == 256
    assert int(np.bitwise_count(difference_hash(rising[None, :, ::-1])).sum()) == 0
    half = np.where(np.arange(32)[:, None] < 16, rising, rising[:, ::-1])
    assert int(np.bitwise_count(difference_hash(half[None])).sum()) == 128


def test_a_size_that_differs_is_named(tmp_path):
    file = write(tmp_path / "a.png", scene(1, (50, 40)))
    dataset = table([], sizes=((60, 40),), files=[str(file)])
    [problem] = look_at_pictures(dataset).problems
    assert problem.kind == "wrong size" and "60x40" in problem.message and "50x40" in problem.message


def test_pictures_inside_a_container_are_read(tmp_path):
    from detector.data.members import address

    data = write(tmp_path / "a.png", scene(1)).read_bytes()
    (tmp_path / "all.record").write_bytes(b"head" + data + b"tail")
    dataset = table(
        [],
        sizes=((90, 60),) * 2,
        files=[str(tmp_path / "a.png"), address(tmp_path / "all.record", 4, len(data), "a.png")],
    )
    [copies] = find_copies(dataset, look_at_pictures(dataset))
    assert (copies.kind, copies.rows) == ("same file", (0, 1))
