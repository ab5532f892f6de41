"""A patch classifier into a network that runs on images of any size, with the same weights.

A `Dense` over a flattened [h, w, C] map is a convolution with an h x w kernel; a `Dense` after that is a
1x1 convolution. Run over an image, the result holds at [i, j] what the classifier would have said about the
window whose corner is (stride * j, stride * i): Sermanet et al., "OverFeat", 2014, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from detector.errors import ModelError

_POINTWISE = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.ELU,
    keras.layers.PReLU,
    keras.layers.Dropout,
    keras.layers.BatchNormalization,
    keras.layers.Softmax,
)


@dataclass(frozen=True)
class WindowGeometry:
    """Where the windows of a fully convolutional classifier lie.

    Args:
        window: (W, H) of the patch the classifier was made for, in pixels.
        stride: pixels between neighbouring windows, the same both ways.
        reach: (W, H) of the part of the window, from its corner, that the network sees: a strided layer may
            leave the last pixels unused. None is the whole window.
        exact: True where a map cell equals the classifier on its window; False where padded convolutions
            see, inside an image, real neighbours instead of the zeros around a patch.
    """

    window: tuple[int, int]
    stride: int
    exact: bool = True
    reach: tuple[int, int] | None = None

    def map_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(columns, rows) of the map over an image of (W, H); (0, 0) where no window fits."""
        size = tuple(
            (side - seen) // self.stride + 1 for side, seen in zip(image_size, self.reach or self.window)
        )
        return size if min(size) > 0 else (0, 0)

    def boxes(self, columns: int, rows: int) -> np.ndarray:
        """float32 [rows * columns, 4] xyxy of every window, row by row, in pixels of the image given to the
        network.
        """
        y, x = np.mgrid[0:rows, 0:columns].reshape(2, -1) * self.stride
        width, height = self.window
        return np.stack([x, y, x + width, y + height], axis=1).astype(np.float32)


