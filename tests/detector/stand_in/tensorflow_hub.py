"""Resolves a handle as tensorflow-hub 0.16.1 does (same address, cache, lock and temporary folder), without
TensorFlow.

The tests of downloads import it in place of the real one, which takes ten seconds; `pytest -m slow` runs the
same tests with the real one.
"""

import contextlib
import hashlib
import os
import shutil
import socket
import tarfile
import time
import urllib.request
import uuid


def resolve(handle):
    folder = os.path.join(os.environ["TFHUB_CACHE_DIR"], hashlib.sha1(handle.encode()).hexdigest())
    task = uuid.uuid4().hex
    scratch, owner = f"{folder}.{task}.tmp", f"{socket.gethostname()}.{os.getpid()}.{task}"
    while not os.path.isdir(folder):
        try:
            with open(f"{folder}.lock", "x") as lock:
                lock.write(owner)
        except FileExistsError:
            time.sleep(0.05)
            continue
        try:
            if not os.path.isdir(folder):
                _fetch(handle, scratch)
                os.rename(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            os.remove(f"{folder}.lock")
    return folder


def _fetch(handle, scratch):
    os.makedirs(scratch)
    with contextlib.closing(urllib.request.urlopen(f"{handle}?tf-hub-format=compressed")) as answer:
        try:
            with tarfile.open(mode="r|*", fileobj=answer) as archive:
                archive.extractall(scratch, filter="data")
        except tarfile.ReadError:
            raise OSError(f"{handle} does not appear to be a valid module.") from None
