"""Options that `boxscope evaluate` cannot honour together are refused, never ignored."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from app import cli
from detector.errors import InputError


@pytest.mark.parametrize(
    "options, named",
    [
        (["--parity", "--classes", "cat"], "--parity does not honour --classes"),
        (["--parity", "--crowd", "ignore"], "--parity does not honour --crowd"),
        (["--rule", "uiuc", "--iou", "0.7"], "--rule uiuc does not honour --iou"),
        (["--rule", "uiuc", "--parity"], "--rule uiuc does not honour --parity"),
    ],
)
def test_what_cannot_be_honoured_is_refused(tiny_run, options, named):
    ended = CliRunner().invoke(cli.app, ["evaluate", str(tiny_run), *options])
    assert isinstance(ended.exception, InputError) and named in str(ended.exception) and not ended.stdout
