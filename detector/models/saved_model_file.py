"""A SavedModel opened by TensorFlow: its signature, and its threads. What its outputs mean is for others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from detector.errors import ModelError


class OpenedModel(NamedTuple):
    """Args:
    folder: holds saved_model.pb and variables/.
    tf: TensorFlow; model: what it loaded, to be kept as long as `call` is used.
    call: the concrete function of the signature; signature: its name.
    notes: sentences a user should read once.
    """

    folder: Path
    tf: Any
    model: Any
    call: Any
    signature: str
    notes: tuple[str, ...] = ()

    @property
    def outputs(self) -> dict[str, Any]:
        """The specification of each output by name; empty where they have no names."""
        found = self.call.structured_outputs
        return found if isinstance(found, dict) else {}

    def pieces(self) -> list[Path]:
        """The files whose bytes are its weights."""
        own = [self.folder / "saved_model.pb", self.folder / "saved_model.pbtxt"]
        return [p for p in (*own, *sorted((self.folder / "variables").glob("*"))) if p.is_file()]


def open_model(folder: str | Path, signature: str | None = None, threads: int | None = None) -> OpenedModel:
    """Load a SavedModel.

    Args:
        folder: holds saved_model.pb and variables/.
        signature: which one of several; "serving_default" where there is one.
        threads: TensorFlow's threads inside one operation; settled by the first model a process loads.

    Raises:
        ModelError: TensorFlow is absent, it is no SavedModel or not whole, or has no such signature.
    """
    folder = Path(folder)
    if not any((folder / f).is_file() for f in ("saved_model.pb", "saved_model.pbtxt")):
        raise ModelError(
            f"expected a SavedModel folder (with saved_model.pb), found {_listing(folder)}.", path=folder
        )
    tf = import_tensorflow()
    notes = _set_threads(tf, threads)
    try:
        model = tf.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow raises a dozen types here
        raise ModelError(
            f"TensorFlow cannot load this SavedModel ({first_line(error)}); is it whole (saved_model.pb"
            " and variables/)?",
            path=folder,
        ) from error
    name, call = _pick_signature(model, signature, folder)
    return OpenedModel(folder, tf, model, call, name, notes)


def sides(spec: Any) -> list[int | None]:
    """The sides of an input or output, None where one is free; empty where even their number is."""
    return [] if spec.shape.rank is None else list(spec.shape.as_list())


def listed(specs: dict[str, Any]) -> str:
    """Names, types and shapes, for a message."""
    return ", ".join(f"{k} {v.dtype.name} {sides(v) or 'of any shape'}" for k, v in specs.items()) or "none"


def import_tensorflow():
    """TensorFlow, imported quietly and only now (it takes about 10 seconds and 700 MB).

    Raises:
        ModelError: it is not installed.
    """
    os.environ.setdefault(
        "TF_CPP_MIN_LOG_LEVEL", "3"
    )  # its warnings about missing CUDA reach nobody who could act
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ModelError(
            f"A SavedModel needs TensorFlow, which cannot be imported here ({error}); pip install tensorflow,"
            " or use a .tflite file."
        ) from error
    return tf


def _pick_signature(model: Any, wanted: str | None, folder: Path) -> tuple[str, Any]:
    signatures = dict(getattr(model, "signatures", {}))
    if wanted is not None and wanted not in signatures:
        raise ModelError(
            f"expected a signature {wanted!r}, the SavedModel has {', '.join(signatures) or 'none'}.",
            path=folder,
        )
    key = wanted or ("serving_default" if "serving_default" in signatures else next(iter(signatures), None))
    if key is None:
        raise ModelError(
            "expected a SavedModel with a serving signature, this one has none; export it with signatures=..."
            " or with exporter_main_v2.py.",
            path=folder,
        )
    return key, signatures[key]


def _set_threads(tf: Any, threads: int | None) -> tuple[str, ...]:
    if threads is None:
        return ()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        have = tf.config.threading.get_intra_op_parallelism_threads()
        return (
            ()
            if have == threads
            else (
                (
                    f"TensorFlow was already running with {have or 'its own number of'} threads; {threads}"
                    " were asked for."
                ),
            )
        )
    return ()


def _listing(folder: Path) -> str:
    if not folder.is_dir():
        return "no folder"
    names = sorted(p.name for p in folder.iterdir())
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "") if names else "an empty folder"


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
