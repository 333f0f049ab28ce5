"""Being asked to stop: signals raise ``Stopped``, or are kept for whoever saves everything first.

Schedulers warn with SIGTERM, SIGUSR1 or SIGUSR2, users with Ctrl-C (SIGINT) or by closing the
terminal (SIGHUP, unless it is ignored as under ``nohup``). Before training and
between stages there is nothing to save, and the signal ends the run at once; while it trains
(``defer``) it is only noted, and ``hooks.StopHook`` looks at it after every iteration.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Any

AGAIN = 75  # exit code: all is saved, run the same command again (EX_TEMPFAIL of sysexits.h)
INTERRUPTED = 130  # the shell's for Ctrl-C
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP)


class Stopped(BaseException):
    """The run ended on request; the same command goes on from what was saved.

    Like KeyboardInterrupt no Exception, so that nothing takes it for a failure.

    Attributes:
        request: what asked for it, a signal's name or ``'time limit'``.
    """

    def __init__(self, request: str, saved: str = "") -> None:
        super().__init__(f"stopped by {request}{saved and f'; {saved}'}")
        self.request = request


class _State:
    previous: dict[int, Any] | None = None  # handlers that were there before, by signal
    pid = 0
    request: str | None = None
    interrupted = math.inf  # when the first SIGINT came
    raised = False  # whether the handler has raised Stopped
    deferring = False


@contextmanager
def stoppable() -> Iterator[None]:
    """Within it the signals stop a run as said above; outside they do what they did before.

    Within another ``stoppable``, and in a thread that Python gives no signals to, it does nothing.
    Processes forked inside (loader workers) ignore the signals: whoever started them ends them.

    Raises:
        Stopped: a signal came while nothing was deferred.
        KeyboardInterrupt: another SIGINT more than a second after the first, at any time (one
            Ctrl-C reaches a rank twice: by the terminal, and by what had started it).
    """
    if _State.previous is not None or threading.current_thread() is not threading.main_thread():
        with _unmasked():
            yield
        return
    _State.pid, _State.request, _State.interrupted = os.getpid(), None, math.inf
    _State.raised = False
    numbers = [n for n in SIGNALS if (n, signal.getsignal(n)) != (signal.SIGHUP, signal.SIG_IGN)]
    _State.previous = {number: signal.signal(number, _receive) for number in numbers}
    try:
        with _unmasked():
            yield
    finally:
        for number, handler in _State.previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _State.previous, _State.deferring = None, False


def defer(on: bool) -> None:
    """From now on (or no longer) a signal only sets what ``requested`` tells."""
    _State.deferring = on


def requested() -> str | None:
    """The signal that has asked this process to stop, by name; None as long as none has."""
    return _State.request


def check() -> None:
    """Raises Stopped if a signal has come."""
    if _State.request:
        raise Stopped(_State.request)


def previous_handler(number: int) -> Any:
    """What a signal did before ``stoppable``: a scheduler's own handler, say, for its requeueing.

    Raises:
        RuntimeError: outside of ``stoppable``.
    """
    if _State.previous is None:
        raise RuntimeError("previous_handler() is for inside of stoppable()")
    return _State.previous[number]


def ends_well(main: Callable[..., int]) -> Callable[..., int]:
    """A tool's main function: user errors in one piece, and the exit codes of what was stopped.

    1: an error; ``AGAIN``: stopped, all is saved; 130, the shell's for Ctrl-C: interrupted.
    """

    @wraps(main)
    def wrapped(*args: Any) -> int:
        try:
            return main(*args)
        except (ValueError, FileNotFoundError, RuntimeError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except Stopped as stopped:
            print(f"{stopped}: the same command goes on from here", file=sys.stderr)
            return AGAIN
        except KeyboardInterrupt:
            print("interrupted: the same command goes on from what is saved", file=sys.stderr)
            return INTERRUPTED

    return wrapped


def _receive(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _State.pid:
        return
    now = time.monotonic()
    if number == signal.SIGINT:
        if now - _State.interrupted > 1:
            raise KeyboardInterrupt
        _State.interrupted = min(_State.interrupted, now)
    _State.request = signal.Signals(number).name
    if not _State.deferring:
        _State.raised = True
        raise Stopped(_State.request)


@contextmanager
def _unmasked() -> Iterator[None]:
    """Raises Stopped in the place of an error that another library's bare ``except`` made of it."""
    try:
        yield
    except Exception as error:
        if _State.raised and _State.request:
            raise Stopped(_State.request) from error
        raise
