"""The rules over a labelled data set, by subject; each gives findings, none for a clean set."""
