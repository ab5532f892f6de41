"""LayerCAM for one target: where features that speak for it are active. One forward pass and a part of one
backward.

Jiang et al., "LayerCAM", IEEE TIP 2021: the sum over channels of ReLU(gradient) times feature. Unlike
Grad-CAM no gradient is averaged over the picture, so the map belongs to one anchor and not to every object of
its class.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import cv2
import numpy as np

from analysis.saliency.heatmap import HeatMap
from analysis.saliency.targets import Target
from analysis.saliency.views import OpenView
from detector.errors import InputError


def layer_cam(
    view: OpenView, target: Target, *, layers: Sequence[str] | None = None, positive: bool = True
) -> HeatMap:
    """Evidence for the target in the features, never negative.

    Args:
        view: of a detector with gradients.
        layers: of the network; None takes `DifferentiableDetector.evidence_layers`: the stride-8 features and
            the anchors' own level. Each layer's map is scaled to a maximum of 1, and the mean of them is the
            map.
        positive: count positive gradients only; False counts all, which is HiResCAM (Draelos and Carin,
            2020), or ODAM.

    Raises:
        InputError: the target has no anchors, or a layer's gradient is zero everywhere: the target is not
            read from it.
    """
    started = time.perf_counter()
    target = _anchored(view, target)
    names = tuple(layers) if layers is not None else view.detector.evidence_layers(target.anchor_ids)
    if not names:
        raise InputError("layer_cam: expected at least one layer.")
    outputs = target.outputs(len(view.detector.info.class_map))
    found = view.detector.gradients(
        view.frame, view.pixels[None], target.anchor_ids, outputs, target.weights, names
    )
    view.forwards += 1
    parts = []
    for name in names:
        features, gradients = found.features[name][0], found.gradients[name][0]
        if not np.any(gradients):
            raise InputError(
                f"layer_cam: the gradient at {name} is zero everywhere, so this target is not read from that"
                f" layer; ask for {', '.join(view.detector.evidence_layers(target.anchor_ids))}."
            )
        part = np.maximum(((np.maximum(gradients, 0) if positive else gradients) * features).sum(axis=-1), 0)
        part = cv2.resize(part.astype(np.float32), view.size, interpolation=cv2.INTER_LINEAR)
        parts.append(part / part.max() if part.max() > 0 else part)
    values = np.mean(parts, axis=0, dtype=np.float32)
    notes = () if values.any() else ("No feature speaks for it at these layers: the map is empty.",)
    return HeatMap(
        "layer_cam",
        view.threshold(values),
        view.image_size,
        "evidence",
        target=target,
        value=float(found.values[0]),
        forwards=1,
        backwards=1,
        seconds=time.perf_counter() - started,
        params={"layers": list(names), "positive": positive},
        notes=notes,
    )


def _anchored(view: OpenView, target: Target) -> Target:
    if not len(target.anchor_ids):
        raise InputError(
            "layer_cam and integrated_gradients explain single anchors, and this target names none."
        )
    return target.within(view.frame.first, view.frame.count)
