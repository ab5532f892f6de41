"""Data sets too large for memory."""
