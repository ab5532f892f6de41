"""Boxscope's public calls under one name, and its commands as `python -m boxscope`.

    import boxscope

    dataset = boxscope.load_dataset("annotations/instances_val2017.json")
    detector = boxscope.load_detector("ssd_mobilenet_v2")

The calls are those of `detector` and of `analysis`. Each is imported when it is first used, so that
`import boxscope` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import analysis
import detector
from detector.version import VERSION as __version__

if TYPE_CHECKING:
    from analysis import *  # noqa: F403
    from detector import *  # noqa: F403

_HOME = {name: package for package in (detector, analysis) for name in package.__all__}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(_HOME[name], name)
    raise AttributeError(f"module 'boxscope' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if __name__ == "__main__":
    from app.cli import main  # noqa: PLC0415  only the commands need typer

    main()
