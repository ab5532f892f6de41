"""The resident model process and the questions that are put to it."""
