"""Provides the example of docs/extending/lock-backend.md as a module, for the tests of all backends."""

from __future__ import annotations

from tests.documentation import DOCS, blocks_of

_PAGE = DOCS / "extending" / "lock-backend.md"
_BLOCK = next(block for block in blocks_of(_PAGE) if block.text.startswith("# desk/locks.py\n"))
exec(compile(_BLOCK.text, _BLOCK.id, "exec"))
