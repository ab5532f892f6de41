"""Boxscope's version: the package's metadata, `boxscope --version` and the manifest of a run take it from
here.
"""

VERSION = "0.2.0"
