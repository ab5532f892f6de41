"""What the reviewer decided about suspects, kept beside the run, and how good the list proves to be.

suspects.json: {"boxscope_suspects": 1, "decisions": {KEY: {"decision": "label wrong", "kind": ..., ...}}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from analysis.intervals import wilson
from analysis.suspects.finding import Suspect
from analysis.suspects.planting import KINDS
from detector.errors import ConfigError, InputError
from detector.paths import write_atomically

FILE = "suspects.json"
DECISIONS = ("label wrong", "label right", "unsure")
Decision = Literal["label wrong", "label right", "unsure"]


@dataclass(frozen=True)
class ListPrecision:
    """How often a suspicion was right, as the reviewer decided; unsure ones do not count.

    Args:
        wrong: labels decided to be wrong, as suspected; right: decided to be right; unsure.
        share: wrong / (wrong + right), None without a decision; low, high: Wilson's 95 % interval.
    """

    wrong: int
    right: int
    unsure: int

    @property
    def share(self) -> float | None:
        total = self.wrong + self.right
        return self.wrong / total if total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return wilson(self.wrong, self.wrong + self.right)

    def __str__(self) -> str:
        if self.share is None:
            return "nothing decided yet" + (f" ({self.unsure} unsure)" if self.unsure else "")
        low, high = self.interval
        unsure = f", {self.unsure} unsure" if self.unsure else ""
        return (
            f"{self.wrong} of {self.wrong + self.right} decided were wrong labels: {self.share:.0%}"
            f" ({low:.0%} to {high:.0%}){unsure}"
        )


def load_decisions(folder: str | Path) -> dict[str, dict[str, Any]]:
    """Key of a suspect -> its record, from a run's folder; {} where nothing was decided.

    Raises:
        ConfigError: the file is no such file.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        decisions = content["decisions"]
        known = all(record["decision"] in DECISIONS for record in decisions.values())
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        known = False
    if not known:
        raise ConfigError("Expected the kept decisions about suspect labels; it is no such file.", path=path)
    return decisions


def decide(folder: str | Path, suspect: Suspect, decision: Decision | None) -> dict[str, dict[str, Any]]:
    """Keep one decision (None: forget it) and return all.

    Raises:
        InputError: no such decision. ConfigError: as `load_decisions`.
    """
    if decision is not None and decision not in DECISIONS:
        raise InputError(f"decision: expected one of {', '.join(DECISIONS)}, got {decision!r}.")
    decisions = load_decisions(folder)
    if decision is None:
        decisions.pop(suspect.key, None)
    else:
        record = {
            "decision": decision,
            "kind": suspect.kind,
            "sample": suspect.sample,
            "label_class": suspect.label_class,
            "seen_class": suspect.seen_class,
            "xyxy": list(suspect.xyxy),
            "suspicion": suspect.suspicion,
        }
        decisions[suspect.key] = record
    text = json.dumps({"boxscope_suspects": 1, "decisions": decisions}, indent=1, ensure_ascii=False)
    write_atomically(Path(folder) / FILE, text.encode())
    return decisions


def list_precision(decisions: Mapping[str, Mapping[str, Any]], kind: str | None = None) -> ListPrecision:
    """The precision of the list by the user's own decisions, of one kind or all."""
    mine = [r["decision"] for r in decisions.values() if kind is None or r["kind"] == kind]
    return ListPrecision(*(mine.count(name) for name in DECISIONS))


def undecided(suspects: Sequence[Suspect], decisions: Mapping[str, Any]) -> list[Suspect]:
    """Those without a decision, in the order given."""
    return [s for s in suspects if s.key not in decisions]


def precision_by_kind(decisions: Mapping[str, Mapping[str, Any]]) -> dict[str, ListPrecision]:
    return {kind: list_precision(decisions, kind) for kind in KINDS}
