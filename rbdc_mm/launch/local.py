"""Runs commands that need each other on this machine: what is ready, where there is a free slot.

Every command has a session of its own, so that Ctrl-C reaches this process alone. It asks the
commands to save and end; a second one kills them.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from graphlib import TopologicalSorter
from pathlib import Path

from rbdc_mm.stopping import AGAIN, check, defer, requested, stoppable

_LOOK_S = 0.2
_TRIES = 3  # that save nothing new, after which what wants to be run again has failed
_IN_VAIN = f", it wants to be run again, but {_TRIES} starts saved nothing new"


@dataclass(frozen=True)
class Command:
    """One process.

    Attributes:
        name: unique.
        words: program and arguments.
        log: file that its output is appended to.
        needs: names of commands that must succeed before; others than those given are done.
        env: variables besides those of this process and of the slot.
        weight: relative length, for the estimate of the time left.
        saved: what it has saved so far, by which progress is told: one that ends with 75 is
            started again, but not when the last few starts have left this as it was.
        held: who works on it elsewhere, so that it has to wait; None if nobody does.
    """

    name: str
    words: Sequence[str]
    log: Path
    needs: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    saved: Callable[[], object] = lambda: None
    held: Callable[[], str | None] = lambda: None


@dataclass(frozen=True)
class Outcome:
    """What became of the commands.

    Attributes:
        done: names.
        failed: name -> exit code.
        blocked: names of what needs something that failed.
        logs: name -> file.
    """

    done: Sequence[str]
    failed: Mapping[str, int]
    blocked: Sequence[str]
    logs: Mapping[str, Path]

    def failures(self) -> str:
        """What failed, by what exit code, and how its log ends; empty if nothing did."""
        pieces = [
            f"job {name} failed ({words_of(code)}{_IN_VAIN * (code == AGAIN)}); its log ends:\n"
            f"{tail(self.logs[name])}\n"
            f"({self.logs[name]}; the same command goes on from here)"
            for name, code in self.failed.items()
        ]
        if self.blocked:
            pieces.append(f"not run, since they need what failed: {', '.join(self.blocked)}")
        return "\n\n".join(pieces)


def run_commands(
    commands: Sequence[Command],
    slots: Sequence[Mapping[str, str]],
    *,
    started: Callable[[Command, int], object] = lambda command, pid: None,
    ended: Callable[[Command, int], object] = lambda command, code: None,
) -> Outcome:
    """Runs all that can be run; a command that fails stops only what needs it.

    Args:
        commands: in any order; earlier ones first where several could run.
        slots: environment of each place to run at, see ``cpu_slots`` and ``gpu_slots``.
        started: called with every process id.
        ended: called with every exit code that is not followed by another start.

    Raises:
        ValueError: commands that need each other in a circle.
        Stopped: on any of ``stopping.SIGNALS``, after the running ones were asked to stop by
            SIGTERM and have ended.
        KeyboardInterrupt: on a second Ctrl-C; the running ones are killed, with all that they had
            started.
    """
    run = _Run(commands, slots, started, ended)
    with stoppable():
        defer(True)
        outcome = run.go()
        check()
    return outcome


def cpu_slots(num: int, cores: int = 1) -> list[dict[str, str]]:
    """Places without GPUs, with so many cores for each process."""
    threads = {"OMP_NUM_THREADS": str(cores), "MKL_NUM_THREADS": str(cores)}
    return [threads] * num


def gpu_slots(gpus: Sequence[str], each: int, num_cores: int) -> list[dict[str, str]]:
    """Places with ``each`` of the GPUs; a GPU's process has its share of the machine's cores."""
    threads = cpu_slots(1, max(1, num_cores // len(gpus)))[0]
    starts = range(0, len(gpus) - each + 1, each)
    return [{"CUDA_VISIBLE_DEVICES": ",".join(gpus[n : n + each]), **threads} for n in starts]


def words_of(code: int) -> str:
    """``'exit code 1'``, ``'killed by SIGKILL'``."""
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def tail(log: Path, num_lines: int = 15) -> str:
    """How a log ends."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-num_lines:])


