"""Evidence maps that `boxscope explain` wrote, as FiftyOne Heatmap labels: what in each image spoke for its
objects.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from analysis.runs.store import Run
from detector.errors import InputError


class EvidenceMaps:
    """The maps of a folder that belong to a run: by its detector's weights and its images' ids.

    Only evidence for an object's class is taken, not for its box or for one class rather than another. Maps
    of several objects of an image lie in one label a method: each from 0 to its own peak, the strongest of
    them at every pixel; what speaks against an object is left out, for FiftyOne draws no sign.

    Args:
        run: a Run; folder: with the .json and .npy files of `boxscope explain RUN --out FOLDER`.

    Attributes:
        methods: those that occur, in order; problems: what was left out and why, one sentence each.

    Raises:
        InputError: no folder, or no map in it belongs to this run.
    """

    def __init__(self, run: Run, folder: str | Path):
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(
                "expected the folder of maps that `boxscope explain RUN --out FOLDER` wrote, there is none.",
                path=folder,
            )
        self._run, self._files = run, defaultdict(list)
        left: Counter[str] = Counter()
        for file in sorted(folder.glob("*.json")):
            reason, facts = self._read(file)
            if reason:
                left[reason] += 1
            else:
                self._files[str(facts["image"]), facts["method"]].append(file.with_suffix(".npy"))
        self.methods = tuple(sorted({method for _, method in self._files}))
        self.problems = [
            f"{n} map{'s' if n > 1 else ''} in {folder} left out: {reason}." for reason, n in left.items()
        ]
        if not self._files:
            why = "; ".join(self.problems) or "there is no .json file in it."
            raise InputError(
                f"expected evidence maps of this run, written by `boxscope explain`, found none: {why}",
                path=folder,
            )

    def _read(self, file: Path) -> tuple[str, dict[str, Any]]:
        """(why it is no map of this run or "", its facts)."""
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return "not a readable .json", {}
        if not isinstance(facts, dict) or not {"image", "method", "weights_hash"} <= facts.keys():
            return "not written by `boxscope explain`", {}
        if facts["method"] == "confidence_map":
            return "a confidence map, which a push makes of every image", {}
        if facts.get("side") or facts.get("rather_than"):
            return "evidence for a box, or for one class rather than another", {}
        if facts["weights_hash"] != self._run.manifest.detector.weights_hash:
            return "of a detector with other weights", {}
        if str(facts["image"]) not in self._run:
            return "of an image the run does not have", {}
        if not file.with_suffix(".npy").is_file():
            return "its .npy is missing", {}
        return "", facts

    def of(self, i: int, side: int) -> dict[str, np.ndarray]:
        """float32 [h, w] from 0 to 1 by method, for image i; the longer side at most `side` pixels.

        Raises:
            InputError: a .npy is not a map of the image's size.
        """
        import cv2

        found: dict[str, np.ndarray] = {}
        width, height = (int(v) for v in self._run.image_size(i))
        shrink = min(1.0, side / max(width, height))
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        for method in self.methods:
            for file in self._files.get((str(self._run.sample_ids[i]), method), ()):
                values = _values(file, (height, width))
                peak = float(values.max(initial=0))
                small = cv2.resize(
                    np.maximum(values, 0) / peak if peak > 0 else np.zeros_like(values),
                    size,
                    interpolation=cv2.INTER_AREA,
                )
                found[method] = np.maximum(found[method], small) if method in found else small
        return found


def _values(file: Path, shape: tuple[int, int]) -> np.ndarray:
    try:
        values = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"expected a map that `boxscope explain` wrote, it cannot be read ({error}).", path=file
        ) from error
    if values.shape != shape or values.dtype.kind != "f":
        raise InputError(
            f"expected a map of {shape[0]} by {shape[1]} numbers, got {values.dtype} {values.shape}.",
            path=file,
        )
    return values.astype(np.float32)
