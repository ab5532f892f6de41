"""Reading a `pipeline.config`."""
