"""The Gallery page: which images, in which order."""
