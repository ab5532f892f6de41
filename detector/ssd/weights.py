"""A network's weights as named arrays: the currency between training, files and backends.

Names are the keys of a TF2 Object Detection API checkpoint (`model/.../kernel/.ATTRIBUTES/VARIABLE_VALUE`),
so that a training's result, a zoo checkpoint and a fresh network speak of the same things.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.errors import ModelError, reason_of
from detector.paths import write_atomically

if TYPE_CHECKING:
    import keras

META = "__meta__"  # the JSON that travels with the arrays


def network_arrays(network: keras.Model) -> dict[str, np.ndarray]:
    """Every weight of a network, copied, under its checkpoint key."""
    from keras import ops  # noqa: PLC0415  Keras costs seconds

    from detector.ssd.layers import checkpoint_variables  # noqa: PLC0415  Keras costs seconds

    return {key: np.array(ops.convert_to_numpy(v)) for key, v in checkpoint_variables(network).items()}


def assign_arrays(
    network: keras.Model, arrays: Mapping[str, np.ndarray], keys: Iterable[str] | None = None
) -> list[str]:
    """Put arrays into a network; `keys` (default: all of the network's) say which.

    Returns:
        The network's keys that were not asked for, so kept what they held.

    Raises:
        ModelError: a key is missing, or a shape differs; nothing has been changed then.
    """
    from detector.ssd.layers import checkpoint_variables  # noqa: PLC0415  Keras costs seconds

    variables = checkpoint_variables(network)
    chosen = list(variables) if keys is None else list(keys)
    for key in chosen:
        if key not in arrays:
            raise ModelError(f"expected the weights to hold {key}, they do not; they are of another network.")
        have, want = tuple(arrays[key].shape), tuple(variables[key].shape)
        if have != want:
            raise ModelError(f"expected {key} of shape {list(want)}, the weights have {list(have)}.")
    for key in chosen:
        variables[key].assign(arrays[key])
    return [key for key in variables if key not in set(chosen)]


def save_arrays(
    path: str | Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any] | None = None
) -> None:
    """Write arrays and a JSON-able `meta` into one uncompressed .npz, whole or not at all."""
    buffer = io.BytesIO()
    np.savez(buffer, **{META: np.frombuffer(json.dumps(dict(meta or {})).encode(), np.uint8)}, **arrays)
    write_atomically(path, buffer.getvalue())


def load_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays, meta) of a file `save_arrays` wrote.

    Raises:
        ModelError: the file is missing or is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return arrays, json.loads(arrays.pop(META).tobytes())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"expected a file of weights that a training wrote: {reason_of(error)}.", path=path
        ) from error
