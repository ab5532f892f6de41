"""Anchors of a chosen network as the value the analysis takes, and what single changes to it would reach."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from detector.errors import InputError

if TYPE_CHECKING:
    from analysis.datasets.anchor_reach import AnchorSet, Reach
    from detector.data.dataset import Dataset
    from detector.training.networks import Network

DEFAULT = "ssd_mobilenet_v2_fpnlite"
NONE = "none"


def parse_size(text: str | None) -> tuple[int, int] | None:
    """ "320" -> (320, 320), "512x320" -> (512, 320), None -> None.

    Raises:
        InputError: it is neither, or a side is 0.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d{1,5})(?:\s*[x×]\s*(\d{1,5}))?\s*", text)
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if 0 in size:
        raise InputError(f"input size: expected a number of pixels, or WIDTHxHEIGHT, got {text!r}.")
    return size


def chosen_network(text: str, size: str | None = None) -> Network | None:
    """The network a person names, at its own input size or another; None of "none"."""
    from detector.training.networks import read_network

    return None if text == NONE else read_network(text, parse_size(size))


def anchor_set(network: Network, name: str) -> AnchorSet:
    """The network's anchors as a value."""
    from analysis.datasets.anchor_reach import AnchorSet

    found = network.anchors
    return AnchorSet(
        short_name(name),
        found.boxes,
        found.levels,
        found.cells,
        (network.config.width, network.config.height),
        network.match_iou,
    )


def short_name(text: str) -> str:
    """ "runs/bccd" -> "bccd", "zoo/x/pipeline.config" -> "x"."""
    path = Path(text)
    return path.parent.name or text if path.name in ("pipeline.config", "recipe.yaml") else path.name or text


def remedies(dataset: Dataset, network: Network) -> list[tuple[str, Reach]]:
    """What each single change to the network would reach where that is more than it reaches as it is, the
    best first.
    """
    from analysis.datasets.anchor_reach import reach

    now = reach(dataset, anchor_set(network, "")).whole.reached
    found = [(words, reach(dataset, anchor_set(other, words))) for words, other in network.variants()]
    return sorted(
        (pair for pair in found if pair[1].whole.reached > now), key=lambda pair: -pair[1].whole.reached
    )
