"""Training a sliding-window classifier."""
