"""Gradients of single logits of a Keras network, by its inputs or by the outputs of its layers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.differentiable import Gradients
from detector.errors import CapabilityError, InputError

if TYPE_CHECKING:
    import keras


class KerasGradients:
    """Safe to call from several threads. The first call with a new set of layers traces a graph (seconds).

    Args:
        network: a functional model with one input [B, h, w, C].
        logits: its tensor of logits, symbolic.
        taps: symbolic outputs of layers by the name they are asked for.
        read: turns the logits' values into a tensor [B, A, columns]; they are that already without it.

    Raises:
        CapabilityError: Keras runs on another backend than TensorFlow.
    """

    def __init__(
        self,
        network: keras.Model,
        logits: keras.KerasTensor,
        taps: Mapping[str, keras.KerasTensor],
        read: Callable[[Any], Any] | None = None,
    ):
        import keras  # noqa: PLC0415  Keras costs seconds

        if keras.backend.backend() != "tensorflow":
            raise CapabilityError(
                f"Gradients need Keras on TensorFlow, it runs on {keras.backend.backend()}; set"
                " KERAS_BACKEND=tensorflow, or use D-RISE."
            )
        self._input, self._logits, self._taps = network.input, logits, dict(taps)
        self._read = read or (lambda values: values)
        self._compiled: dict[tuple[str, ...], Any] = {}
        self._lock = threading.Lock()

    def __call__(
        self,
        batch: np.ndarray,
        rows: Sequence[int],
        columns: Sequence[int],
        weights: Sequence[float],
        layers: Sequence[str] = (),
    ) -> Gradients:
        """Of the sum of `weights[k]` * logits[rows[k], columns[k]], see
        `detector.differentiable.DifferentiableDetector.gradients`.
        """
        import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

        layers = tuple(layers)
        unknown = [name for name in layers if name not in self._taps]
        if unknown:
            raise InputError(
                f"No layer is named {unknown[0]!r}; evidence can be read at {', '.join(self._taps)}."
            )
        if not len(rows) == len(columns) == len(weights) or not len(rows):
            raise InputError(
                f"gradients: expected as many anchors, classes and weights, at least one, got {len(rows)},"
                f" {len(columns)} and {len(weights)}."
            )
        with self._lock:
            if layers not in self._compiled:
                self._compiled[layers] = self._compile(layers)
            run = self._compiled[layers]
            # Batches of any size go through one graph: a rest is not traced anew.
            values, features, gradients = run(
                tf.constant(batch, tf.float32),
                tf.constant(rows, tf.int32),
                tf.constant(columns, tf.int32),
                tf.constant(weights, tf.float32),
            )
        if not layers:
            return Gradients(values.numpy(), gradients[0].numpy(), {}, {})
        return Gradients(
            values.numpy(),
            None,
            {n: f.numpy() for n, f in zip(layers, features)},
            {n: g.numpy() for n, g in zip(layers, gradients)},
        )

    def _compile(self, layers: tuple[str, ...]) -> Any:
        import keras  # noqa: PLC0415  Keras costs seconds
        import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

        model = keras.Model(self._input, [self._logits, *(self._taps[name] for name in layers)])
        shape = tuple(self._input.shape)

        def run(batch, rows, columns, weights):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(batch)
                outputs = model(batch, training=False)
                logits, *features = (
                    outputs if layers else [outputs[0] if isinstance(outputs, list) else outputs]
                )
                table = tf.transpose(self._read(logits), [1, 2, 0])
                picked = tf.gather_nd(table, tf.stack([rows, columns], axis=1))
                values = tf.reduce_sum(picked * weights[:, None], axis=0)
            sources = features or [batch]
            found = tape.gradient(values, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return values, features, found

        free = tf.TensorSpec([None], tf.int32)
        signature = [
            tf.TensorSpec([None, *shape[1:]], tf.float32),
            free,
            free,
            tf.TensorSpec([None], tf.float32),
        ]
        return tf.function(run, input_signature=signature)
