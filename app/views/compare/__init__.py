"""The Compare page: changes between two runs, pairs of outputs."""
