"""Post-processing with another setting, over every image whose candidates can be replayed: counts before and
after.
"""

from __future__ import annotations

import numpy as np

from analysis.matching.counts import Counts
from analysis.matching.matches import Matches
from analysis.misses.prices import Rescue, add_counts, priced
from analysis.misses.proofs import SETTINGS, Change
from analysis.misses.replay import Replay, TrialRun, image_counts_of
from analysis.runs.store import Run


class Trials:
    """Counts of these images at the thresholds `thresholds`, under any setting of post-processing.

    Args:
        run, m, thresholds: the run, its class-aware matches, thresholds float32 [K].
        replays: image position -> its Replay; images that do not count (unlabelled, failed) are left out.
    """

    def __init__(self, run: Run, m: Matches, thresholds: np.ndarray, replays: dict[int, Replay]):
        self.run, self.m, self.thresholds = run, m, thresholds
        self.replays = {i: r for i, r in sorted(replays.items()) if m.judged[i]}
        self._known: dict[tuple[str, float], Counts] = {}
        self._benches: dict[int, TrialRun] = {}

    def counts(self, rule: str = "", value: float = 0.0) -> Counts:
        """The counts with one setting changed (none: as the detector has it)."""
        key = (rule, float(value))
        if key not in self._known:
            self._known[key] = add_counts([self._image(i, rule, value) for i in self.replays])
        return self._known[key]

    def _image(self, i: int, rule: str, value: float) -> Counts:
        replay = self.replays[i]
        settings = replay.settings
        if rule:
            settings = replay.changed(settings, rule, value)
        if i not in self._benches:
            self._benches[i] = TrialRun(self.run, self.m, i)
        boxes = replay.boxes(settings, at_least=float(self.thresholds.min(initial=0)))
        return image_counts_of(self._benches[i], boxes, self.thresholds)

    def price(self, change: Change) -> Rescue | None:
        """The price of a changed setting of post-processing; None for a change that is no such setting."""
        if change.rule not in SETTINGS or change.rule == "score_threshold" or not self.replays:
            return None
        whole = len(self.replays) == int(self.m.judged.sum())
        return priced(
            change.rule,
            -1,
            change.before,
            change.value,
            self.counts(),
            self.counts(change.rule, change.value),
            len(self.replays),
            whole,
        )

    def moved(self, rule: str, values: list[float]) -> list[Rescue]:
        """The prices of several values of one setting: the slider of the suppressor graph."""
        before = next((getattr(r.settings, rule) for r in self.replays.values()), float("nan"))
        prices = [self.price(Change(rule, float(before), value)) for value in values]
        return [p for p in prices if p is not None]
