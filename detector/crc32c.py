"""CRC-32C (Castagnoli) of large buffers in numpy, and TensorFlow's masked form of it.

A CRC is linear over bits. The buffer is read as rows of N words; N independent lanes are advanced row by row
with the operator "append N words of zeros", then folded into one. About 300 MB/s, and no compiled extra is
needed.
"""

from __future__ import annotations

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Castagnoli, bits reversed


def crc32c(data: bytes | np.ndarray) -> int:
    """CRC-32C of bytes, or of an array's bytes in memory order; 0 for nothing."""
    raw = np.frombuffer(data, np.uint8) if isinstance(data, (bytes, bytearray, memoryview)) else _bytes(data)
    if raw.size < 200:
        return _by_byte(raw)
    lanes = 32 if raw.size < 1 << 12 else 256 if raw.size < 1 << 14 else 1024 if raw.size < 1 << 16 else 4096
    first = -raw.size % (4 * lanes)
    # Zeros in front do not change a CRC that starts at 0; the usual start of all ones flips the first four
    # bytes.
    head = np.zeros(4 * lanes, np.uint8)
    head[first:] = raw[: 4 * lanes - first]
    take = min(4, raw.size)
    head[first : first + take] ^= 0xFF
    spilled = take - (4 * lanes - first)
    state = head.view("<u4").copy()
    body = raw[4 * lanes - first :]
    if spilled > 0:
        body = body.copy()
        body[:spilled] ^= 0xFF
    low, high = _table(lanes)
    rows = np.frombuffer(body, "<u4").reshape(-1, lanes)
    for row in rows:
        state = _apply(state, low, high)
        state ^= row
    while len(state) > 1:
        half = len(state) // 2
        state = _apply(state[:half], *_table(half)) ^ state[half:]
    return int(_apply(state, *_table(1))[0]) ^ 0xFFFFFFFF


def masked_crc32c(data: bytes | np.ndarray) -> int:
    """The form in which TensorFlow's files store a CRC-32C."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _by_byte(raw: np.ndarray) -> int:
    crc = 0xFFFFFFFF
    for byte in raw.tolist():
        crc = (crc >> 8) ^ _byte_table()[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


@functools.cache
def _byte_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


def _apply(state: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return low[state & 0xFFFF] ^ high[state >> 16]


@functools.cache
def _columns(words: int) -> np.ndarray:
    """What "append this many zero words" makes of each of the 32 state bits; `words` is a power of two."""
    if words == 1:
        columns = []
        for bit in range(32):
            state = 1 << bit
            for _ in range(4):
                state = (state >> 8) ^ _byte_table()[state & 0xFF]
            columns.append(state)
        return np.array(columns, np.uint32)
    half = _columns(words // 2)
    low, high = _table(words // 2)
    return _apply(half, low, high)


@functools.cache
def _table(words: int) -> tuple[np.ndarray, np.ndarray]:
    """The same operator as two tables of 65,536, for the lower and the upper half of a state."""
    tables = []
    for columns in np.split(_columns(words), 2):
        table = np.zeros(1, np.uint32)
        for column in columns:
            table = np.concatenate([table, table ^ column])
        tables.append(table)
    return tables[0], tables[1]
