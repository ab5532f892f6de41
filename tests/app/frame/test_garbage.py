"""Collecting after a rerun does not walk the imported modules again."""

from __future__ import annotations

import subprocess
import sys

from tests.app.conftest import ROOT

CODE = """
import gc, time, pandas, streamlit
from app.frame.garbage import freeze_modules
def took():
    start = time.process_time(); gc.collect(2); return time.process_time() - start
before = min(took() for _ in range(3))
assert freeze_modules() and not freeze_modules(), "once, until modules are added"
after = min(took() for _ in range(3))
assert after < before / 4, (before, after)
assert gc.get_freeze_count() > 10_000
"""


def test_frozen_modules_are_not_walked():
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
