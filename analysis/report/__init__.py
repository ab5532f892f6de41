"""The report of one run as one HTML file."""
