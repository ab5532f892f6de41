"""Work in another process: one protocol for starting, following, cancelling and resuming it, and a file per
kind of work.
"""
