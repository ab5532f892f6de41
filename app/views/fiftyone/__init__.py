"""The FiftyOne page: pushes and corrections that come back."""
