"""Named sample sets (configs/datasets.yaml): what they are, where a copy lies, and fetching one through
FiftyOne's zoo.

Nothing is downloaded unless `fetch_sample_set` is called; callers show `SampleSet.size` first.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.errors import ConfigError, DataError, DownloadError, InputError
from detector.paths import CONFIGS, data_dir

CATALOGUE = CONFIGS / "datasets.yaml"
_KEYS = {"title", "size", "zoo", "split", "partial", "needs", "by_hand"}
_CHILD = """
import json, sys
from fiftyone.zoo import download_zoo_dataset
name, options = sys.argv[1], json.loads(sys.argv[2])
download_zoo_dataset(name, **options)
"""


@dataclass(frozen=True)
class SampleSet:
    """One entry of the catalogue; `size` is said before a download, `partial` sets can be fetched by class
    and count.
    """

    name: str
    title: str
    size: str
    zoo: str = ""
    splits: tuple[str, ...] = ()
    partial: bool = False
    needs: str = ""
    by_hand: str = ""


def list_sample_sets(file: Path = CATALOGUE) -> list[SampleSet]:
    """Every named sample set.

    Raises:
        ConfigError: the catalogue is missing or says something it may not.
    """
    import yaml

    try:
        entries = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(
            f"expected the catalogue of sample sets, it cannot be read ({error}).", path=file
        ) from None
    if not isinstance(entries, dict):
        raise ConfigError("expected a name for every sample set.", path=file)
    sets = []
    for name, entry in entries.items():
        unknown = set(entry) - _KEYS
        if unknown or not {"title", "size"} <= set(entry):
            raise ConfigError(
                f"sample set {name!r}: expected title, size and none but {sorted(_KEYS)}, got"
                f" {sorted(entry)}.",
                path=file,
            )
        split = entry.get("split", [])
        splits = (split,) if isinstance(split, str) else tuple(split)
        rest = {
            key: entry[key] for key in ("title", "size", "zoo", "partial", "needs", "by_hand") if key in entry
        }
        sets.append(SampleSet(name=str(name), splits=splits, **rest))
    return sets


def find_sample_set(name: str) -> SampleSet | None:
    return next((s for s in list_sample_sets() if s.name == name), None)


def sample_set_folder(entry: SampleSet, classes: Sequence[str] = (), count: int | None = None) -> Path:
    """Where a set, or the part of it with these classes and at most this many pictures, lies or would lie."""
    part = (
        "-".join([entry.name, *sorted(classes), *([str(count)] if count else [])])
        .replace(" ", "_")
        .replace("/", "_")
    )
    return data_dir("datasets") / part


def sample_set_path(entry: SampleSet) -> Path:
    """The folder to read.

    Raises:
        DataError: it is not on this machine; says its size, how to fetch it, and where a copy may be put.
    """
    if entry.name == "demo":
        from detector.data.samples.scenes import demo_dataset

        return Path(demo_dataset(data_dir("demo")).source)
    folder = sample_set_folder(entry)
    if not folder.is_dir() or not any(folder.iterdir()):
        raise DataError(
            f"{entry.title} is not on this machine ({entry.size}): fetch it with"
            f" detector.data.samples.sets.fetch_sample_set({entry.name!r}), or put a copy into {folder}:"
            f" {entry.by_hand}; the demo and your own pictures work without it."
        )
    return folder


def fetch_sample_set(
    name: str,
    *,
    classes: Sequence[str] = (),
    count: int | None = None,
    progress: Callable[[str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Path:
    """Download a sample set through FiftyOne's zoo; returns its folder, at once where it is there already.

    FiftyOne runs in a process of its own, without its database. What it has fetched is kept beside the final
    place until it is whole, so that a second try goes on, and half a set is never read.

    Args:
        classes, count: only pictures with one of these classes, at most this many (`partial` sets).
        progress: called with each line FiftyOne reports.
        should_stop: asked now and then; True ends the download.

    Raises:
        InputError: no such set, or it cannot be had in part.
        DownloadError: it could not be fetched; the message says where a copy may be put by hand.
    """
    entry = find_sample_set(name)
    if entry is None:
        raise InputError(
            f"No sample set is named {name!r}; known are {', '.join(s.name for s in list_sample_sets())}."
        )
    if not entry.zoo:
        return sample_set_path(entry)
    if (classes or count) and not entry.partial:
        raise InputError(f"{entry.title} cannot be fetched in part; leave classes and count away.")
    folder = sample_set_folder(entry, classes, count)
    if not folder.is_dir() or not any(folder.iterdir()):
        work = folder.with_name(f".{folder.name}.part")
        work.mkdir(parents=True, exist_ok=True)
        options: dict = {"splits": list(entry.splits)}
        if entry.partial:
            options["label_types"] = ["detections"]
            options.update({"classes": list(classes)} if classes else {})
            options.update({"max_samples": count} if count else {})
        _run_zoo(entry, options, work, progress, should_stop)
        if folder.is_dir():
            folder.rmdir()
        os.replace(work, folder)
    inner = folder / entry.zoo
    return inner if inner.is_dir() else folder


def _run_zoo(
    entry: SampleSet,
    options: dict,
    work: Path,
    progress: Callable[[str], None] | None,
    should_stop: Callable[[], bool] | None,
) -> None:
    environment = {
        **os.environ,
        "FIFTYONE_DATASET_ZOO_DIR": str(work),
        "FIFTYONE_DISABLE_SERVICES": "1",
        "FIFTYONE_DO_NOT_TRACK": "true",
        "PYTHONUNBUFFERED": "1",
    }
    log = work / "fetch.log"
    with open(log, "wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, entry.zoo, json.dumps(options)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        said = ""
        try:
            while child.poll() is None:
                time.sleep(0.5)
                last = _last_line(log)
                if progress is not None and last and last != said:
                    progress(last)
                    said = last
                if should_stop is not None and should_stop():
                    raise DownloadError(
                        f"The download of {entry.title} was stopped; another try goes on where it stopped."
                    )
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
    if child.returncode:
        need = f" (FiftyOne needs {entry.needs} for this set)" if entry.needs else ""
        raise DownloadError(
            f"{entry.title} ({entry.size}) could not be fetched:"
            f" {_reason(log) or f'exit code {child.returncode}'}{need}; put a copy into"
            f" {sample_set_folder(entry)} by hand: {entry.by_hand}; the demo and your own pictures work"
            " without it."
        )
    log.unlink(missing_ok=True)


def _reason(log: Path) -> str:
    """Why the child failed: the last line that names an error, a missing network in plain words."""
    text = log.read_text(errors="replace")
    if any(
        word in text
        for word in (
            "NameResolutionError",
            "Name or service not known",
            "Network is unreachable",
            "Max retries exceeded",
        )
    ):
        return "the network could not be reached"
    errors = [line.strip() for line in text.splitlines() if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (errors[-1] if errors else _last_line(log)).rstrip(".:")[:300]


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").replace("\r", "\n").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "").rstrip(".")
