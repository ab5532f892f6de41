"""Heat maps as FiftyOne Heatmap labels: where the model believes an object is, from a run's stored
detections, and evidence that was made before.

Each map is a grey PNG on the fixed scale of every other page (0 is black, 255 is confidence 1), longer side
256 pixels, in the folder of the run's media; FiftyOne lays it over the image and has a slider for its
opacity.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from bson import ObjectId

from analysis.fiftyone.fields import Names
from analysis.fiftyone.ids import object_ids
from analysis.fiftyone.push.evidence_maps import EvidenceMaps
from analysis.fiftyone.push.verdicts import Judged
from analysis.runs.store import Run
from analysis.saliency.confidence import confidence_map

SIDE = 256


class HeatMaps:
    """Writes the maps of an image and says what its document carries.

    Two confidence maps an image at most: `confidence_map`, every class; `missed_map`, the classes of its
    missed objects only, so that what the model half saw there is not drowned by what it found. An image
    without a missed object has no second map.

    Args:
        run: a Run; judged: its verdicts; names: the run's fields; owner: as `Documents` has it.
        folder: for the files. They are named by the image's place, so that a repeated push replaces them.
        confidence: whether to draw confidence maps; evidence: maps made before, one more label a method.
    """

    def __init__(
        self,
        run: Run,
        judged: Judged,
        names: Names,
        owner: str,
        folder: Path,
        *,
        confidence: bool = True,
        evidence: EvidenceMaps | None = None,
    ):
        self.run, self.judged, self.names, self.owner, self.folder = run, judged, names, owner, folder
        self.confidence, self.evidence = confidence, evidence
        self._starts = np.searchsorted(run.truth.rows, np.arange(len(run.sample_ids) + 1))

    def of(self, i: int) -> dict[str, dict[str, Any]]:
        """The Heatmap documents of image i by field name; {} where it has no detections to draw from."""
        run = self.run
        if not run.done[i] or run.sample_ids[i] in run.failed or not run.sizes[i].all():
            return {}
        maps = {}
        if self.confidence:
            found = run.detections_of(i)
            maps[self.names.confidence_map] = confidence_map(found, side=SIDE)
            objects = slice(self._starts[i], self._starts[i + 1])
            missed = np.unique(run.truth.class_ids[objects][self.judged.truth_verdict[objects] == "missed"])
            if len(missed):
                maps[self.names.missed_map] = confidence_map(found, class_ids=missed, side=SIDE)
        if self.evidence is not None:
            maps |= {
                self.names.evidence_map(method): values
                for method, values in self.evidence.of(i, SIDE).items()
            }
        return {field: self._document(field, i, values) for field, values in maps.items()}

    def _document(self, field: str, i: int, values: np.ndarray) -> dict[str, Any]:
        import cv2

        path = self.folder / field / f"{i:08d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        _, content = cv2.imencode(".png", np.round(values * 255).astype(np.uint8))
        path.write_bytes(content.tobytes())  # a push that is killed here writes it again when it is repeated
        label = object_ids(field, self.owner, [self.run.sample_ids[i]], [0])[0]
        return {
            "_id": ObjectId(label),
            "_cls": "Heatmap",
            "tags": [],
            "map_path": str(path),
            "range": [0, 255],
        }
