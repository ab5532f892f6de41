"""Guaranteed thresholds on random halves of runs: how often the goal is missed on the other half.

    python -m tests.benchmarks.guarantee_splits RUN [RUN ...] [--splits 1000]

For each run and goal: failures of the guarantee and of the usual rule on the held-out half and on the whole
run, the mean thresholds, and the oracle's (the threshold that just meets the goal on the whole run). Boxes as
the unit stand beside it: the mistake that the image as unit avoids.
"""

from __future__ import annotations

import argparse

import numpy as np

from analysis.matching.match import match_run
from analysis.runs.store import open_run
from analysis.thresholds.guarantee import GRID, Goal, ImageTable, certified, image_table, informative

CONFIDENCE = 0.9


def usual(table: ImageTable, goal: Goal) -> int | None:
    """The threshold that just meets the goal on these images."""
    with np.errstate(invalid="ignore"):
        reached = table.reached(goal)
        met = np.flatnonzero(
            reached <= goal.value if goal.name == "false positives" else reached >= goal.value
        )
    return None if not len(met) else int(met[-1] if goal.name == "recall" else met[0])


def boxes_as_images(table: ImageTable) -> ImageTable:
    owner = np.repeat(np.arange(len(table.objects)), table.objects)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(table.objects) - table.objects, table.objects)
    tp = (rank[:, None] < table.tp[owner]).astype(np.int32)
    return ImageTable(table.grid, np.ones(len(owner), int), tp, np.zeros_like(tp))


def goals_of(table: ImageTable) -> list[Goal]:
    """Goals that the run can meet with room on both sides: its figures at .4, .4 and .3."""
    at = int(np.searchsorted(table.grid, np.float32(0.4)))
    low = int(np.searchsorted(table.grid, np.float32(0.3)))
    recall = float(table.reached(Goal("recall", 0.5))[at])
    precision = float(table.reached(Goal("precision", 0.5))[at])
    false = float(table.reached(Goal("false positives", 1.0))[low])
    return [
        Goal("recall", round(recall, 2)),
        Goal("precision", round(precision, 2)),
        Goal("false positives", round(max(false, 0.02), 2)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--splits", type=int, default=1000)
    options = parser.parse_args()
    print("run | goal | rule | fails on the other half | fails on the whole | none | mean threshold | oracle")
    for path in options.runs:
        run = open_run(path)
        grid = np.unique(np.concatenate([GRID[::4], GRID[GRID > 0.2][::2]]))
        table = image_table(match_run(run), grid=grid, floor=run.manifest.floor)
        for goal in goals_of(table):
            compare(path.rstrip("/").split("/")[-1], table, goal, options.splits)


def compare(name: str, table: ImageTable, goal: Goal, splits: int) -> None:
    rng = np.random.default_rng(7)
    n, whole = len(table.objects), table.reached(goal)
    oracle = usual(table, goal)
    rules = {"guarantee": [], "usual": []} | ({"boxes as unit": []} if goal.name == "recall" else {})
    for _ in range(splits):
        turn = rng.permutation(n)
        chosen, rest = table.rows(turn[: n // 2]), table.rows(turn[n // 2 :]).reached(goal)
        picks = {
            "guarantee": certified(informative(chosen, goal), goal, 1 - CONFIDENCE),
            "usual": usual(chosen, goal),
        }
        if "boxes as unit" in rules:
            picks["boxes as unit"] = certified(boxes_as_images(chosen), goal, 1 - CONFIDENCE)
        for rule, at in picks.items():
            fails = (False, False) if at is None else (not goal.met(rest[at]), not goal.met(whole[at]))
            rules[rule].append((*fails, at is None, np.nan if at is None else table.grid[at]))
    for rule, rows in rules.items():
        other, all_, none, at = np.nanmean(np.array(rows, float), axis=0)
        best = "-" if oracle is None else f"{table.grid[oracle]:.3f}"
        print(
            f"{name} | {goal} | {rule} | {other:.1%} | {all_:.1%} | {none:.1%} | {at:.3f} | {best}",
            flush=True,
        )


if __name__ == "__main__":
    main()
