"""The data set's report: one page that needs nothing else, its numbers, its samples; and the small charts."""

from __future__ import annotations

import re

import numpy as np
import pytest

from analysis.datasets.doctor import diagnose
from analysis.datasets.duplicates import look_at_pictures
from analysis.datasets.eda_report import build_eda, choose_samples, drawn, eda_dict
from analysis.datasets.summary import summarise
from analysis.drawing.svg import columns, heat_map, short
from detector.errors import InputError
from tests.analysis.dataset_builders import scene, table, write
from tests.analysis.datasets.test_anchor_reach import grid


@pytest.fixture
def dataset(tmp_path):
    """Six pictures; the class <b> stands in one, the last two are one picture, the last cannot be read."""
    files = [str(write(tmp_path / f"p{k}.jpg", scene(min(k, 4), (90, 60)))) for k in range(6)] + [
        str(tmp_path / "gone.jpg")
    ]
    objects = [(k, 0, 5, 5, 40, 50) for k in range(6)] + [(3, 1, 50, 10, 80, 30)]
    return table(
        objects, names=("car", "<b>"), sizes=((90, 60),) * 7, files=files, splits=["train"] * 5 + ["test"] * 2
    )


def test_the_page_needs_nothing_else_and_shows_everything(dataset, tmp_path):
    found = diagnose(dataset, look=look_at_pictures(dataset), anchors=grid())
    report = build_eda(dataset, summarise(dataset), found, samples=7)
    html = report.write(tmp_path / "out" / "r.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', html) and "@import" not in html and "url(" not in html
    assert html.count("data:image/jpeg") == 6 + 2, "six samples that can be read, and one pair of copies"
    assert "&lt;b&gt;" in html and "<b>car" not in html and "there is no such file" in html
    for words in (
        "1 image stands in more than one split",
        "The same file in more than one split: p4.jpg (train), p5.jpg (test)",
        "<h2>What the anchors of grid reach",
    ):
        assert words in html
    with pytest.raises(InputError, match="html"):
        report.write(tmp_path / "r.txt")


def test_the_same_numbers_as_json(dataset):
    found = diagnose(dataset, look=look_at_pictures(dataset), anchors=grid())
    values = eda_dict(dataset, summarise(dataset), found)
    assert values["images"]["all"] == 7 and values["classes"][0]["objects"] == 6
    assert values["copies"] == [{"kind": "same file", "samples": ["im4", "im5"], "splits": ["test", "train"]}]
    assert values["reach"]["all"]["objects"] == 7 and values["fingerprint"] == dataset.fingerprint


def test_a_data_set_without_labels_or_pictures():
    bare = table([], names=(), sizes=((20, 10),), labelled=[False])
    assert "there is nothing to train on" in build_eda(bare, summarise(bare), diagnose(bare)).html
    empty = table([], names=(), sizes=())
    assert "The data set holds no image." in build_eda(empty, summarise(empty), diagnose(empty)).html


def test_samples_hold_the_rare_class_and_depend_on_the_seed(dataset):
    for seed in range(6):
        rows = choose_samples(dataset, 3, seed)
        assert len(set(rows)) == 3 and 3 in rows, "the only picture with the rarer class"
    assert len({tuple(choose_samples(dataset, 3, seed)) for seed in range(6)}) > 1
    assert sorted(choose_samples(dataset, 99)) == list(range(7)) and choose_samples(dataset, 0) == []


def test_only_the_asked_boxes_are_drawn(dataset):
    plain, one, all_boxes = (drawn(dataset, 3, 90, only=rows) for rows in ([], [3], None))
    assert plain.shape == (60, 90, 3)
    changed = (one != plain).any(axis=2)
    assert changed[5:50, 5:41].any() and not changed[:, 55:].any()
    assert (all_boxes != plain).any(axis=2)[:, 55:].any()


def test_charts_count_in_words():
    chart = columns(["small", "large <x>"], [3, 1200], "Sizes", "pixels")
    assert (
        "small: 3, 0.2 %" in chart
        and "large &lt;x&gt;: 1,200, 99.8 %" in chart
        and 'aria-label="Sizes"' in chart
    )
    edges = columns(["", "1:2", "2:1", ""], [0, 4, 1], "Shapes")
    assert "1:2 to 2:1: 4, 80.0 %" in edges and "2:1 to more: 1" in edges
    assert "<text" not in columns([], [], "Nothing")
    heights = [float(h) for h in re.findall(r'y="[\d.]+" width="[\d.]+" height="([\d.]+)" fill="#', chart)]
    assert heights[1] / heights[0] == pytest.approx(128 / 1), "the smallest column is still a pixel high"
    grid_drawn = heat_map(np.array([[0, 2, 0], [1, 0, 0]]), "Centres")
    assert grid_drawn.count("<title>") == 2 and 'fill-opacity="1.00"><title>2<' in grid_drawn
    assert [short(n) for n in (0, 999, 9999, 12_345, 123_456, 3_400_000)] == [
        "0",
        "999",
        "9,999",
        "12k",
        "123k",
        "3.4M",
    ]
