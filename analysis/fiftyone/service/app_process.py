"""FiftyOne's App server as a process: `python -m analysis.fiftyone.service.app_process --port 5151`.

Started by `server.start_app` with the environment of `environment.child_environment`; on its own it serves
the database of the environment it finds.
"""

from __future__ import annotations

import argparse
import os
import sys


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="analysis.fiftyone.service.app_process", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", default="127.0.0.1")
    options = parser.parse_args(arguments)
    os.environ["FIFTYONE_SERVER"] = "1"  # FiftyOne's own server sets it before the first import
    from analysis.fiftyone.service.failures import plain_reason

    try:
        from fiftyone.server.main import start_server

        start_server(port=options.port, address=options.address)
    except Exception as error:  # the last line of the log is what the user gets to read
        print(plain_reason(error), file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
