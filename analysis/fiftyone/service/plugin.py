"""Puts our plugin where FiftyOne looks for plugins: a folder of its own under the data directory."""

from __future__ import annotations

from pathlib import Path

from analysis.fiftyone.service import environment as around
from detector.paths import write_atomically

NAME = "@boxscope/explain"
OPERATOR = f"{NAME}/explain_in_boxscope"
MANIFEST = f"""name: "{NAME}"
description: Opens Boxscope's page of the selected label
version: "1.0.0"
fiftyone:
  version: "*"
operators:
  - explain_in_boxscope
"""


def install() -> Path:
    """Write the plugin's two files if they are not there or differ; returns its folder."""
    folder = around.home() / "plugins" / "boxscope"
    source = Path(__file__).with_name("operator_source.py").read_bytes()
    for file, content in ((folder / "fiftyone.yml", MANIFEST.encode()), (folder / "__init__.py", source)):
        if not file.exists() or file.read_bytes() != content:
            write_atomically(file, content)
    return folder
