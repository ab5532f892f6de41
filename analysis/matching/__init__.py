"""Detections against objects: pairs, matches, counts at an operating point."""
