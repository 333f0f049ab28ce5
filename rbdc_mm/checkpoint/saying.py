"""What a reader of checkpoints tells its user, once."""

from __future__ import annotations

import sys
from functools import cache


@cache
def say_once(text: str) -> None:
    """Prints a line to stderr, the first time that it is said in this process."""
    print(text, file=sys.stderr)
