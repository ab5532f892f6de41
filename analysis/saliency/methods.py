"""The methods, what each needs of a detector, and one call for all of them.

target = find_target(detector, image, box, class_id, missed=True, others=truth_boxes) for maps in
explain(detector, image, [target], "d_rise"): ...      # better and better; one map without sampling
contrast(detector, image, target, other_class)                     # why A and not B heatmaps_for(run,
detector, sample, objects, "layer_cam")          # float [H, W] arrays, for labels and files
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.runs.store import Run
from analysis.saliency.d_rise import d_rise
from analysis.saliency.heatmap import HeatMap
from analysis.saliency.integrated import integrated_gradients
from analysis.saliency.layer_cam import layer_cam
from analysis.saliency.targets import Target, contrast_target, target_from_detection, target_from_truth
from analysis.saliency.views import OpenView, open_view
from detector.core import Candidates, DetectorInfo
from detector.differentiable import DifferentiableDetector
from detector.errors import CapabilityError, InputError

EVIDENCE_METHODS = ("d_rise", "integrated_gradients", "layer_cam")
"""In the order they are offered: by insertion less deletion over a Gaussian on the box (the table in
docs/heatmaps.md).
"""

TITLES = {
    "confidence_map": "Confidence map",
    "layer_cam": "LayerCAM",
    "d_rise": "D-RISE",
    "integrated_gradients": "Integrated gradients",
}
EXPLAINED = {
    "confidence_map": "Where the model believes an object is. Says where, not why.",
    "integrated_gradients": (
        "Each pixel's share of the logit, for and against, from a picture of nothing to this one."
    ),
    "layer_cam": "Where features that speak for it are active. Shows support only.",
    "d_rise": "What the answer does when parts of the picture are hidden. Asks any detector, from outside.",
}


@dataclass(frozen=True)
class Offer:
    """One method for one detector: whether it can work, and if not, why and what to use instead."""

    method: str
    possible: bool
    reason: str = ""
    instead: str | None = None


def offers(info: DetectorInfo | Any, *, box: bool = False) -> list[Offer]:
    """Every method of `EVIDENCE_METHODS` for a detector, in the order they are offered.

    Args:
        info: a DetectorInfo, or a run's record of one (`simulated` and `capabilities` are read).
        box: for evidence of a box's sides instead of a class.
    """
    capabilities, simulated = set(info.capabilities), info.simulated
    out = []
    for method in EVIDENCE_METHODS:
        if simulated:
            out.append(
                Offer(
                    method,
                    False,
                    "This detector is simulated: no network ran, so nothing in the picture made its boxes.",
                    "confidence_map",
                )
            )
        elif box and "candidates" not in capabilities:
            out.append(
                Offer(
                    method,
                    False,
                    "Evidence for a box needs the boxes of single candidates, which this detector does not"
                    " show.",
                    "confidence_map",
                )
            )
        elif (
            box and method != "d_rise" and "gradients" in capabilities and "box_gradients" not in capabilities
        ):
            out.append(
                Offer(
                    method,
                    False,
                    f"{TITLES[method]} needs the gradients of a box's sides, which this detector does not"
                    " open; D-RISE asks it from outside.",
                    "d_rise",
                )
            )
        elif method != "d_rise" and "gradients" not in capabilities:
            out.append(
                Offer(
                    method,
                    False,
                    f"{TITLES[method]} needs gradients, and this detector is a black box; D-RISE asks it from"
                    " outside.",
                    "d_rise",
                )
            )
        else:
            out.append(Offer(method, True))
    return out


def find_target(
    detector: Any,
    image: np.ndarray,
    box: Sequence[float],
    class_id: int,
    *,
    missed: bool = False,
    score: float = 1.0,
    anchor_id: int = -1,
    others: np.ndarray | None = None,
    candidates: Candidates | None = None,
) -> Target:
    """The target of one object of an image.

    Args:
        box: xyxy pixels; class_id: the detector's own.
        missed: a ground-truth object that was not found, else a detection with this score and anchor (-1:
            looked for).
        others: boxes of all objects of the image, this one included, as training would see them.
        candidates: of the image, where they are at hand.
    """
    if candidates is None and "candidates" in detector.info.capabilities:
        candidates = detector.candidates([image])[0]
    if not missed:
        return target_from_detection(candidates, box, class_id, score, anchor_id)
    assigned = None
    if "gradients" in detector.info.capabilities and isinstance(detector, DifferentiableDetector):
        size = (image.shape[1], image.shape[0])
        own = np.asarray(box, np.float64).reshape(1, 4)
        every = own if others is None or not len(others) else np.asarray(others, np.float64).reshape(-1, 4)
        row = int(np.argmin(np.abs(every - own).sum(axis=1)))
        if np.abs(every[row] - own).max() > 1e-3:
            every, row = np.concatenate([every, own]), len(every)
        assigned = detector.assigned_anchors(every, size)[row]
    return target_from_truth(candidates, box, class_id, assigned=assigned)


def explain(
    detector: Any,
    image: np.ndarray,
    targets: Sequence[Target],
    method: str,
    *,
    cancelled: Callable[[], bool] | None = None,
    **settings: Any,
) -> Iterator[list[HeatMap]]:
    """Heat maps of targets of one image, one a target, in order; D-RISE yields better ones until they are
    done.

    Args:
        method: one of `EVIDENCE_METHODS`; settings: of its function.
        cancelled: asked before every batch.

    Raises:
        CapabilityError: the detector cannot do this; the message says why and what works. InputError: no such
            method.
    """
    if method not in EVIDENCE_METHODS:
        raise InputError(f"method: expected one of {', '.join(EVIDENCE_METHODS)}, got {method!r}.")
    for offer in offers(detector.info, box=any(t.sides is not None for t in targets)):
        if offer.method == method and not offer.possible:
            raise CapabilityError(offer.reason)
    if not targets:
        return
    if method == "d_rise":
        yield from _d_rise_everywhere(detector, image, list(targets), cancelled, settings)
        return
    function = layer_cam if method == "layer_cam" else integrated_gradients
    maps = []
    for target in targets:
        if cancelled is not None and cancelled():
            return
        view = open_view(detector, image, [target])
        if not isinstance(view, OpenView):
            raise CapabilityError(f"{detector.info.name} does not open its network; use D-RISE.")
        maps.append(function(view, target, **settings))
    yield maps


def _d_rise_everywhere(
    detector: Any, image: np.ndarray, targets: list[Target], cancelled: Any, settings: dict[str, Any]
) -> Iterator[list[HeatMap]]:
    """D-RISE over the frames the targets lie in: one, but for a detector that works at several scales."""
    black_box = bool(settings.pop("black_box", False))
    left, maps = list(range(len(targets))), [None] * len(targets)
    while left:
        view = open_view(detector, image, [targets[t] for t in left], black_box=black_box)
        here = [t for t in left if _in_frame(view, targets[t])]
        for found in d_rise(view, [targets[t] for t in here], cancelled=cancelled, **settings):
            for t, heat in zip(here, found):
                maps[t] = heat
            complete = all(heat is not None for heat in maps)
            if complete or settings.get("every_batch"):
                yield list(maps) if complete else []
        if cancelled is not None and cancelled():
            return
        left = [t for t in left if t not in here]


def _in_frame(view: Any, target: Target) -> bool:
    if not isinstance(view, OpenView) or not len(target.anchor_ids):
        return True
    first, count = view.frame.first, view.frame.count
    return bool(((target.anchor_ids >= first) & (target.anchor_ids < first + count)).any())


def last(maps: Iterator[list[HeatMap]]) -> list[HeatMap]:
    """The final maps of `explain`; [] where it was cancelled before the first."""
    found: list[HeatMap] = []
    for found in maps:  # noqa: B007
        pass
    return found


def contrast(
    detector: Any,
    image: np.ndarray,
    target: Target,
    other_class: int,
    *,
    method: str | None = None,
    **settings: Any,
) -> HeatMap:
    """Why A and not B: signed evidence for the target's class less that for another, at the same anchors.

    Positive: speaks for the target's class rather than for the other; `value` is the difference of the two
    logits.

    Args:
        target: from `find_target`. For an object of class A that was detected as B, take the target of the
            missed object (class A) and `other_class` B: negative places are what made it B.
        method: "integrated_gradients" or "d_rise"; None takes the former, whose values add up, where there
            are gradients.

    Raises:
        InputError: the target has no anchors, or LayerCAM is asked for (it cannot show evidence against).
        CapabilityError: see `explain`.
    """
    if method == "layer_cam":
        raise InputError(
            "A contrast is signed, and LayerCAM shows support only; use integrated_gradients or d_rise."
        )
    if method is None:
        method = next(
            (o.method for o in reversed(offers(detector.info)) if o.possible and o.method != "layer_cam"),
            "d_rise",
        )
    return last(explain(detector, image, [contrast_target(target, other_class)], method, **settings))[0]


@dataclass(frozen=True)
class ObjectRef:
    """An object of an image of a run: `index` is its place among the image's detections, or among its ground
    truth.
    """

    side: str
    index: int


def targets_of(
    run: Run, detector: Any, image: np.ndarray, i: int, objects: Sequence[ObjectRef]
) -> list[Target]:
    """Targets of objects of image i of a run: side "det" as detections, side "truth" as missed objects.

    Raises:
        InputError: there is no such object, or the detector does not know its class.
    """
    candidates = detector.candidates([image])[0] if "candidates" in detector.info.capabilities else None
    found, truth = run.detections_of(i), run.annotations(i)
    own = {link.class_id: k for k, link in enumerate(run.manifest.classes.links)}
    out = []
    for ref in objects:
        rows = found if ref.side == "det" else truth
        if rows is None or not 0 <= ref.index < len(rows):
            what = "detections" if ref.side == "det" else "ground-truth objects"
            raise InputError(
                f"{run.sample_ids[i]}: expected one of its {0 if rows is None else len(rows)} {what}, got"
                f" number {ref.index}."
            )
        class_id = int(rows.class_ids[ref.index])
        if class_id not in own:
            raise InputError(
                f"The detector has no class {run.class_map.names[class_id]!r}, so there is nothing in it that"
                " could speak for this object."
            )
        missed = ref.side == "truth"
        anchor = -1 if missed or found.anchor_ids is None else int(found.anchor_ids[ref.index])
        out.append(
            find_target(
                detector,
                image,
                rows.xyxy[ref.index],
                own[class_id],
                missed=missed,
                score=1.0 if missed else float(found.scores[ref.index]),
                anchor_id=anchor,
                others=truth.xyxy if missed else None,
                candidates=candidates,
            )
        )
    return out


def heatmaps_for(
    run: Run,
    detector: Any,
    sample: str | int,
    objects: Sequence[ObjectRef | tuple[str, int]],
    method: str = EVIDENCE_METHODS[0],
    **settings: Any,
) -> list[np.ndarray]:
    """Heat maps of objects of one image of a run, each float32 [H, W] of the image's size, in the order asked
    for.

    Args:
        run: a Run; detector: the loaded detector that made it.
        sample: a sample id, or its position.
        objects: `ObjectRef`s, or ("det", place among the image's detections) and ("truth", place among its
            objects).
        method: "confidence_map" (0..1, for the object's class), or one of `EVIDENCE_METHODS` (not normalised;
            LayerCAM from 0, the other two signed, 0 is no evidence). A label needs a range: [0, 1], or [-m,
            m] of the largest value.

    Raises:
        CapabilityError: the detector cannot do this; `offers(detector.info)` says so beforehand.
        InputError: no such sample, object or method.
    """
    i = sample if isinstance(sample, int) else run.position(sample)
    refs = [o if isinstance(o, ObjectRef) else ObjectRef(*o) for o in objects]
    image = run.load_image(i)
    targets = targets_of(run, detector, image, i, refs)
    if method == "confidence_map":
        from analysis.saliency.confidence import confidence_map

        source = (
            detector.candidates([image])[0]
            if "candidates" in detector.info.capabilities
            else detector.detect([image])[0]
        )
        return [confidence_map(source, class_ids=t.class_id) for t in targets]
    return [heat.full() for heat in last(explain(detector, image, targets, method, **settings))]
