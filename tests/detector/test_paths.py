"""Files that cannot be written: said in one sentence, and before the work."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from detector.errors import InputError
from detector.paths import os_sentence, refuse_unwritable, write_atomically


def test_a_place_that_can_be_written_is_left_as_it_was(tmp_path):
    refuse_unwritable(tmp_path / "new" / "run")
    refuse_unwritable(tmp_path / "page.html", file=True)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "truth.json").write_text("{}")
    for path, file, words in (
        (tmp_path / "truth.json" / "run", False, "is a file, expected a folder"),
        (tmp_path / "truth.json", False, "is a file, expected a folder"),
        (tmp_path, True, "this is a folder, expected a file"),
        (Path("/proc/nono/run"), False, "no such file or folder"),
    ):
        with pytest.raises(InputError, match=words) as error:
            refuse_unwritable(path, file=file)
        assert str(error.value).startswith(f"{path} cannot be") and "\n" not in str(error.value)


def test_a_refused_write_names_the_file_and_leaves_nothing(tmp_path):
    (tmp_path / "t.yaml").mkdir()
    with pytest.raises(OSError) as error:
        write_atomically(tmp_path / "t.yaml", b"x")
    assert os_sentence(error.value).startswith(f"{tmp_path / 't.yaml'} cannot be read or written: ")
    assert [p.name for p in tmp_path.iterdir()] == ["t.yaml"]


def test_a_full_disk_without_a_file_name():
    sentence = os_sentence(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert (
        sentence
        == "A file cannot be read or written: no space left on device; choose another place, or fix this"
        " one."
    )
