"""Making, storing and reading a run: detect, write parts, manifest, open, stream."""
