from __future__ import annotations

import numpy as np

from detector.data.uploads import dataset_from_uploads
from tests.detector.data.builders import encoded, kinds, pixels


def test_nothing_uploaded(tmp_path):
    assert len(dataset_from_uploads([], tmp_path / "up")) == 0


def test_names_decide_nothing_and_every_refusal_is_named(tmp_path):
    one, two = encoded(pixels(8, 6)), encoded(pixels(9, 6, seed=1), "JPEG")
    files = [
        ("../../etc/a.png", one),
        ("a.png", two),
        ("C:\\x\\b.jpg", one),
        ("c.jpg", b"text"),
        ("big.png", bytes(5000)),
        ("d.png", two),
    ]
    dataset = dataset_from_uploads(files, tmp_path / "up", max_bytes=4000, max_files=5)
    assert dataset.sample_ids == ["a.png", "a (2).png"] and not dataset.labelled.any()
    assert kinds(dataset) == [
        "duplicate file",
        "unreadable image",
        "file too large",
        "too many files",
    ] and all(p.left_out for p in dataset.problems)
    assert np.array_equal(dataset[0].load(), pixels(8, 6)) and dataset["a (2).png"].image_size == (9, 6)
    stored = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(stored) == 2 and all(p.parent == tmp_path / "up" for p in stored)
    again = dataset_from_uploads(files[:1], tmp_path / "up")
    assert again.files == dataset.files[:1]
