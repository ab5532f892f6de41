"""The CRC-32C that stands in TensorFlow's files: TFRecord, checkpoints, event files."""

from __future__ import annotations

import google_crc32c


def masked_crc32c(data: bytes) -> int:
    """The form in which TensorFlow's files store the CRC-32C (Castagnoli) of `data`.

    Rotated by 15 bits plus a constant, so that the checksum of bytes that hold checksums stays meaningful
    (`tsl/lib/hash/crc32c.h`, `Mask`). 0xA282EAD8 for no bytes.
    """
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
