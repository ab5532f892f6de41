"""Training an SSD."""
