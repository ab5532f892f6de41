"""Raw Snappy, decompression only: what LevelDB tables (and so the zoo's checkpoint indexes) use.

Source: github.com/google/snappy, format_description.txt.
"""

from __future__ import annotations


def decompress(data: bytes) -> bytes:
    """The plain bytes.

    Raises:
        ValueError: the stream ends early, points before its own start or has another length than it says.
    """
    size, at = varint(data, 0)
    out = bytearray()
    try:
        while at < len(data):
            tag, at = data[at], at + 1
            kind = tag & 3
            if kind == 0:
                length = tag >> 2
                if length >= 60:
                    extra = length - 59
                    length, at = int.from_bytes(data[at : at + extra], "little"), at + extra
                out += data[at : at + length + 1]
                at += length + 1
                continue
            if kind == 1:
                length, offset, at = 4 + (tag >> 2 & 7), (tag >> 5) << 8 | data[at], at + 1
            else:
                wide = 2 if kind == 2 else 4
                length, offset, at = 1 + (tag >> 2), int.from_bytes(data[at : at + wide], "little"), at + wide
            if not 0 < offset <= len(out):
                raise ValueError(f"Snappy: a copy points {offset} bytes back after {len(out)} bytes.")
            start = len(out) - offset
            # A copy may run into what it writes itself: then the same bytes repeat.
            chunk = bytes(out[start : start + length])
            out += (chunk * (length // len(chunk) + 1))[:length]
    except IndexError:
        raise ValueError("Snappy: the stream ends inside an element.") from None
    if len(out) != size:
        raise ValueError(f"Snappy: expected {size} bytes, got {len(out)}.")
    return bytes(out)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """(value, next position) of a base-128 number, lowest seven bits first."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number runs past the end of its data")
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
