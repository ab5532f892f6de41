from __future__ import annotations

import os

import pytest

from detector.data.files import inside, split_of, walk_pictures
from detector.errors import DataError
from tests.detector.data.builders import picture


def test_inside_resolves_links_and_dots(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    (root / "a").mkdir(parents=True)
    other.mkdir()
    (root / "way_out").symlink_to(other)
    (root / "way_in").symlink_to(root / "a")
    assert inside(root, [root]) == root
    assert inside(root / "way_in", [other, root]) == root / "a"
    assert inside(root / "a" / ".." / "a", [root]) == root / "a"
    for out in (
        root / "way_out",
        root / "a" / ".." / ".." / "other",
        tmp_path / "rootlike",
        "/etc/passwd",
        "a\0b",
    ):
        with pytest.raises(DataError):
            inside(out, [root])
    with pytest.raises(DataError, match="none"):
        inside(root, [])


def test_walk_is_sorted_skips_hidden_and_ends_in_a_circle(tmp_path):
    for name in ("b.jpg", "a/c.PNG", ".hidden/d.jpg", "._b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "a" / "notes.txt").write_text("x")
    os.symlink(tmp_path, tmp_path / "a" / "again")
    assert walk_pictures(tmp_path) == ["a/c.PNG", "b.jpg"]
    assert walk_pictures(tmp_path, recursive=False) == ["b.jpg"]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("instances_val2017.json", "val"),
        ("train_labels.csv", "train"),
        ("valid", "val"),
        ("Test", "test"),
        ("my_data", None),
        ("training.json", "train"),
        ("trainer", None),
    ],
)
def test_split_of(name, split):
    assert split_of(name) == split


def test_picture_builder_writes_what_it_says(tmp_path):
    from detector.data import image_size

    assert image_size(picture(tmp_path / "x.jpg", 40, 30)) == (40, 30)


def test_names_that_are_no_text_are_left_out_and_named(tmp_path):
    import os as system

    from detector.data import load_dataset

    picture(tmp_path / "a.jpg")
    try:
        system.link(system.fsencode(tmp_path / "a.jpg"), system.fsencode(tmp_path) + b"/\xff.jpg")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    dataset = load_dataset(tmp_path)
    assert dataset.sample_ids == ["a.jpg"]
    assert [(p.kind, p.left_out) for p in dataset.problems] == [("unreadable folder or name", True)]
    assert dataset.problems[0].path.encode().endswith(b"\\xff.jpg")
