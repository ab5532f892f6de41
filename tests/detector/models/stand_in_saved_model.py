"""A SavedModel as far as Boxscope asks TensorFlow about it, without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from detector.models.saved_model_file import OpenedModel

DTYPES = {name: SimpleNamespace(name=name) for name in ("uint8", "float32", "float16", "string")}


class Shape:
    def __init__(self, sides):
        self.rank = None if sides is None else len(sides)
        self._sides = sides

    def as_list(self):
        if self._sides is None:
            raise ValueError("as_list() is not defined on an unknown TensorShape")
        return list(self._sides)


class Call:
    """A concrete function: `answer(batch)` gives name -> array. `fed` keeps what came in."""

    def __init__(self, inputs, outputs, answer):
        self.structured_input_signature = ((), {k: self._spec(*v) for k, v in inputs.items()})
        self.structured_outputs = {k: self._spec("float32", v) for k, v in outputs.items()}
        self._answer, self.fed = answer, []

    @staticmethod
    def _spec(dtype, sides):
        return SimpleNamespace(dtype=DTYPES[dtype], shape=Shape(sides))

    def __call__(self, **inputs):
        (batch,) = inputs.values()
        assert list(inputs) == list(self.structured_input_signature[1])
        self.fed.append(batch)
        answers = self._answer(batch)
        return {k: SimpleNamespace(numpy=lambda v=v: np.asarray(v, np.float32)) for k, v in answers.items()}


def opened(folder: Path, inputs, outputs, answer) -> OpenedModel:
    """A model in `folder` with inputs (name -> (dtype, sides or None)) and outputs (name -> sides or
    None).
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(b"stand-in")
    tf = SimpleNamespace(
        constant=lambda values, dtype=None: values, errors=SimpleNamespace(OpError=ArithmeticError), **DTYPES
    )
    return OpenedModel(folder, tf, None, Call(inputs, outputs, answer), "serving_default")
