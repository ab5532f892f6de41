"""Two detectors that should agree: pairs of outputs, causes, replay, report."""
