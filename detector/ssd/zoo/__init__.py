"""Reading a TF Object Detection API checkpoint."""
