"""Run or data set to FiftyOne."""
