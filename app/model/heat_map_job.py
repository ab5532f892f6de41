"""One heat map with its check, made in steps: what the model's process does for the page, and `boxscope
explain` in its own.

A step is short (a batch of D-RISE, one ranking of the check), so that whoever asks can show it and stop.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.saliency.faithfulness import BASELINES, Faithfulness, Trial
from analysis.saliency.heatmap import HeatMap
from analysis.saliency.methods import explain, find_target
from analysis.saliency.targets import Target, box_target, contrast_target
from analysis.saliency.views import open_view
from detector.errors import InputError

KEEP = 12
"""Jobs kept, finished or not, so that a user who returns to an object continues from the last step."""


@dataclass(frozen=True)
class Progress:
    """Where a job stands.

    Args:
        stage: "map", "check" or "done"; share: of the stage, 0..1, an estimate.
        heat: the map so far, None before the first.
        verdict: the finished check, None before.
    """

    stage: str
    share: float
    heat: HeatMap | None = None
    verdict: Faithfulness | None = None


class HeatMapJob:
    """A map and its check for one object.

    Args:
        ask: of the object, arguments of `analysis.saliency.methods.find_target` (box, class_id, missed, ...).
        method, settings: as `explain`; check: whether to hold the map against the baselines afterwards.
        trials: checks of this image by target, shared between the methods.
        rival: a class of the detector: why the object's class and not this one. Such a map has no check:
            hiding pixels moves both classes.
        side: of the box, or "all": why it stands where it stands, instead of why it has its class; None for
            the class.

    Raises:
        InputError: a contrast of a detector without candidates, or by a method that shows support only.
        CapabilityError: evidence for the box of a detector that does not show it.
    """

    def __init__(
        self,
        detector: Any,
        image: np.ndarray,
        ask: dict[str, Any],
        method: str,
        *,
        check: bool = True,
        settings: dict[str, Any] | None = None,
        trials: dict[Any, Trial] | None = None,
        rival: int | None = None,
        side: str | None = None,
    ):
        self.detector, self.image, self.method, self.check = detector, image, method, check
        self.settings = dict(settings or {})
        shown = detector.candidates([image])[0] if "candidates" in detector.info.capabilities else None
        self.target: Target = find_target(detector, image, **ask, candidates=shown)
        if side is not None:
            self.target = box_target(self.target, shown, side)
        if rival is not None:
            if method == "layer_cam":
                raise InputError(
                    "A contrast is signed, and LayerCAM shows support only; use integrated gradients or"
                    " D-RISE."
                )
            self.target, self.check = contrast_target(self.target, rival), False
        self.progress = Progress("map", 0.0)
        self._trials = {} if trials is None else trials
        self._steps = self._run()

    def step(self) -> Progress:
        """Go on a little; once done, the same answer each time."""
        self.progress = next(self._steps, self.progress)
        return self.progress

    def _run(self) -> Iterator[Progress]:
        heat: HeatMap | None = None
        sampled = self.method == "d_rise"
        extra = {"every_batch": True} if sampled else {}
        budget, batches = int(self.settings.get("masks", 512)), 0
        for found in explain(self.detector, self.image, [self.target], self.method, **self.settings, **extra):
            heat, batches = (found[0] if found else heat), batches + 1
            if not (heat is not None and heat.done):
                yield Progress("map", min(0.95, 8 * batches / budget), heat)
        if heat is None or not self.check:
            yield Progress("done", 1.0, heat)
            return
        trial = self._trial()
        names = tuple(n for n in BASELINES if n != "gaussian" or self.target.box is not None)
        for k, name in enumerate(names):
            yield Progress("check", (k + 0.2) / (len(names) + 1), heat)
            trial.baseline(name)
        yield Progress("check", len(names) / (len(names) + 1), heat)
        yield Progress("done", 1.0, heat, trial.judge(heat))

    def _trial(self) -> Trial:
        key = self.target.key()
        if key not in self._trials:
            self._trials[key] = Trial(open_view(self.detector, self.image, [self.target]), self.target)
        return self._trials[key]


class HeatMapJobs:
    """Jobs of one process by key."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[Any, HeatMapJob] = OrderedDict()
        self._trials: OrderedDict[Any, dict[Any, Trial]] = OrderedDict()

    def step(self, detector: Any, request: dict[str, Any]) -> Progress | None:
        """Go on with the job of `request["key"]`; None where it is not known and the request brings no image.

        A request is {"key", "picture", "ask", "method", "settings", "check", "image"}; `picture` names the
        image, so that methods share its check. The map is sent only when it is new: with `seen`, the masks
        its receiver has.
        """
        key = request["key"]
        if key not in self._jobs:
            if request.get("image") is None:
                return None
            trials = self._trials.setdefault((request["picture"], detector.info.weights_hash), {})
            while len(self._trials) > 3:
                self._trials.popitem(last=False)
            self._jobs[key] = HeatMapJob(
                detector,
                request["image"],
                request["ask"],
                request["method"],
                check=request["check"],
                settings=request["settings"],
                trials=trials,
                rival=request.get("rival"),
                side=request.get("side"),
            )
            while len(self._jobs) > KEEP:
                self._jobs.popitem(last=False)
        self._jobs.move_to_end(key)
        progress = self._jobs[key].step()
        have = request.get("seen")
        if (
            progress.heat is not None
            and have is not None
            and have == progress.heat.forwards
            and progress.stage != "done"
        ):
            return replace(progress, heat=None)
        return progress