def _chain(model: keras.Model) -> list[keras.layers.Layer | None]:
    """The layer of the last 4-D tensor (None: the input itself), and those after it in order."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    last_spatial = max((i for i, layer in enumerate(layers) if len(layer.output.shape) == 4), default=-1)
    if last_spatial + 1 >= len(layers):
        raise ModelError(
            f"{model.name}: expected a classifier that ends in Flatten or a global pooling and Dense layers;"
            f" its last layer {layers[-1].name if layers else ''} is still a map."
        )
    return [layers[last_spatial] if last_spatial >= 0 else None, *layers[last_spatial + 1 :]]


def _dense_as_convolution(
    dense: keras.layers.Dense, height: int, width: int, channels: int
) -> tuple[keras.layers.Layer, list[np.ndarray]]:
    # Flatten of a channels-last map runs channel fastest, then column, then row: exactly a [h, w, C] kernel.
    kernel, *bias = dense.get_weights()
    layer = keras.layers.Conv2D(
        dense.units,
        (height, width),
        activation=dense.activation,
        use_bias=dense.use_bias,
        name=f"{dense.name}_conv",
    )
    return layer, [kernel.reshape(height, width, channels, dense.units), *bias]


def to_fully_convolutional(classifier: keras.Model) -> tuple[keras.Model, WindowGeometry]:
    """The same weights as a network over [B, H, W, C] of any H, W at least the patch.

    Args:
        classifier: a built Keras classifier over fixed patches [B, h, w, C]: any feature layers, then
            Flatten, GlobalAveragePooling2D or GlobalMaxPooling2D, then Dense layers with pointwise layers
            between.

    Returns:
        The network, whose output is [B, rows, columns, classes], and the geometry of its windows.

    Raises:
        ModelError: a layer cannot be converted; the message names it and says why.
    """
    shape = classifier.input_shape
    if isinstance(shape, list) or len(shape) != 4 or None in shape[1:]:
        raise ModelError(
            f"{classifier.name}: expected one input [batch, height, width, channels] of a fixed size, got"
            f" {shape}."
        )
    if keras.config.image_data_format() != "channels_last":
        raise ModelError(
            "expected Keras' channels_last image format; set"
            " keras.config.set_image_data_format('channels_last')."
        )
    spatial, bridge, *head = _chain(classifier)
    image = keras.Input((None, None, shape[3]), name="image")
    x, (height, width, channels) = image, shape[1:]
    if spatial is not None:
        features = keras.Model(classifier.inputs, spatial.output)
        height, width, channels = spatial.output.shape[1:]
        wide = keras.models.clone_model(features, input_tensors=[image])
        wide.set_weights(features.get_weights())
        x = wide.outputs[0]
    carried: list[tuple[keras.layers.Layer, list[np.ndarray]]] = []
    whole_map = (height, width)
    if isinstance(bridge, keras.layers.GlobalAveragePooling2D):
        x, whole_map = (
            keras.layers.AveragePooling2D((height, width), strides=1, name=f"{bridge.name}_window")(x),
            (1, 1),
        )
    elif isinstance(bridge, keras.layers.GlobalMaxPooling2D):
        x, whole_map = (
            keras.layers.MaxPooling2D((height, width), strides=1, name=f"{bridge.name}_window")(x),
            (1, 1),
        )
    elif not isinstance(bridge, keras.layers.Flatten):
        raise ModelError(
            f"layer {bridge.name} ({type(bridge).__name__}) cannot be converted: after the last feature map"
            " expected Flatten, GlobalAveragePooling2D or GlobalMaxPooling2D."
        )
    for layer in head:
        if isinstance(layer, keras.layers.Dense):
            channels_in = channels if whole_map == (height, width) else x.shape[-1]
            new, weights = _dense_as_convolution(layer, *whole_map, channels_in)
            whole_map = (1, 1)
        elif isinstance(layer, _POINTWISE):
            if whole_map != (1, 1) and layer.get_weights():
                raise ModelError(
                    f"layer {layer.name} ({type(layer).__name__}) cannot be converted: it has weights for"
                    " each place of the flattened map; put it after the first Dense."
                )
            new, weights = type(layer).from_config(layer.get_config()), layer.get_weights()
        else:
            raise ModelError(
                f"layer {layer.name} ({type(layer).__name__}) cannot be converted: expected Dense and"
                f" pointwise layers after {bridge.name}."
            )
        x = new(x)
        carried.append((new, weights))
    if whole_map != (1, 1):
        raise ModelError(
            f"{classifier.name}: expected a Dense layer after {bridge.name}, found none to convert."
        )
    for layer, weights in carried:
        layer.set_weights(weights)
    network = keras.Model(image, x, name=f"{classifier.name}_convolutional")
    return network, geometry_of(network, (shape[2], shape[1]))


_LENGTH = 5040  # divisible by every stride up to 10, and by 12, 16 and 20


def geometry_of(network: keras.Model, window: tuple[int, int]) -> WindowGeometry:
    """Stride, reach and exactness of a fully convolutional network whose output at `window` is one cell.

    Raises:
        ModelError: the strides along height and width differ, or the window does not give one cell.
    """
    channels = network.input_shape[-1]

    def cells(width: int, height: int) -> tuple[int, int]:
        try:
            rows, columns = network.compute_output_shape((1, height, width, channels))[1:3]
        except ValueError:  # smaller than a kernel
            return 0, 0
        return columns, rows

    width, height = window
    if cells(width, height) != (1, 1):
        raise ModelError(
            f"{network.name}: expected one cell at its window of {width}x{height}, got"
            f" {cells(width, height)}."
        )
    across, down = (_LENGTH / (more - 1) for more in cells(width + _LENGTH, height + _LENGTH))
    if across != down or across != int(across):
        raise ModelError(
            f"{network.name}: expected the same whole stride both ways, got {down:g} down and {across:g}"
            " across."
        )
    seen_across, seen_down = width, height
    while cells(seen_across - 1, height) == (1, 1):
        seen_across -= 1
    while cells(width, seen_down - 1) == (1, 1):
        seen_down -= 1
    exact = not any(_is_padded(layer) for layer in network.layers)
    return WindowGeometry(
        window, int(across), exact, None if (seen_across, seen_down) == window else (seen_across, seen_down)
    )


def _is_padded(layer: keras.layers.Layer) -> bool:
    kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", (1, 1))
    largest = kernel if isinstance(kernel, int) else max(kernel)
    return isinstance(layer, keras.layers.ZeroPadding2D) or (
        getattr(layer, "padding", "valid") == "same" and largest > 1
    )
