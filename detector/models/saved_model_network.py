"""A SavedModel that a decoder reads: Ultralytics' export, say, run by TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.errors import ModelError
from detector.models import exporter_metadata
from detector.models.decoders.input_rule import InputRule
from detector.models.decoders.interface import Described, Tensor
from detector.models.saved_model_file import OpenedModel, first_line, listed, sides

DTYPES: dict[str, Any] = {"float32": np.float32, "float16": np.float16, "uint8": np.uint8}


class SavedModelNetwork:
    """`detector.models.network.Network` of a SavedModel.

    Args:
        opened: the model and its signature.
        input_size: (W, H), only for a model whose input size is free.

    Raises:
        ModelError: it takes anything but one image, or has no named outputs.
    """

    def __init__(self, opened: OpenedModel, *, input_size: tuple[int, int] | None = None):
        said = exporter_metadata.beside(opened.folder)
        self._opened = opened
        self._name, self._dtype, self._channels_first, self._batch, size = _read_input(
            opened, input_size or exporter_metadata.input_size(said)
        )
        outputs = opened.outputs
        if not outputs:
            raise ModelError(
                "expected a signature with named outputs; export it with signatures=...", path=opened.folder
            )
        self._outputs = list(outputs)
        self.pieces, self.notes = opened.pieces(), opened.notes
        self.input_words = f"{self._dtype.__name__}, {'NCHW' if self._channels_first else 'NHWC'}"
        self.file = Described(
            opened.folder,
            "saved_model",
            tuple(
                Tensor(name, tuple(-1 if side is None else side for side in sides(spec)))
                for name, spec in outputs.items()
            ),
            size,
            said=said,
            labels=exporter_metadata.class_map(said),
        )

    def run(self, pixels: np.ndarray, rule: InputRule) -> list[np.ndarray]:
        if self._dtype == np.uint8:
            values = np.rint(pixels).clip(0, 255)[..., :: -1 if rule.bgr else 1]
        else:
            values = rule.real(pixels)
        values = values.transpose(2, 0, 1) if self._channels_first else values
        fed = np.ascontiguousarray(np.repeat(values[None], self._batch, axis=0), self._dtype)
        try:  # a concrete function may be called from several threads at once
            found = self._opened.call(**{self._name: self._opened.tf.constant(fed)})
        except self._opened.tf.errors.OpError as error:
            raise ModelError(
                f"The SavedModel failed on an image: {first_line(error)}", path=self.file.path
            ) from error
        return [np.asarray(found[name].numpy()[:1], np.float32) for name in self._outputs]


def _read_input(
    opened: OpenedModel, wanted: tuple[int, int] | None
) -> tuple[str, Any, bool, int, tuple[int, int]]:
    """(name, dtype, whether channels come first, images it takes at once, (W, H)) of the one image input.

    Raises:
        ModelError: another input, or a free size and none wanted.
    """
    specs = opened.call.structured_input_signature[1]
    name, spec = next(iter(specs.items()), ("", None))
    shape = sides(spec) if len(specs) == 1 else []
    if len(shape) != 4 or 3 not in (shape[1], shape[3]) or spec.dtype.name not in DTYPES:
        raise ModelError(
            "expected one input, an RGB image [1, height, width, 3] or [1, 3, height, width] of float32,"
            f" float16 or uint8, found {listed(specs)}.",
            path=opened.folder,
        )
    first = shape[3] != 3
    height, width = shape[2:] if first else shape[1:3]
    if height is None or width is None:
        if wanted is None:
            raise ModelError(
                "the input size of this SavedModel is free; say which to use (input_size=(width, height)).",
                path=opened.folder,
            )
        width, height = wanted
    return name, DTYPES[spec.dtype.name], first, shape[0] or 1, (width, height)
