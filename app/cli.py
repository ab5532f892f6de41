"""The `boxscope` command: the same jobs as the app, without a browser.

Each command lives in `app/commands/`; this file joins them and turns every deliberate error, and what the
operating system refuses (a folder that may not be written, a full disk), into one line and exit code 1.
TensorFlow and FiftyOne are imported only by the commands that need them, when they do.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app.commands import (
    convert,
    data,
    detection,
    doctor,
    evaluation,
    explain,
    exporting,
    fiftyone,
    groups,
    mistakes,
    parity,
    report,
    start,
    suspects,
    sweeping,
    thresholds,
    training,
    why,
)
from detector.errors import BoxscopeError
from detector.paths import os_sentence
from detector.version import VERSION

EXTRAS = {
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "fiftyone": "fiftyone",
    "ray": "ray",
    "onnxruntime": "onnx",
}
"""Packages that only some commands need, and the extra that brings each."""

app = typer.Typer(
    name="boxscope",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"boxscope {VERSION}")
        raise typer.Exit


@app.callback()
def boxscope(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print Boxscope's version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """See what an object detector sees, what it misses, and why."""


for module in (
    start,
    data,
    doctor,
    convert,
    detection,
    evaluation,
    mistakes,
    why,
    explain,
    report,
    fiftyone,
    training,
    exporting,
    suspects,
    groups,
    sweeping,
    thresholds,
    parity,
):
    module.register(app)


def main() -> None:
    """Entry point of the `boxscope` command; exits with 1 on a deliberate error or a refused file, 130 on
    Ctrl-C.
    """
    try:
        app(prog_name="boxscope")
    except BoxscopeError as error:
        print(f"boxscope: {error}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            raise
        extra = EXTRAS[missing]
        print(
            f"boxscope: this needs {missing}, which is not installed: pip install 'boxscope[{extra}]'.",
            file=sys.stderr,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        print("boxscope: stopped.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        print(f"boxscope: {os_sentence(error)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
