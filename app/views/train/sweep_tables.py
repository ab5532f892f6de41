"""A sweep as the page shows it: its trials as rows, curves and bars. Plain values, no Streamlit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detector.sweep.state import SweepState, TrialState

CURVES = 4
"""How many of the best trials are drawn over their steps."""


def rows(state: SweepState) -> list[dict[str, Any]]:
    """The trials for a table: those that ended best first, then the others."""
    order = [*state.leaderboard, *(t for t in state.trials if t not in state.leaderboard)]
    return [
        {
            "trial": t.number,
            "state": _words(t),
            state.figure or "figure": t.value,
            "step": f"{t.step:,} of {t.steps:,}",
            "minutes": None if t.seconds is None else round(t.seconds / 60, 1),
        }
        | {
            name: (
                str(t.params.get(name, ""))
                if isinstance(t.params.get(name), (list, dict, tuple))
                else t.params.get(name)
            )
            for name in state.search
        }
        for t in order
    ]


def _words(t: TrialState) -> str:
    if t.state == "killed":
        return "cut off"
    return f"{t.state}, goes on with {t.continues}" if t.continues is not None else t.state


def curves(state: SweepState) -> dict[str, Any]:
    """The best trials' figure over their steps, as `app.viewer.panels.line_charts` takes it."""
    best = [t for t in state.leaderboard if t.curve][:CURVES] or [t for t in state.trials if t.curve][
        -CURVES:
    ]
    series = [_series(f"trial {t.number}", i, [list(p) for p in t.curve]) for i, t in enumerate(best)]
    steps = max((t.steps for t in best), default=1)
    return {
        "x": [0, max(1, steps)],
        "x_name": "step",
        "panels": (
            [_panel(f"{state.figure or 'Figure'} over the steps, the best trials", series)] if series else []
        ),
    }


def progress_of(state: SweepState) -> dict[str, Any]:
    """The figure of every ended trial, and the best so far."""
    ended = sorted(
        (t for t in state.trials if t.state in ("done", "pruned") and t.value is not None),
        key=lambda t: t.number,
    )
    best, line = float("-inf"), []
    for t in ended:
        if t.state == "done":
            best = max(best, t.value)
            line.append([t.number, best])
    parts = [
        _series("best so far", 0, line),
        _series("done", 2, [[t.number, t.value] for t in ended if t.state == "done"], scatter=True),
        _series("pruned", 4, [[t.number, t.value] for t in ended if t.state == "pruned"], scatter=True),
    ]
    shown = [s for s in parts if s["points"]]
    last = max((t.number for t in state.trials), default=1)
    return {
        "x": [0, max(1, last, state.planned - 1)],
        "x_name": "trial",
        "panels": [_panel(f"{state.figure or 'Figure'} of each trial", shown)] if shown else [],
    }


def importance_rows(shares: dict[str, float]) -> dict[str, Any]:
    """Bars of each key's share, as `app.viewer.panels.bar_rows` takes them."""
    top = max(shares.values(), default=1.0) or 1.0
    made = [
        {
            "id": name,
            "name": name,
            "note": "",
            "verdict": "found",
            "count": "",
            "bar": share / top,
            "value": f"{100 * share:.1f} %",
            "disabled": True,
        }
        for name, share in shares.items()
    ]
    return {"head": ["key", "", "", "share"], "rows": made, "foot": "", "line": None, "selected": None}


def _series(name: str, colour: int, points: list[list[float]], scatter: bool = False) -> dict[str, Any]:
    return {"name": name, "colour": colour, "points": points, "dots": True, "scatter": scatter, "best": None}


def _panel(title: str, series: list[dict[str, Any]]) -> dict[str, Any]:
    high = max((y for s in series for _, y in s["points"]), default=1.0)
    low = min((y for s in series for _, y in s["points"]), default=0.0)
    return {
        "title": title,
        "height": 190,
        "lo": 0 if low >= 0 else None,
        "hi": 1 if low >= 0 and high <= 1 else None,
        "digits": 3,
        "span": 6,
        "series": series,
    }
