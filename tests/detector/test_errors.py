"""Reasons of the system in words that stand in a sentence."""

from __future__ import annotations

import errno
import json

import pytest

from detector.config import load_config
from detector.data.label_map import read_label_map
from detector.errors import BoxscopeError, reason_of
from detector.labels import read_labels


def test_reasons_stand_in_a_sentence():
    assert reason_of(PermissionError(errno.EACCES, "Permission denied", "x.yaml")) == "permission denied"
    assert (
        reason_of(FileNotFoundError(errno.ENOENT, "No such file or directory", "x.yaml"))
        == "there is no such file or folder"
    )
    assert (
        reason_of(json.JSONDecodeError("Expecting value", "", 0))
        == "expecting value: line 1 column 1 (char 0)"
    )


@pytest.mark.parametrize("read", [lambda path: load_config(path, dict), read_label_map, read_labels])
def test_a_missing_file_is_no_number_of_the_system(tmp_path, read):
    with pytest.raises(BoxscopeError, match="there is no such file") as error:
        read(tmp_path / "nope.yaml")
    assert "Errno" not in str(error.value) and str(error.value).count("nope.yaml") == 1
