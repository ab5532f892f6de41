"""The stored runs and their names: one rule for pages, links and commands.

A run in the data directory's `runs/` is named as its folder. A run elsewhere (in a root, or made by `boxscope
detect --out`, which notes its folder) is named `FOLDER@PARENT`: `my_run@one` lies in `.../one/my_run`. So a
bare name typed in one folder is never answered with a run of another folder. Where two runs would share a
name, the oldest keeps it and the others are numbered by age (`my_run@one~2`): a link keeps its run when
further runs are made.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.files.roots import roots
from detector.errors import InputError
from detector.paths import data_dir, write_atomically

if TYPE_CHECKING:
    from analysis.runs.store import Run, RunSummary

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
    return [folder for folder in map(Path, _noted()) if _holds_run(folder)]


def runs_in(place: Path) -> list[Path]:
    """The folders of runs directly in a folder, by name, and first the folder itself where it is a run."""
    try:
        with os.scandir(place) as entries:
            folders = sorted(
                Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith(".")
            )
    except OSError:
        return []
    return [folder for folder in [place, *folders] if _holds_run(folder)]


def run_folders(places: Iterable[Path]) -> list[Path]:
    """The runs of the data directory, of the noted folders and of `places`, each once."""
    found = [*runs_in(data_dir("runs")), *noted_runs()]
    found += [folder for place in places for folder in runs_in(place)]
    return list({folder.resolve(): folder for folder in reversed(found)}.values())[::-1]


def name_runs(folders: Iterable[Path]) -> dict[str, RunSummary]:
    """The runs in these folders by name, the newest first, broken ones last; see the module for the rule."""
    from analysis.runs.store import summary_of  # pyarrow takes half a second to load

    own = data_dir("runs").resolve()
    named: dict[str, RunSummary] = {}
    summaries = [summary_of(folder) for folder in folders]
    for summary in sorted(summaries, key=lambda s: (s.path.resolve().parent != own, *_age(s))):
        path = summary.path.resolve()
        plain = path.name if path.parent == own else f"{path.name}@{path.parent.name or 'root'}"
        name, number = plain, 2
        while name in named:
            name, number = f"{plain}~{number}", number + 1
        named[name] = summary
    newest = sorted(named.items(), key=lambda item: _created(item[1]), reverse=True)
    return dict(newest)


def named_runs(places: Sequence[Path] | None = None) -> dict[str, Path]:
    """The folders of all stored runs by name, the newest first.

    Args:
        places: folders to look through beside the data directory and the noted runs; the roots where None.
    """
    return {name: summary.path for name, summary in known_runs(places).items()}


def known_runs(places: Sequence[Path] | None = None) -> dict[str, RunSummary]:
    """`named_runs` with the summary of each run."""
    return name_runs(run_folders(roots(())[1:] if places is None else places))


def namesakes(name: str, known: Iterable[str]) -> list[str]:
    """The names in `known` of runs elsewhere whose folder has this bare name, as `known` lists them."""
    return [other for other in known if other.rpartition("@")[0] == name]


def find_run(name: Path) -> Path:
    """The folder of a run given as a path, as a name under the data directory's `runs/`, or as `boxscope
    runs` names it.

    Raises:
        InputError: there is none; the sentence lists the runs of that name in other folders.
    """
    if (folder := _folder_of(name)) is not None:
        return folder
    known = named_runs()
    if str(name) in known:
        return known[str(name)]
    others = namesakes(str(name), known)
    if others:
        elsewhere = " or ".join(f"{other} ({known[other]})" for other in others[:4])
        raise InputError(
            f"{name} is not a run here: expected a folder with manifest.json. A run of that name lies in"
            f" another folder; if it is meant, write {elsewhere}."
        )
    raise InputError(
        f"{name} is not a run: expected a folder with manifest.json; `boxscope runs` lists the stored ones."
    )


def is_run(path: Path) -> bool:
    """Whether a path, or a name under the data directory's `runs/`, is a run; names of runs elsewhere could
    be data sets' too.
    """
    return _folder_of(path) is not None


def read_run(name: Path) -> Run:
    """The run `find_run` finds, in memory.

    Raises:
        InputError: there is none. RunError: it cannot be read.
    """
    from analysis.runs.store import open_run

    return open_run(find_run(name))


def _folder_of(name: Path) -> Path | None:
    return next((folder for folder in (name, data_dir("runs") / name) if _holds_run(folder)), None)


def _holds_run(folder: Path) -> bool:
    return os.path.isfile(folder / "manifest.json")


def _created(summary: RunSummary) -> str:
    return summary.manifest.created if summary.manifest else ""


def _age(summary: RunSummary) -> tuple[bool, str, str]:
    """The oldest first; broken runs, whose age is unknown, last."""
    return summary.manifest is None, _created(summary), str(summary.path)


def _noted() -> list[str]:
    try:
        paths = json.loads((data_dir() / FILE).read_bytes())
    except (OSError, ValueError):
        return []
    return list(dict.fromkeys(p for p in paths if isinstance(p, str))) if isinstance(paths, list) else []
