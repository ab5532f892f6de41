"""Runs that `boxscope detect --out` made outside the data directory's `runs/`: remembered, so that they are
listed too.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

from analysis.runs.store import RunSummary, list_runs, summary_of
from detector.paths import data_dir, write_atomically

FILE = "noted_runs.json"
_lock = threading.Lock()


def note_run(path: str | Path) -> None:
    """Remember where a run lies, or will lie; nothing to do for one in the data directory's `runs/`."""
    path = Path(path).resolve()
    if path.parent == data_dir("runs").resolve():
        return
    with _lock:
        paths = _noted()
        if str(path) not in paths:
            write_atomically(
                data_dir() / FILE,
                json.dumps([*paths, str(path)], indent=1).encode("utf-8", "surrogateescape"),
            )


def noted_runs() -> list[Path]:
    """The folders of noted runs that still hold one, absolute, each once."""
    return [folder for folder in map(Path, _noted()) if (folder / "manifest.json").is_file()]


def known_runs() -> dict[str, RunSummary]:
    """The runs of the data directory and the noted ones by the name commands take, the newest first, broken
    ones last.

    A run of the data directory is named as its folder; a noted one too, with ~2, ~3 and so on where the name
    is taken.
    """
    named = {summary.path.name: summary for summary in list_runs(data_dir("runs"))}
    for folder in noted_runs():
        name, number = folder.name, 2
        while name in named:
            name, number = f"{folder.name}~{number}", number + 1
        named[name] = summary_of(folder)
    return dict(
        sorted(
            named.items(), key=lambda item: item[1].manifest.created if item[1].manifest else "", reverse=True
        )
    )


def _noted() -> list[str]:
    try:
        paths = json.loads((data_dir() / FILE).read_bytes())
    except (OSError, ValueError):
        return []
    return list(dict.fromkeys(p for p in paths if isinstance(p, str))) if isinstance(paths, list) else []
