"""Gives debuggers the terminal while the output of commands is captured."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import IO, Any


@contextlib.contextmanager
def at_terminal(stream: IO[str] | None) -> Iterator[None]:
    """Have `pdb`, and debuggers based on it, print to this stream."""
    import pdb

    original = pdb.Pdb.__init__

    def with_terminal(
        self: pdb.Pdb, completekey: str = "tab", stdin: Any = None, stdout: Any = None, **more: Any
    ) -> None:
        original(self, completekey, stdin, stdout or stream, **more)
        if stdin is None and stdout is None:
            # Keeps line editing at the prompt.
            self.use_rawinput = True

    setattr(pdb.Pdb, "__init__", with_terminal)  # noqa: B010 - for mypy a method is final
    try:
        yield
    finally:
        setattr(pdb.Pdb, "__init__", original)  # noqa: B010 - as above
