"""tf.train.Example without TensorFlow: named lists of bytes, floats or whole numbers.

Wire format: tensorflow/core/example/example.proto and feature.proto. Example {1: Features {1: map<string,
Feature>}}, Feature {1: BytesList | 2: FloatList | 3: Int64List}, each {1: repeated value}, numbers packed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

BYTES, FLOATS, INTS = 1, 2, 3


class Feature(NamedTuple):
    """One feature: its kind, and its values: for bytes (start, end) places in the record, else numbers."""

    kind: int
    values: list


def parse_example(record: bytes) -> dict[str, Feature]:
    """The features by name.

    Raises:
        ValueError: the bytes are no tf.train.Example.
    """
    features: dict[str, Feature] = {}
    for field, start, end in _messages(record, 0, len(record)):
        if field != 1:
            continue
        for inner, entry, entry_end in _messages(record, start, end):
            if inner == 1:
                name, feature = _entry(record, entry, entry_end)
                features[name] = feature
    return features


def _entry(record: bytes, start: int, end: int) -> tuple[str, Feature]:
    name, feature = "", Feature(0, [])
    for field, at, stop in _messages(record, start, end):
        if field == 1:
            name = record[at:stop].decode()
        elif field == 2:
            for kind, low, high in _messages(record, at, stop):
                if kind in (BYTES, FLOATS, INTS):
                    feature = Feature(kind, _values(record, kind, low, high))
    return name, feature


def _values(record: bytes, kind: int, start: int, end: int) -> list:
    values: list = []
    at = start
    while at < end:
        tag, at = _varint(record, at, end)
        wire = tag & 7
        if tag >> 3 != 1:
            raise ValueError("an unknown field in a list of values")
        if wire == 2:
            length, at = _varint(record, at, end)
            stop = at + length
            if stop > end:
                raise ValueError("a value reaches past its list")
            if kind == BYTES:
                values.append((at, stop))
            elif kind == FLOATS:
                if length % 4:
                    raise ValueError("a list of floats is cut off")
                values.extend(np.frombuffer(record, "<f4", length // 4, at).tolist())
            else:
                while at < stop:
                    value, at = _varint(record, at, stop)
                    values.append(_signed(value))
            at = stop
        elif wire == 5 and kind == FLOATS and at + 4 <= end:
            values.append(struct.unpack_from("<f", record, at)[0])
            at += 4
        elif wire == 0 and kind == INTS:
            value, at = _varint(record, at, end)
            values.append(_signed(value))
        else:
            raise ValueError("a value of a kind that its list does not hold")
    return values


def _messages(record: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(field number, start, end) of every length-delimited field."""
    at = start
    while at < end:
        tag, at = _varint(record, at, end)
        if tag & 7 != 2:
            raise ValueError("expected nested fields only")
        length, at = _varint(record, at, end)
        if at + length > end:
            raise ValueError("a field reaches past its message")
        yield tag >> 3, at, at + length
        at += length


def _varint(record: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = record[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise ValueError("a number is cut off")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def encode_example(features: Mapping[str, tuple[int, list]]) -> bytes:
    """name -> (kind, values) as one tf.train.Example; names in alphabetical order, so that equal content
    gives equal bytes.

    `parse_example` of it gives the same back, bytes as their places.
    """
    entries = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, _field(kind, _encode(kind, values))))
        for name, (kind, values) in sorted(features.items())
    )
    return _field(1, entries)


def _encode(kind: int, values: list) -> bytes:
    if not values:
        return b""
    if kind == BYTES:
        return b"".join(_field(1, value) for value in values)
    if kind == FLOATS:
        return _field(1, np.asarray(values, "<f4").tobytes())
    return _field(1, b"".join(_number(int(value) & 0xFFFFFFFFFFFFFFFF) for value in values))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _number(len(content)) + content


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
