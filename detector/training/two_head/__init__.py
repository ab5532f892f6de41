"""Training a two-head network."""
