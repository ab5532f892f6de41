"""Tables that leave as CSV: names keep their rows, and no cell is run by a spreadsheet."""

from __future__ import annotations

import csv
import io

import pytest

from analysis.csv_text import csv_text, harmless
from analysis.mistakes.confusion import background_label
from analysis.report.build import matrix_csv


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@cmd", "'@cmd"),
        ("+cat", "'+cat"),
        ("-dog", "'-dog"),
        ("\t=1", "'\t=1"),
        ("-0.5", "-0.5"),  # a number written as text stays one
        ("+3", "+3"),
        (-0.5, -0.5),
        ("dog", "dog"),
        ("a=b", "a=b"),
        ("", ""),
        (None, ""),
    ],
)
def test_cells(value, cell):
    assert harmless(value) == cell


def test_a_table_with_every_kind_of_separator_comes_back():
    text = csv_text(["name", "=head"], [["a,b", 1], ['say "x"\nand y', None]])
    rows = list(csv.reader(io.StringIO(text)))
    assert rows == [["name", "'=head"], ["a,b", "1"], ['say "x"\nand y', ""]]


@pytest.mark.parametrize("names", [("object", "goose", "third"), ("background", "goose", "(background)")])
def test_the_confusion_matrix_names_its_rows_whatever_the_classes_are_called(names):
    import numpy as np

    matrix = np.array([[3, 0, 0, 0], [1, 2, 0, 0], [0, 0, 2, 2], [0, 0, 1, 0]])
    header, *rows = csv.reader(io.StringIO(matrix_csv(matrix, names)))
    labels = [*names, background_label(names)]
    assert header[1:] == labels and [row[0] for row in rows] == labels and len(set(labels)) == 4
    assert [[int(v) for v in row[1:]] for row in rows] == matrix.tolist()
