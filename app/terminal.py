"""What goes to the terminal of a command: lines for people, and native libraries kept quiet."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from detector.errors import BoxscopeError


def say(text: str = "") -> None:
    """A line for people, on standard error, so that standard output stays clean for figures and ids."""
    print(text, file=sys.stderr)


@contextmanager
def without_native_chatter() -> Iterator[None]:
    """Keep what TensorFlow's C++ prints while it loads off the terminal; shown after all if something
    fails.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BoxscopeError:
            raise
        except Exception:
            kept.seek(0)
            os.write(terminal, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
