"""Columns of one's own about the images: weather, camera, site."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from detector.errors import InputError


def read_columns(path: str | Path, run: Any) -> dict[str, np.ndarray]:
    """Each further column of a CSV with a column "sample", as a value for every object of the run, [M].

    A column whose values are all numbers is one of numbers (NaN where an image has none), any other one of
    texts ("" where an image has none).

    Raises:
        InputError: no column "sample", or no line names an image of the run.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        names = [name for name in reader.fieldnames or [] if name and name != "sample"]
        if "sample" not in (reader.fieldnames or []) or not names:
            raise InputError(f"{path}: expected a column sample and further ones, got {reader.fieldnames}.")
        lines = {str(line["sample"]): line for line in reader}
    if not any(s in lines for s in run.sample_ids):
        raise InputError(f"{path}: none of its {len(lines)} lines names an image of this run.")
    out = {}
    for name in names:
        texts = [(lines.get(s, {}).get(name) or "").strip() for s in run.sample_ids]
        values = np.array([_number(v) for v in texts])
        numeric = all(v == "" or not np.isnan(_number(v)) for v in texts)
        out[name] = (values if numeric else np.array(texts))[run.truth.rows]
    return out


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
