"""Exact autopsies of a whole run: the detector asked for its candidates of every judged image, in a thread of
this server.

Asked once for an operating point; every page then tells causes and prices from it. It outlives the tab, not
the server.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.misses.run import Autopsy, autopsy
from app.frame.state import key_of, threshold_key
from app.model.process import RemoteDetector
from detector.errors import BoxscopeError, ModelError

KEPT = 4


@dataclass
class Asking:
    """How one stands. Written by its thread, read by pages.

    Args:
        done, total: images; result: the autopsy once every image was asked; error: one sentence.
    """

    total: int
    done: int = 0
    result: Autopsy | None = None
    error: str = ""
    over: bool = False
    started: float = field(default_factory=time.monotonic)
    _stop: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        self._stop.set()

    @property
    def seconds_left(self) -> float | None:
        return (time.monotonic() - self.started) / self.done * (self.total - self.done) if self.done else None


_lock = threading.Lock()
_asked: OrderedDict[tuple, Asking] = OrderedDict()


class _Stopped(Exception):
    pass


def of(s: Any) -> Asking | None:
    """The one for what is on screen (run, thresholds, IoU), if it was asked for."""
    return _asked.get((key_of(s), threshold_key(s)))


def result(s: Any) -> Autopsy | None:
    """Its autopsy, once it is there."""
    asked = of(s)
    return None if asked is None else asked.result


def start(s: Any, spec: dict[str, Any]) -> Asking:
    """Begin, unless it is under way or done."""
    key = (key_of(s), threshold_key(s))
    with _lock:
        current = _asked.get(key)
        if current is not None and (not current.over or current.result is not None):
            return current
        state = _asked[key] = Asking(int(s.matches.judged.sum()))
        while len(_asked) > KEPT:
            _asked.popitem(last=False)[1].cancel()
    threading.Thread(
        target=_work,
        args=(state, s.run, s.thresholds, s.iou, s.matches, s.manifest.detector.weights_hash, spec),
        daemon=True,
        name="exact",
    ).start()
    return state


def _work(
    state: Asking,
    run: Any,
    thresholds: np.ndarray,
    iou: float,
    matches: Any,
    weights_hash: str,
    spec: dict[str, Any],
) -> None:
    try:
        detector = RemoteDetector(spec)
        if detector.info.weights_hash != weights_hash:
            raise ModelError(
                "The detector at the run's source has changed since, so its candidates are not this run's."
            )

        def candidates(i: int) -> Any:
            if state._stop.is_set():
                raise _Stopped
            found = detector.candidates([run.load_image(i)])[0]
            state.done += 1
            return found

        state.result = autopsy(
            run,
            thresholds,
            iou,
            matches=matches,
            candidates=candidates,
            images=np.flatnonzero(matches.judged).tolist(),
        )
    except _Stopped:
        state.error = "Stopped; the causes are told from the run's detections."
    except BoxscopeError as error:
        state.error = error.message
    except Exception as error:
        logging.getLogger("boxscope").exception("an exact autopsy failed")
        state.error = f"Asking the detector failed ({type(error).__name__}); the terminal shows more."
    finally:
        state.over = True
