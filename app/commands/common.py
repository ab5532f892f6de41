"""What the commands share: telling a run from a data set, class lists, output as text or JSON, progress."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.files.run_list import find_run, is_run
from app.files.sources import open_source
from app.terminal import say
from detector.errors import InputError

if TYPE_CHECKING:
    from analysis.runs.store import Run
    from analysis.runs.streamed import StreamedRun
    from detector.data.dataset import Dataset, Problem

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON alone on standard output.")]
IouOption = Annotated[float, typer.Option("--iou", min=0.01, max=1.0, help="Least IoU of a match.")]
ImagesOption = Annotated[
    Path | None, typer.Option(help="The folder with the pictures, where it is not in a usual place.")
]
ThresholdOption = Annotated[
    float, typer.Option("--threshold", "-t", min=0.0, max=1.0, help="Confidence threshold.")
]
ThresholdsOption = Annotated[
    Path | None,
    typer.Option("--thresholds", help="A YAML file of thresholds by class, instead of --threshold."),
]
RunArgument = Annotated[
    Path, typer.Argument(help="A stored run: its folder, or its name in `boxscope runs`.", metavar="RUN")
]


def read_stored(name: Path) -> Run | StreamedRun:
    """A run in memory, or in windows where it is too large for that; for the commands that take both."""
    from analysis.runs.streamed import StreamedRun, open_stored

    run = open_stored(find_run(name))
    if isinstance(run, StreamedRun):
        say(
            f"{run.name}: {run.detection_count:,} {plural(run.detection_count, 'detection')} of {len(run):,}"
            f" {plural(len(run), 'image')}, read in {len(run.bounds()):,}"
            f" {plural(len(run.bounds()), 'window')}"
        )
    return run


def chosen_threshold(threshold: float, thresholds: Path | None, run: Path) -> float | dict[str, float]:
    """One number, or one for every class of the run from a thresholds file."""
    if thresholds is None:
        return threshold
    from analysis.runs.manifest import read_manifest
    from analysis.thresholds.files import load_thresholds
    from detector.core import ClassMap

    record = read_manifest(run).classes

    by_class = load_thresholds(thresholds).thresholds(ClassMap(record.names, record.external_ids))
    return dict(zip(record.names, (float(c) for c in by_class)))


def class_thresholds(threshold: float, thresholds: Path | None, run: Run) -> float | Any:
    """The same as numbers by class id, as the analysis takes them."""
    if thresholds is None:
        return threshold
    from analysis.thresholds.files import load_thresholds

    return load_thresholds(thresholds).thresholds(run.class_map)


def read_data_or_run(path: str) -> Dataset | Run | StreamedRun:
    if is_run(Path(path)):
        return read_stored(Path(path))
    return open_source(str(path), say=say)


def split_names(text: str) -> list[str]:
    """ "person, traffic light" -> ["person", "traffic light"]."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise InputError("expected class names separated by commas, got none.")
    return names


def print_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    print()


def say_problems(problems: tuple[Problem, ...] | list[Problem], most: int = 5) -> None:
    """Counts by kind and the first few of them in full; silent when there are none."""
    if not problems:
        return
    from detector.data.dataset import count_problems

    total = len(problems)
    left_out = sum(p.left_out for p in problems)
    say(
        f"{total} problem{'s' if total > 1 else ''} in the data"
        + (f", {left_out} of them left something out:" if left_out else ":")
    )
    for kind, count in count_problems(problems).items():
        say(f"  {count:>6}  {kind}")
    for problem in problems[:most]:
        say(f"  - {problem}")
    if total > most:
        say(f"  ... {total - most} more: `boxscope doctor` lists them all.")


LOG_SECONDS = 30.0  # between two lines of a long job whose output is a file


@contextmanager
def progress_bar(what: str) -> Iterator[Any]:
    """A bar on standard error with rate and time left; yields update(done, total)."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None, rate="")

        def update(done: int, total: int | None, rate: float | None = None) -> None:
            bar.update(task, completed=done, total=total, rate=f"{rate:.1f}/s" if rate else "")

        yield update


@contextmanager
def training_bar(what: str) -> Iterator[Any]:
    """A bar on standard error with loss, learning rate and time left; yields
    update(detector.training.ssd.training.TrainProgress).
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    # A copy of standard error: TensorFlow's chatter is kept off the original while the bar is drawn.
    with os.fdopen(os.dup(2), "w") as terminal:
        console = Console(file=terminal)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"),
        )
        with Progress(
            *columns, console=console, transient=not console.is_terminal, disable=not console.is_terminal
        ) as bar:
            task = bar.add_task(what, total=None, words="loading the network")
            said: set[str] = set()
            logged = time.monotonic()

            def update(p: Any) -> None:
                nonlocal logged
                for note in p.notes:
                    if note not in said:
                        said.add(note)
                        console.print(note, markup=False, highlight=False, soft_wrap=True)
                words = p.phase or _training_words(p)
                bar.update(task, completed=p.step, total=p.steps, words=words)
                # A log file shows no bar: a line now and then says that it goes on.
                if not console.is_terminal and (
                    time.monotonic() - logged > LOG_SECONDS or (p.step == p.steps and not p.phase)
                ):
                    logged = time.monotonic()
                    line = f"{what}: {p.step:,} of {p.steps:,}, {words}"
                    console.print(line, markup=False, highlight=False, soft_wrap=True)

            yield update


def _training_words(p: Any) -> str:
    """Loss, rate, speed, the newest figure and the time left of a TrainProgress."""
    seconds = None if p.seconds_left is None else int(p.seconds_left)
    left = "" if seconds is None else f", {seconds // 60}:{seconds % 60:02d} left"
    figure = next((f", {name} {value:.3f}" for name, value in p.figures.items()), "")
    return f"loss {p.loss:.4f}, rate {p.learning_rate:.2g}, {p.images_per_second:.1f} images/s{figure}{left}"


def refuse_others(context: typer.Context, mode: str, honoured: set[str]) -> None:
    """Refuse options that were typed beside `mode` and that it does not honour: nothing is ignored silently.

    Args:
        context: of the command.
        mode: the option as a person types it, "--rule uiuc".
        honoured: parameter names of the command that take part.

    Raises:
        InputError: naming the options that cannot be honoured.
    """
    typed = [
        max(p.opts, key=len)
        for p in context.command.params
        if p.name not in honoured
        and (source := context.get_parameter_source(p.name)) is not None
        and source.name == "COMMANDLINE"
    ]
    if typed:
        raise InputError(
            f"{mode} does not honour {', '.join(typed)}: leave {mode} or {' and '.join(typed)} out."
        )


def plural(n: int, noun: str) -> str:
    """The noun for a number, without the number: "object", "objects", "classes", "boxes"."""
    return noun if n == 1 else noun + ("es" if noun.endswith(("s", "x")) else "s")


def percent(value: float | None) -> str:
    """A rate for people; one without a denominator is said to be undefined."""
    return "undefined" if value is None or value != value else f"{100 * value:.1f} %"
