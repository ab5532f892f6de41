"""One file per file format, reading and writing."""
