"""Error kinds (TIDE), confusion, slices, comparing two runs, lists of boxes, export of them."""
