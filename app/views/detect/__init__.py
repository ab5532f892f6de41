"""The Detect page: data, detector, go."""
