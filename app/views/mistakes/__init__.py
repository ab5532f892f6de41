"""The Mistakes page: kinds, confusion matrix, slices."""
