"""Makes the files that commands read as their standard input."""

from __future__ import annotations

import os
import sys


def open_text(text: str) -> int:
    """Return a descriptor of a new file without a name that contains a text, at its beginning.

    A pipe would block a run whose command does not read, and end a run whose command closes it.
    """
    descriptor = _new_file()
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(text.encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _new_file() -> int:
    if sys.platform == "linux":
        # In memory, so that a secret is never on a disk.
        return os.memfd_create("runbook-stdin")
    # Other systems do without it at each start.
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
