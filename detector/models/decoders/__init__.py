"""Tensors in, candidates out: one file per family of networks.

`interface` says what a decoder is, `recognition` which of them reads a file, `input_rule` how pixels become
the network's input and boxes come back, `grid` where the cells of a pyramid lie. To add a family: its own
file with a `recognise` function, one line in `recognition.FAMILIES`, and its tests.
"""
