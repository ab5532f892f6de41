"""Data sets that can be downloaded or drawn."""
