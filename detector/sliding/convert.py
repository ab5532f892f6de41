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
    keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU, keras.layers.PReLU,
    keras.layers.Dropout, keras.layers.BatchNormalization, keras.layers.Softmax,
)


@dataclass(frozen=True)
class WindowGeometry:
    """Where the windows of a fully convolutional classifier lie.

    Args:
        window: (W, H) of the patch the classifier was made for, in pixels.
        stride: pixels between neighbouring windows, the same both ways.
        exact: True where a map cell equals the classifier on its window; False where padded convolutions
            see, inside an image, real neighbours instead of the zeros around a patch.
    """

    window: tuple[int, int]
    stride: int
    exact: bool = True

    def map_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(columns, rows) of the map over an image of (W, H); (0, 0) where no window fits."""
        size = tuple((side - window) // self.stride + 1 for side, window in zip(image_size, self.window))
        return size if min(size) > 0 else (0, 0)

    def boxes(self, columns: int, rows: int) -> np.ndarray:
        """float32 [rows * columns, 4] xyxy of every window, row by row, in pixels of the image given to the network."""
        y, x = np.mgrid[0:rows, 0:columns].reshape(2, -1) * self.stride
        width, height = self.window
        return np.stack([x, y, x + width, y + height], axis=1).astype(np.float32)


def _chain(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers after the last 4-D tensor, in order; refuses anything but a chain."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    last_spatial = max((i for i, layer in enumerate(layers) if len(layer.output.shape) == 4), default=-1)
    if last_spatial + 1 >= len(layers):
        raise ModelError(f"{model.name}: expected a classifier that ends in Flatten or a global pooling and Dense layers; its last layer {layers[-1].name if layers else ''} is still a map.")
    return layers[last_spatial:]


def _dense_as_convolution(dense: keras.layers.Dense, height: int, width: int, channels: int) -> tuple[keras.layers.Layer, list[np.ndarray]]:
    # Flatten of a channels-last map runs channel fastest, then column, then row: exactly a [h, w, C] kernel.
    kernel, *bias = dense.get_weights()
    layer = keras.layers.Conv2D(dense.units, (height, width), activation=dense.activation, use_bias=dense.use_bias, name=f"{dense.name}_conv")
    return layer, [kernel.reshape(height, width, channels, dense.units), *bias]


def to_fully_convolutional(classifier: keras.Model) -> tuple[keras.Model, WindowGeometry]:
    """The same weights as a network over [B, H, W, C] of any H, W at least the patch.

    Args:
        classifier: a built Keras classifier over fixed patches [B, h, w, C]: any feature layers, then Flatten,
            GlobalAveragePooling2D or GlobalMaxPooling2D, then Dense layers with pointwise layers between.

    Returns:
        The network, whose output is [B, rows, columns, classes], and the geometry of its windows.

    Raises:
        ModelError: a layer cannot be converted; the message names it and says why.
    """
    shape = classifier.input_shape
    if isinstance(shape, list) or len(shape) != 4 or None in shape[1:]:
        raise ModelError(f"{classifier.name}: expected one input [batch, height, width, channels] of a fixed size, got {shape}.")
    if keras.config.image_data_format() != "channels_last":
        raise ModelError("expected Keras' channels_last image format; set keras.config.set_image_data_format('channels_last').")
    spatial, bridge, *head = _chain(classifier)
    features = keras.Model(classifier.inputs, spatial.output)
    _, height, width, channels = spatial.output.shape

    image = keras.Input((None, None, shape[3]), name="image")
    wide = keras.models.clone_model(features, input_tensors=[image])
    wide.set_weights(features.get_weights())
    x = wide.outputs[0]
    carried: list[tuple[keras.layers.Layer, list[np.ndarray]]] = []
    whole_map = (height, width)
    if isinstance(bridge, keras.layers.GlobalAveragePooling2D):
        x, whole_map = keras.layers.AveragePooling2D((height, width), strides=1, name=f"{bridge.name}_window")(x), (1, 1)
    elif isinstance(bridge, keras.layers.GlobalMaxPooling2D):
        x, whole_map = keras.layers.MaxPooling2D((height, width), strides=1, name=f"{bridge.name}_window")(x), (1, 1)
    elif not isinstance(bridge, keras.layers.Flatten):
        raise ModelError(f"layer {bridge.name} ({type(bridge).__name__}) cannot be converted: after the last feature map expected Flatten, GlobalAveragePooling2D or GlobalMaxPooling2D.")
    for layer in head:
        if isinstance(layer, keras.layers.Dense):
            channels_in = channels if whole_map == (height, width) else x.shape[-1]
            new, weights = _dense_as_convolution(layer, *whole_map, channels_in)
            whole_map = (1, 1)
        elif isinstance(layer, _POINTWISE):
            if whole_map != (1, 1) and layer.get_weights():
                raise ModelError(f"layer {layer.name} ({type(layer).__name__}) cannot be converted: it has weights for each place of the flattened map; put it after the first Dense.")
            new, weights = type(layer).from_config(layer.get_config()), layer.get_weights()
        else:
            raise ModelError(f"layer {layer.name} ({type(layer).__name__}) cannot be converted: expected Dense and pointwise layers after {bridge.name}.")
        x = new(x)
        carried.append((new, weights))
    if whole_map != (1, 1):
        raise ModelError(f"{classifier.name}: expected a Dense layer after {bridge.name}, found none to convert.")
    for layer, weights in carried:
        layer.set_weights(weights)
    return keras.Model(image, x, name=f"{classifier.name}_convolutional"), geometry_of(features, (shape[2], shape[1]))


def geometry_of(features: keras.Model, window: tuple[int, int]) -> WindowGeometry:
    """Stride and exactness from the layers' own strides and padding.

    Raises:
        ModelError: the strides along height and width differ.
    """
    strides, exact = _strides_to_output(features)
    if strides[0] != strides[1]:
        raise ModelError(f"{features.name}: expected the same stride both ways, got {strides[0]} down and {strides[1]} across.")
    return WindowGeometry(window=window, stride=strides[0], exact=exact)


def _strides_to_output(features: keras.Model) -> tuple[tuple[int, int], bool]:
    """The longest product of strides on a path through the layers, and whether every one of them is unpadded."""
    reach: dict[int, tuple[int, int]] = {id(t): (1, 1) for t in features.inputs}
    exact = True
    for layer in features.layers:
        if isinstance(layer, keras.layers.InputLayer):
            reach[id(layer.output)] = (1, 1)
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        before = [reach.get(id(t), (1, 1)) for t in inputs]
        height, width = max(b[0] for b in before), max(b[1] for b in before)
        step = getattr(layer, "strides", (1, 1)) or (1, 1)
        step = (step, step) if isinstance(step, int) else step
        kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", (1, 1))
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        if isinstance(layer, keras.layers.ZeroPadding2D) or (getattr(layer, "padding", "valid") == "same" and max(kernel) > 1):
            exact = False
        outputs = layer.output if isinstance(layer.output, list) else [layer.output]
        for tensor in outputs:
            reach[id(tensor)] = (height * int(step[0]), width * int(step[1]))
    return reach[id(features.outputs[0])], exact