def kill_with_children(pid: int) -> None:
    """Kills a process and all that it has started, ranks that have sessions of their own too."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:  # which grows
        found += [child for child, parent in parents.items() if parent == one]
    for one in found:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def cause(log: Path) -> str:
    """The last line of a log that says what went wrong, else its last line."""
    lines = log.read_text(errors="replace").splitlines()
    told = [line for line in lines if line.startswith("error: ")]
    raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)]
    return (told or raised or lines or ["an empty log"])[-1]


class _Run:
    """The loop and what it has to remember."""

    def __init__(self, commands, slots, started, ended) -> None:
        self.commands = {command.name: command for command in commands}
        self.graph = TopologicalSorter(
            {c.name: [n for n in c.needs if n in self.commands] for c in commands}
        )
        self.graph.prepare()
        self.slots, self.started, self.ended = list(slots), started, ended
        self.num_slots = len(slots)
        self.ready: list[str] = []
        self.running: dict[str, tuple[subprocess.Popen, Mapping[str, str]]] = {}
        self.begun = time.monotonic()
        self.starts: dict[str, float] = {}
        self.seconds: dict[str, float] = {}  # what those that are done took
        self.saved: dict[str, object] = {}
        self.in_vain: dict[str, int] = {}  # starts since something new was saved
        self.held: dict[str, str] = {}
        self.failed: dict[str, int] = {}

    def go(self) -> Outcome:
        try:
            self._take_ready()
            while (self.ready or self.running) and not requested():
                self._start()
                time.sleep(_LOOK_S)
                self._collect()
            self._stop()
        except KeyboardInterrupt:
            self._kill()
            raise
        except BaseException:
            self._stop()
            raise
        done = [name for name in self.commands if name in self.seconds]
        blocked = [n for n in self.commands if n not in self.seconds and n not in self.failed]
        logs = {name: command.log for name, command in self.commands.items()}
        return Outcome(done, self.failed, blocked, logs)

    def _take_ready(self) -> None:
        self.ready += self.graph.get_ready()
        self.ready.sort(key=list(self.commands).index)

    def _start(self) -> None:
        for name in list(self.ready):
            if not self.slots:
                return
            command = self.commands[name]
            if holder := command.held():
                if self.held.get(name) != holder:
                    _say(f"  wait   {name} ({holder})")
                self.held[name] = holder
                continue
            self.ready.remove(name)
            slot = self.slots.pop(0)
            self.starts[name], self.saved[name] = time.monotonic(), command.saved()
            process = _started(command, slot)
            self.running[name] = process, slot
            self.started(command, process.pid)
            _say(f"  start  {name}")

    def _collect(self) -> None:
        ended = [name for name, (process, _) in self.running.items() if process.poll() is not None]
        for name in ended:
            process, slot = self.running.pop(name)
            self.slots.append(slot)
            self._note(self.commands[name], process.returncode)

    def _note(self, command: Command, code: int) -> None:
        name = command.name
        if code == AGAIN and not requested() and self._goes_on(command):
            _say(f"  again  {name} (it was asked to stop, and saved)")
            self.ready.insert(0, name)
            return
        self.ended(command, code)
        if code == 0:
            self.seconds[name] = time.monotonic() - self.starts[name]
            self.graph.done(name)
            self._take_ready()
            _say(f"  done   {name} ({self._clocks()})")
        elif requested():
            _say(f"  ended  {name} ({words_of(code)})")
        else:
            self.failed[name] = code
            _say(f"  failed {name} ({words_of(code)}; {command.log})")

    def _goes_on(self, command: Command) -> bool:
        """Whether one that wants to be run again is, because it gets further that way."""
        new = command.saved() != self.saved[command.name]
        self.in_vain[command.name] = 0 if new else self.in_vain.get(command.name, 0) + 1
        return self.in_vain[command.name] < _TRIES

    def _clocks(self) -> str:
        """Time passed, and left at the pace of what is done."""
        now = time.monotonic()
        weights = {name: command.weight for name, command in self.commands.items()}
        pace = sum(self.seconds.values()) / sum(weights[name] for name in self.seconds)
        left = sum(
            max(0.0, pace * weight - (now - self.starts[name] if name in self.running else 0.0))
            for name, weight in weights.items()
            if name not in self.seconds and name not in self.failed
        )
        return f"{_clock(now - self.begun)} passed, about {_clock(left / self.num_slots)} left"

    def _stop(self) -> None:
        """Asks all that runs to save and end, and waits for it."""
        if self.running:
            _say(f"stopping: {', '.join(self.running)} save and end (Ctrl-C again kills them)")
        for process, _ in self.running.values():
            process.terminate()
        while self.running:
            time.sleep(_LOOK_S)
            self._collect()

    def _kill(self) -> None:
        for process, _ in self.running.values():
            if process.poll() is None:
                kill_with_children(process.pid)
        for process, _ in self.running.values():
            process.wait()


def _started(command: Command, slot: Mapping[str, str]) -> subprocess.Popen:
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("a") as log:
        return subprocess.Popen(
            list(command.words),
            env={**os.environ, **slot, **command.env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _say(text: str) -> None:
    print(text, flush=True)
