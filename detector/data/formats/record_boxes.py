"""The boxes of one record: stated fractions of the stored image, turned into pixels of the upright one."""

from __future__ import annotations

import numpy as np

from detector.data.dataset import Problem
from detector.data.formats.tf_example import BYTES, Feature
from detector.data.images import Header, turn_boxes

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def number_column(features: dict[str, Feature], key: str) -> list:
    found = features.get(key, Feature(0, []))
    return [] if found.kind == BYTES else found.values


def box_fractions(
    features: dict[str, Feature], number: int, where: str, sample_id: str, problems: list[Problem]
) -> np.ndarray:
    """float64 [N, 4] xyxy as stated; none, with a problem, where the four lists do not fit together or hold
    pixels.
    """
    columns = [number_column(features, f"image/object/bbox/{corner}") for corner in _CORNERS]
    lengths = {len(c) for c in columns}
    if len(lengths) > 1:
        problems.append(
            Problem(
                "malformed box",
                f"record {number} has corner lists of different lengths"
                f" ({', '.join(str(len(c)) for c in columns)}); its boxes are left out.",
                where,
                None,
                sample_id,
                True,
            )
        )
        return np.zeros((0, 4))
    fractions = np.array(columns, np.float64).T.reshape(-1, 4)
    if len(fractions) and np.nanmax(fractions, initial=0) > 2:
        problems.append(
            Problem(
                "pixels where fractions are due",
                f"record {number} has corners up to {np.nanmax(fractions):g}, expected fractions of the"
                " picture (0 to 1); its boxes are left out.",
                where,
                None,
                sample_id,
                True,
            )
        )
        return np.zeros((0, 4))
    return fractions


def upright_pixels(
    fractions: np.ndarray,
    header: Header,
    stated: tuple[int, ...],
    number: int,
    where: str,
    sample_id: str,
    problems: list[Problem],
) -> np.ndarray:
    """Fractions of the stored picture to pixels of the upright one, float64 [N, 4]."""
    size, turned = header.stored_size, header.orientation
    if 0 not in stated and stated != size:
        if stated == header.size:
            size, turned = header.size, 1
            if len(fractions):
                problems.append(
                    Problem(
                        "annotated upright",
                        f"record {number} states the upright {stated[0]}x{stated[1]} pixels and so do its"
                        " boxes; the OD API does not turn pictures and would see them misplaced. Write it"
                        " anew with `boxscope convert`.",
                        where,
                        None,
                        sample_id,
                    )
                )
        else:
            problems.append(
                Problem(
                    "wrong size",
                    f"record {number} states {stated[0]}x{stated[1]} pixels, the picture has"
                    f" {size[0]}x{size[1]}; the picture's own size is used.",
                    where,
                    None,
                    sample_id,
                )
            )
    boxes = unround(fractions, np.array([*size, *size], np.float64))
    return turn_boxes(boxes, size, turned) if turned != 1 and len(boxes) else boxes


def unround(fractions: np.ndarray, size: np.ndarray) -> np.ndarray:
    """float32 fractions [N, 4] times size [4], without what rounding them to float32 added.

    A coordinate is known to size x 2**-24 only. Where a number of two decimals lies that near, it is what was
    meant (annotations are whole pixels or, in COCO, hundredths); so these come back equal. Law, for x within
    0..size: |unround(float32(x / size), size) - x| <= size * 2**-23.
    """
    pixels = fractions * size
    near = np.round(pixels, 2)
    return np.where((np.abs(near - pixels) <= size * 2.0**-24) & (size < 40_000), near, pixels)
