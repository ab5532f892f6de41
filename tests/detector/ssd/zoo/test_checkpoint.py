from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.crc32c import masked_crc32c
from detector.errors import ModelError
from detector.ssd.zoo.checkpoint import Checkpoint, latest_checkpoint
from detector.ssd.zoo.snappy import decompress
from tests.detector.ssd.bundle import write_bundle

TENSORS = {
    "model/a/kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "model/a/kernel_b": np.float32(7.5),
    "model/count": np.int64([3]),
    "model/empty": np.zeros((0, 4), np.float32),
}


def test_snappy_by_hand():
    """Literal "abcd", copy of 7 from 4 back (running into itself), literal "X", a copy with a two-byte
    offset.
    """
    stream = (
        bytes([16, (4 - 1) << 2])
        + b"abcd"
        + bytes([((7 - 4) << 2) | 1, 4, 0 << 2])
        + b"X"
        + bytes([((4 - 1) << 2) | 2, 12, 0])
    )
    assert decompress(stream) == b"abcdabcdabcXabcd"


def test_snappy_of_a_long_literal_and_a_four_byte_offset():
    text = bytes(range(256)) * 2
    stream = (
        b"\x84\x04"
        + bytes([61 << 2])
        + (len(text) - 1).to_bytes(2, "little")
        + text
        + bytes([((4 - 1) << 2) | 3])
        + (512).to_bytes(4, "little")
    )
    assert decompress(stream) == text + text[:4]


@pytest.mark.parametrize("stream", [b"", b"\x05\x0cab", b"\x04\x01\x09", b"\x02\x00a", b"\x04\x00a\x01\x00"])
def test_damaged_snappy_is_refused(stream):
    with pytest.raises(ValueError):
        decompress(stream)


@given(st.binary(max_size=300))
def test_damage_never_ends_in_another_kind_of_error(stream):
    with contextlib.suppress(ValueError):
        decompress(stream)


@pytest.mark.parametrize("snappy", [False, True])
def test_every_tensor_comes_back(tmp_path, snappy):
    prefix = write_bundle(tmp_path / "ckpt-0", TENSORS, snappy=snappy)
    checkpoint = Checkpoint(prefix)
    assert set(checkpoint.entries) == set(TENSORS)
    for key, want in TENSORS.items():
        got = checkpoint.read(key)
        assert got.dtype == want.dtype and got.shape == want.shape and np.array_equal(got, want)


def test_a_changed_byte_names_its_tensor(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt-0", TENSORS)
    checkpoint = Checkpoint(prefix)
    data = Path(f"{prefix}.data-00000-of-00001")
    raw = bytearray(data.read_bytes())
    raw[checkpoint.entries["model/a/kernel"].offset + 5] ^= 1
    data.write_bytes(raw)
    with pytest.raises(ModelError, match=r"model/a/kernel does not fit its CRC-32C"):
        checkpoint.read("model/a/kernel")
    assert checkpoint.read("model/a/kernel_b") == 7.5
    assert checkpoint.read("model/a/kernel", verify=False).shape == (2, 3, 4)


def test_a_file_cut_short_names_its_tensor(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt-0", TENSORS)
    data = Path(f"{prefix}.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:50])
    with pytest.raises(ModelError, match="tensor model/a/kernel needs 96 bytes at 0, the file ends after 50"):
        Checkpoint(prefix).read("model/a/kernel")
    data.unlink()
    with pytest.raises(ModelError, match="data file cannot be read"):
        Checkpoint(prefix).read("model/count")


def test_a_damaged_or_foreign_index_is_said(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt-0", TENSORS)
    index = Path(f"{prefix}.index")
    whole = index.read_bytes()
    for content, why in ((whole[:-20], "closing mark"), (b"", "closing mark"), (b"x" + whole[1:], "CRC-32C")):
        index.write_bytes(content)
        with pytest.raises(ModelError, match=why):
            Checkpoint(prefix)
    with pytest.raises(ModelError, match="there is none"):
        Checkpoint(tmp_path / "other")


def test_an_unknown_or_string_tensor_is_said(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt-0", {**TENSORS, "graph": b"text"})
    with pytest.raises(ModelError, match="no tensor 'nothing'"):
        Checkpoint(prefix).read("nothing")
    with pytest.raises(ModelError, match="no numeric tensor 'graph'"):
        Checkpoint(prefix).read("graph")


def test_the_latest_checkpoint_of_a_folder(tmp_path):
    with pytest.raises(ModelError, match="found none"):
        latest_checkpoint(tmp_path)
    for number in (2, 10, 9):
        write_bundle(tmp_path / f"ckpt-{number}", TENSORS)
    assert latest_checkpoint(tmp_path).name == "ckpt-10"
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/ckpt-9"\n')
    assert latest_checkpoint(tmp_path).name == "ckpt-9"
    assert Checkpoint(f"{latest_checkpoint(tmp_path)}.index").read("model/count") == 3


def test_what_tensorflow_writes_is_read_alike(shared):
    """A real TensorFlow checkpoint: every tensor bit-equal to the rule its weights follow."""
    from tests.detector.ssd.seeded import weight

    folder = shared / "golden" / "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8" / "checkpoint"
    checkpoint = Checkpoint(latest_checkpoint(folder))
    keys = [key for key in checkpoint.entries if key.startswith("model/")]
    assert len(keys) == 384
    for key in keys:
        assert np.array_equal(checkpoint.read(key), weight(key, checkpoint.entries[key].shape)), key


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),  # the check value of CRC-32C
        (bytes(32), 0x8A9136AA),  # RFC 3720, B.4
        (b"\xff" * 32, 0x62A8AB43),
    ],
)
def test_masking_is_a_rotation_by_15_and_a_constant(data, crc):
    rotated = (crc % 2**15) * 2**17 + (crc >> 15)
    assert masked_crc32c(data) == (rotated + 0xA282EAD8) % 2**32
