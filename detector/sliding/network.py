"""The car-or-background classifier over 40x100 grey patches."""

from __future__ import annotations

import keras

from detector.errors import InputError

WINDOW = (100, 40)  # (W, H), the UIUC car window


def patch_classifier(
    window: tuple[int, int] = WINDOW,
    *,
    widths: tuple[int, int] = (32, 64),
    dense: int = 512,
    dropout: float = 0.0,
    batch_norm_decay: float = 0.99,
) -> keras.Model:
    """Conv 5x5, batch norm, ReLU, pool 2, twice; flatten; dense, ReLU; two logits (background, object).

    Convolutions are unpadded, so that a window inside an image sees what the patch alone would.

    Args:
        window: (W, H) of a patch; 100x40 gives a 7x22 map of `widths[1]` channels before the flatten.
        widths: channels of the two convolutions; dense: units of the hidden layer; dropout: before the
            logits.
        batch_norm_decay: how much of its statistics batch normalisation keeps each step; 0.99 is Keras' own.

    Returns:
        A model from float32 [B, H, W, 1] in 0..1 to logits [B, 2].

    Raises:
        InputError: the window is too small for two convolutions and two poolings.
    """
    width, height = window
    if min(width, height) < 16:
        raise InputError(f"window: expected at least 16 pixels each way, got {width}x{height}.")
    layers = [keras.Input((height, width, 1), name="patch")]
    for i, filters in enumerate(widths, start=1):
        layers += [
            keras.layers.Conv2D(filters, 5, use_bias=False, name=f"conv{i}"),
            keras.layers.BatchNormalization(momentum=batch_norm_decay, name=f"bn{i}"),
            keras.layers.ReLU(name=f"relu{i}"),
            keras.layers.MaxPooling2D(2, name=f"pool{i}"),
        ]
    layers += [
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(dense, activation="relu", name="dense1"),
    ]
    if dropout:
        layers.append(keras.layers.Dropout(dropout, name="dropout"))
    layers.append(keras.layers.Dense(2, name="logits"))
    return keras.Sequential(layers, name="patch_classifier")
