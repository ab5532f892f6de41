"""A slow run in a process of its own, for tests that kill it: python -m tests.analysis.slow_run FOLDER IMAGES
DELAY.
"""

import sys

from analysis.runs.detect import detect_run
from tests.analysis.run_builders import StubDetector, numbered

if __name__ == "__main__":
    folder, images, delay = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    detect_run(StubDetector(delay=delay), numbered(images, broken=(5,)), folder, batch_size=2, part_images=4)
