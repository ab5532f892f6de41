"""The child process of `detector/hub.py`: resolves one TF Hub handle and writes why it could not.

    python -m detector.hub_process HANDLE FOLDER

FOLDER receives `imported` (empty) once TensorFlow and tensorflow-hub are imported, and `reason.json` if the
handle could not be resolved. The model itself goes to $TFHUB_CACHE_DIR.
"""

from __future__ import annotations

import http.client
import json
import sys
import urllib.error
import urllib.parse
import zlib
from pathlib import Path


def main(handle: str, folder: Path) -> int:
    """Resolve the handle; 0, or 1 with the reason in `reason.json`."""
    try:
        import tensorflow_hub  # noqa: PLC0415  imports TensorFlow; a failure to do so is a reason, too

        (folder / "imported").touch()
        tensorflow_hub.resolve(handle)
    except Exception as error:
        (folder / "reason.json").write_text(json.dumps({"reason": reason_of(error, handle)}))
        return 1
    return 0


def reason_of(error: Exception, handle: str) -> str:
    """Why a handle could not be resolved, as the end of a sentence."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, (EOFError, zlib.error, http.client.IncompleteRead)):
        return "the transfer was cut short"
    if "does not appear to be a valid module" in str(error):  # tensorflow-hub's words for a tarfile.ReadError
        return "what came is no model archive, or only the beginning of one"
    if isinstance(error, ImportError):
        return f"tensorflow-hub cannot be imported ({error})"
    if isinstance(error, (urllib.error.URLError, ConnectionError, http.client.HTTPException)):
        why = getattr(error, "reason", None) or error
        return f"{urllib.parse.urlparse(handle).hostname} cannot be reached ({why})"
    return f"tensorflow-hub reports: {error}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
