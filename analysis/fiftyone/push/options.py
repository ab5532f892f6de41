"""What a push writes: the one list of options that Python, the command, the page and the process share."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from analysis.fiftyone.service.links import DEFAULT_PAGES
from analysis.runs.manifest import Manifest


@dataclass(frozen=True)
class PushOptions:
    """Options of one push.

    Args:
        name: the FiftyOne data set; None for the run's name and six digits of its identity.
        threshold: confidence in 0..1: one number, one per class, or {class name: number}.
        iou: the IoU from which a detection fits an object.
        lowest: detections with a lower score are not written (they are counted in the report).
        pages: where our app answers, for the links; "" for none.
        eval_key: the evaluation's name in FiftyOne.
        figures: compute AP, AP50 and AP75 and show them in the panel.
        discard_edits: put our ground truth back where people changed it in FiftyOne.
        heatmaps: write confidence maps too, of every class and of the missed objects' classes, as Heatmap
            labels (PNG files in the data directory, about 5 KB and 5 ms each).
        evidence: a folder of maps that `boxscope explain RUN --out FOLDER` wrote: those of this run's
            detector and images are written too, one Heatmap label per method; the report names what is left
            out.
    """

    name: str | None = None
    threshold: Any = 0.5
    iou: float = 0.5
    lowest: float = 0.05
    pages: str = DEFAULT_PAGES
    eval_key: str = "eval"
    figures: bool = True
    discard_edits: bool = False
    heatmaps: bool = False
    evidence: str | os.PathLike | None = None

    def for_process(self, manifest: Manifest) -> str:
        """The options as one line of JSON: thresholds by class name, the folder's path absolute."""
        threshold = self.threshold
        if isinstance(threshold, Mapping):
            threshold = {str(name): float(value) for name, value in threshold.items()}
        elif not isinstance(threshold, (int, float)):
            threshold = dict(zip(manifest.classes.names, (float(value) for value in threshold)))
        evidence = None if self.evidence is None else str(Path(self.evidence).resolve())
        plain = replace(self, threshold=threshold, evidence=evidence, iou=float(self.iou))
        return json.dumps(asdict(replace(plain, lowest=float(self.lowest))))

    @classmethod
    def from_process(cls, text: str) -> PushOptions:
        return cls(**json.loads(text))
