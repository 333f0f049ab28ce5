"""What a reader of checkpoints tells its user, once."""

from __future__ import annotations

import sys
from functools import cache

from mmengine.dist import is_main_process


@cache
def say_once(text: str) -> None:
    """Prints a line to stderr, the first time that it is said in this process."""
    if is_main_process():
        print(text, file=sys.stderr)
