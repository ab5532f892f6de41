"""The sliding-window detector: a patch classifier turned fully convolutional."""
