"""Curves over confidence, suggested thresholds, threshold files, calibration."""
