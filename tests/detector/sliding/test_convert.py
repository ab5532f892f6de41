"""Fully convolutional conversion: the map equals the classifier on every window, or the refusal says why."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from detector.errors import ModelError
from detector.sliding.convert import WindowGeometry, to_fully_convolutional
from detector.sliding.network import patch_classifier

RNG = np.random.default_rng(3)


def shaken(model: keras.Model) -> keras.Model:
    """Every weight away from its start, so that a lost or swapped one shows; the same for the same model."""
    rng = np.random.default_rng(3)
    model.set_weights(
        [
            rng.normal(1 if "gamma" in w.path or "variance" in w.path else 0, 0.1, w.shape)
            ** (2 if "variance" in w.path else 1)
            for w in model.weights
        ]
    )
    return model


def on_every_window(
    classifier: keras.Model, image: np.ndarray, geometry: WindowGeometry, columns: int, rows: int
) -> np.ndarray:
    image = np.pad(image, ((0, 9), (0, 9), (0, 0)))  # pixels of a window that its last stride does not reach
    windows = [
        image[int(y1) : int(y2), int(x1) : int(x2)] for x1, y1, x2, y2 in geometry.boxes(columns, rows)
    ]
    return np.asarray(classifier(np.stack(windows))).reshape(rows, columns, -1)


def chain(*head: keras.layers.Layer, padding: str = "valid") -> keras.Model:
    return shaken(
        keras.Sequential(
            [
                keras.Input((14, 22, 3)),
                keras.layers.Conv2D(4, 3, strides=2, padding=padding),
                keras.layers.ReLU(),
                *head,
            ]
        )
    )


@pytest.mark.parametrize(
    "classifier",
    [
        pytest.param(
            lambda: shaken(patch_classifier((36, 20), widths=(3, 4), dense=7)), id="the car classifier, small"
        ),
        pytest.param(
            lambda: chain(keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)), id="average pool"
        ),
        pytest.param(
            lambda: chain(
                keras.layers.GlobalMaxPooling2D(),
                keras.layers.Dropout(0.5),
                keras.layers.Dense(2, use_bias=False),
            ),
            id="max pool",
        ),
        pytest.param(
            lambda: chain(
                keras.layers.Flatten(),
                keras.layers.Dense(5),
                keras.layers.BatchNormalization(),
                keras.layers.ReLU(),
                keras.layers.Dense(3),
                keras.layers.Softmax(),
            ),
            id="batch norm between",
        ),
        pytest.param(
            lambda: shaken(
                keras.Sequential([keras.Input((6, 9, 2)), keras.layers.Flatten(), keras.layers.Dense(3)])
            ),
            id="dense alone",
        ),
    ],
)
def test_the_map_equals_the_classifier_window_by_window(classifier):
    classifier = classifier()
    network, geometry = to_fully_convolutional(classifier)
    width, height = geometry.window
    image = RNG.random((height + 13, width + 29, classifier.input_shape[-1]), np.float32)
    answer = np.asarray(network(image[None]))[0]
    assert geometry.exact and answer.shape[:2] == geometry.map_size((image.shape[1], image.shape[0]))[::-1]
    np.testing.assert_allclose(
        answer, on_every_window(classifier, image, geometry, answer.shape[1], answer.shape[0]), atol=1e-5
    )
    assert np.ptp(answer) > 1e-3


def test_conversion_survives_save_and_load(tmp_path):
    classifier = shaken(patch_classifier((36, 20), widths=(3, 4), dense=7))
    classifier.save(tmp_path / "patch.keras")
    image = RNG.random((1, 31, 47, 1), np.float32)
    expected = np.asarray(to_fully_convolutional(classifier)[0](image))
    again, geometry = to_fully_convolutional(keras.models.load_model(tmp_path / "patch.keras"))
    np.testing.assert_array_equal(np.asarray(again(image)), expected)
    again.save(tmp_path / "wide.keras")
    np.testing.assert_array_equal(
        np.asarray(keras.models.load_model(tmp_path / "wide.keras")(image)), expected
    )
    assert geometry.stride == 4


def test_padded_convolutions_convert_and_say_they_are_not_exact():
    assert not to_fully_convolutional(chain(keras.layers.Flatten(), keras.layers.Dense(2), padding="same"))[
        1
    ].exact


def test_the_reference_network_has_the_shapes_of_its_description():
    model = patch_classifier()
    assert model.get_layer("pool2").output.shape == (None, 7, 22, 64)
    assert model.get_layer("dense1").kernel.shape == (7 * 22 * 64, 512) and model.output_shape == (None, 2)
    network, geometry = to_fully_convolutional(model)
    assert geometry == WindowGeometry((100, 40), 4) and network.get_layer("dense1_conv").kernel.shape == (
        7,
        22,
        64,
        512,
    )


def test_window_geometry_by_hand():
    geometry = WindowGeometry((100, 40), 4)
    assert geometry.map_size((100, 40)) == (1, 1) and geometry.map_size((107, 44)) == (2, 2)
    assert geometry.map_size((99, 400)) == (0, 0)
    assert geometry.boxes(2, 2).tolist() == [
        [0, 0, 100, 40],
        [4, 0, 104, 40],
        [0, 4, 100, 44],
        [4, 4, 104, 44],
    ]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (
            [keras.layers.Flatten(), keras.layers.Reshape((4, 60)), keras.layers.Dense(2)],
            "reshape.*cannot be converted",
        ),
        ([keras.layers.Reshape((6, 40)), keras.layers.Dense(2)], "expected Flatten"),
        (
            [keras.layers.Flatten(), keras.layers.BatchNormalization(), keras.layers.Dense(2)],
            "put it after the first Dense",
        ),
        ([keras.layers.Flatten()], "expected a Dense"),
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(head, reason):
    with pytest.raises(ModelError, match=reason):
        to_fully_convolutional(chain(*head))


def test_a_network_of_free_size_is_refused():
    free = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            keras.layers.Conv2D(2, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    with pytest.raises(ModelError, match="fixed size"):
        to_fully_convolutional(free)
