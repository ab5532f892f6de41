"""One file per kind of detector, all behind the `Detector` protocol of `core.py`."""
