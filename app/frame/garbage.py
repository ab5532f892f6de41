"""Keep Streamlit's garbage collection out of the answer.

Streamlit collects all generations after every rerun. Walking the objects of the imported modules took 77 ms
a time here (measured); they live as long as the server, so they are put where the collector does not look.
"""

from __future__ import annotations

import gc
import sys
import threading

_lock = threading.Lock()
_modules = 0
GROWN = 40
"""So many new modules since the last time make it worth doing again."""


def freeze_modules() -> bool:
    """Freeze what is alive when modules were imported since the last time; True where it did. Safe in any
    thread.
    """
    global _modules
    if len(sys.modules) - _modules < GROWN or not _lock.acquire(blocking=False):
        return False
    try:
        gc.collect()  # what is garbage now must not be kept for ever
        gc.freeze()
        _modules = len(sys.modules)
        return True
    finally:
        _lock.release()
