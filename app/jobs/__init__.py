"""Work in another process: starting it, following it, cancelling it, and the detection and match jobs."""
