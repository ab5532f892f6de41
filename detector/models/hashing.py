"""Hashes that change when a detector's answers may change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from detector.core import ClassMap


def hash_files(paths: Iterable[Path]) -> str:
    """sha256 over the names and contents of files, in this order, read in pieces; 64 hex digits."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with open(path, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()


def hash_answers(weights: str, class_map: ClassMap, settings: Mapping[str, Any]) -> str:
    """The weights' hash joined with labels and settings; 64 hex digits."""
    text = json.dumps(
        [weights, class_map.names, class_map.external_ids, sorted(settings.items())], default=str
    )
    return hashlib.sha256(text.encode()).hexdigest()
