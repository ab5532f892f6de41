"""Rules over images: unlabelled, empty, crowded, of an odd shape, in no split."""

from __future__ import annotations

import numpy as np

from analysis.datasets.findings import Finding, Settings
from analysis.datasets.kinds import counted
from analysis.datasets.rules.places import image_place
from detector.data.dataset import Dataset

EXPLAINED = ("no annotation", "missing label file", "unreadable annotation")
"""Problems of readers that already say of an image why it is unlabelled."""
LONG_FRAME = 3.0


def image_findings(dataset: Dataset, settings: Settings) -> list[Finding]:
    n = len(dataset)
    if not n:
        return [
            Finding(
                "no image",
                "error",
                1,
                "The data set holds no image.",
                "Look whether this is the file or folder that was meant, and whether its list of images is"
                " filled.",
            )
        ]
    per_image = np.diff(dataset.offsets)
    found: list[Finding] = []
    explained = {p.sample_id for p in dataset.problems if p.kind in EXPLAINED}
    bare = [i for i in np.flatnonzero(~dataset.labelled) if dataset.sample_ids[i] not in explained]
    if not dataset.labelled.any():
        found.append(
            Finding(
                "nothing labelled",
                "warning",
                n,
                f"None of the {n:,} images is labelled: there is nothing to train on or to evaluate with.",
                "Label them, or name the folder or file that holds the annotations.",
            )
        )
    elif bare:
        found.append(
            Finding(
                "unlabelled image",
                "warning",
                len(bare),
                f"{len(bare):,} of {n:,} images are unlabelled: a training leaves them out.",
                "Label them, or take them away.",
                tuple(image_place(dataset, i, "unlabelled") for i in bare),
            )
        )
    empty = np.flatnonzero(dataset.labelled & (per_image == 0))
    labelled = int(dataset.labelled.sum())
    if len(empty):
        grave = "warning" if 2 * len(empty) > labelled else "note"
        found.append(
            Finding(
                "image without objects",
                grave,
                len(empty),
                f"{len(empty):,} of {labelled:,} labelled images hold{'s' if len(empty) == 1 else ''} no"
                " object.",
                "Good as background if that is true; look at some for objects that nobody drew.",
                tuple(image_place(dataset, i, "no object") for i in empty),
            )
        )
    many = np.flatnonzero(per_image > settings.crowded)
    if len(many):
        found.append(
            Finding(
                "many objects",
                "warning",
                len(many),
                f"{counted('{n} image{s} hold{v}', len(many))} more than {settings.crowded} objects, the cap"
                " on boxes of the usual networks.",
                "Raise max_detections of the network, or cut the images into tiles.",
                tuple(image_place(dataset, i, f"{per_image[i]} objects") for i in many),
            )
        )
    size = dataset.sizes.astype(float)
    known = (size > 0).all(axis=1)
    long = np.flatnonzero(
        known
        & (size.max(axis=1, initial=0) > LONG_FRAME * np.where(known, size.min(axis=1, initial=np.inf), 1))
    )
    if len(long):
        found.append(
            Finding(
                "long image",
                "note",
                len(long),
                f"{counted('{n} image{s} {are}', len(long))} more than {LONG_FRAME:g} times as long as wide;"
                " stretched to a square input their objects are squeezed.",
                "Cut them into tiles, or choose an input size of their shape.",
                tuple(image_place(dataset, i, f"{int(size[i][0])}x{int(size[i][1])} pixels") for i in long),
            )
        )
    if n > 1 and len(dataset.objects) and not any(dataset.splits):
        found.append(
            Finding(
                "no split",
                "note",
                1,
                "No image is assigned to a split.",
                "Hold some out before training; what was trained on cannot judge the training.",
            )
        )
    return found
