"""Writing SavedModel and TFLite files."""
