"""Reading and writing labelled images."""
