"""The faithfulness table: means, intervals over images, what is told apart."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.saliency.table import ObjectRow, bootstrap, by, markdown, score_of, size_of, summarise


def rows(over: list[float], images: list[str] | None = None) -> list[ObjectRow]:
    images = images or [f"image {k}" for k in range(len(over))]
    out = []
    for k, (difference, image) in enumerate(zip(over, images)):
        common = {"image": image, "object": k, "area": 900.0 + 2000 * (k % 2), "score": 0.4 + 0.3 * (k % 2)}
        out.append(ObjectRow(**common, method="gaussian", deletion=0.3, insertion=0.7, gain=0.4))
        out.append(
            ObjectRow(
                **common,
                method="d_rise",
                deletion=0.3,
                insertion=0.7 + difference,
                gain=0.4 + difference,
                inside_gain=0.1 * k,
            )
        )
    return out


def test_an_empty_table():
    assert summarise([]) == [] and summarise([r for r in rows([0.1]) if r.method == "d_rise"]) == []


def test_means_and_the_difference_to_the_gaussian():
    first, second = summarise(rows([0.1, 0.3, -0.1, 0.1]))
    assert (first.method, first.objects, first.images) == ("d_rise", 4, 4)
    assert (
        first.gain == pytest.approx(0.5) and first.over_gaussian == pytest.approx(0.1) and first.beats == 0.75
    )
    assert (
        first.inside_gain == pytest.approx(0.15)
        and second.method == "gaussian"
        and second.over_interval == (0, 0)
    )
    assert first.over_interval[0] < 0.1 < first.over_interval[1] and first.verdict == "not told apart"
    assert summarise(rows([0.1, 0.11, 0.12, 0.1]))[0].verdict == "better"
    assert summarise(rows([-0.1, -0.11, -0.12, -0.1]))[-1].verdict == "worse"


def test_objects_without_the_gaussian_are_left_out_of_the_comparison():
    some = [r for r in rows([0.1, 0.3, 9.0]) if not (r.object == 2 and r.method == "gaussian")]
    assert {line.method: line.objects for line in summarise(some)} == {"d_rise": 2, "gaussian": 2}


def test_images_are_drawn_not_objects():
    """Ten objects of one image are one observation: its interval is a point; those of ten images are ten."""
    values = np.arange(10.0)
    assert bootstrap(values, np.zeros(10, int)) == (4.5, 4.5)
    low, high = bootstrap(values, np.arange(10))
    assert low < 3.2 and high > 5.8
    together = summarise(rows([0.1, -0.1, 0.3, 0.2], ["a", "a", "b", "b"]))[0]
    assert together.images == 2 and together.over_interval == (
        pytest.approx(0.0, abs=1e-9),
        pytest.approx(0.25),
    )


def test_parts_by_size_and_score():
    assert [size_of(a) for a in (1023.9, 1024, 9215.9, 9216)] == ["small", "medium", "medium", "large"]
    assert [score_of(s) for s in (0.1, 0.3, 0.5, 1.0)] == [
        "under 0.30",
        "0.30-0.50",
        "0.50-0.70",
        "0.85-1.00",
    ]
    parts = by(rows([0.1, 0.2, 0.3]), lambda r: size_of(r.area))
    assert {k: len(v) for k, v in parts.items()} == {"medium": 2, "small": 4}


def test_as_a_table_in_markdown():
    lines = markdown(summarise(rows([0.1, 0.3]))).splitlines()
    assert lines[2].startswith("| d_rise | 0.30 | 0.90 | +0.60 (") and "| 100 % |" in lines[2]
    assert lines[3].startswith("| gaussian | 0.30 | 0.70 | +0.40") and lines[3].endswith("|  |  |  |")
