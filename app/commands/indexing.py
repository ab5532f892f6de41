"""boxscope index: a folder or bucket listed once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.common import JsonFlag, plural, print_json, progress_bar, say_problems
from app.terminal import say


def index(
    source: Annotated[
        str, typer.Argument(help="A folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX.", metavar="SOURCE")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The index file (.parquet); by default named after the source, in this folder."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """List the pictures of a folder or bucket once, with sizes and fingerprints; the index is a data set for
    every command.
    """
    from detector.data.indexed.index import IndexedDataset, write_index

    out = out or Path(f"{source.rstrip('/').rsplit('/', 1)[-1] or 'pictures'}.parquet")
    with progress_bar(f"listing {source}") as update:
        write_index(source, out, progress=lambda count: update(count, None))
    made = IndexedDataset(out)
    if json:
        print_json(
            {
                "index": str(out),
                "source": made.about["root"],
                "images": len(made),
                "bytes": made.about["bytes"],
                "left_out": made.about["refused_count"],
                "fingerprint": made.fingerprint,
            }
        )
        return
    say_problems(made.problems)
    say(
        f"{len(made):,} {plural(len(made), 'picture')} of {made.about['bytes'] / 1e9:.3f} GB in"
        f" {made.about['root']}"
    )
    print(out)
