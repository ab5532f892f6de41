"""Corrections and data sets back from FiftyOne."""
