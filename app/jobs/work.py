"""The process of one background job: `python -m app.jobs.work MODULE:CLASS FOLDER`; see `app.jobs.job`."""

import sys
from pathlib import Path

from app.jobs.job import run_target

if __name__ == "__main__":
    sys.exit(run_target(sys.argv[1], Path(sys.argv[2])))
