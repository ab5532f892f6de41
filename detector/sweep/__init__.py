"""Many trainings over a search space."""
