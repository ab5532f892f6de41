"""Groups of objects that the detector fails on."""
