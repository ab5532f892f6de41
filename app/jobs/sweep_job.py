"""The process of a sweep that a page goes on with: `python -m app.jobs.sweep_job SWEEP`. See `app.jobs.sweeps`."""

import sys
from pathlib import Path

from app.jobs.sweeps import run_in_background

if __name__ == "__main__":
    sys.exit(run_in_background(Path(sys.argv[1])))
