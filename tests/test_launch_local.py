"""The runner of commands that need each other: order, slots, stops, failures, another start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rbdc_mm.launch.local import Command, cpu_slots, gpu_slots, run_commands
from rbdc_mm.stopping import AGAIN, Stopped

# Counts its starts in a file; with a limit it saves one thing a start until there are enough.
COUNTS = """
import os, sys
name, limit, useful = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "useful"
starts = os.path.getsize(name) if os.path.exists(name) else 0
open(name, "a").write(".")
if useful:
    open(name + ".saved", "a").write(".")
sys.exit(0 if starts + 1 >= limit else 75)
"""


@pytest.fixture
def command(tmp_path) -> Callable[..., Command]:
    """A command of that name that runs some Python, in ``tmp_path``."""

    def make(name: str, code: str = "", *arguments: str, **more) -> Command:
        words = [sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r})\n{code}"]
        return Command(name, [*words, *arguments], tmp_path / f"{name}.log", **more)

    return make


def test_each_starts_after_its_needs_and_slots_are_not_shared(command, tmp_path):
    """The order is written down by the commands themselves; each holds its GPU's own lock."""
    code = (
        "import sys, time\n"
        "gpu = os.environ['CUDA_VISIBLE_DEVICES']\n"
        "os.mkdir(gpu)\n"  # fails while another has it
        "print(sys.argv[1], os.environ['OMP_NUM_THREADS'], file=open('order', 'a'))\n"
        "time.sleep(0.1)\n"
        "os.rmdir(gpu)"
    )
    needs = {
        "target": ("a", "b"),
        "a": ("a1", "a2"),
        "b": ("a2", "b1"),
        "a1": (),
        "a2": (),
        "b1": (),
    }
    commands = [command(name, code, name, needs=before) for name, before in needs.items()]
    outcome = run_commands(commands, gpu_slots(["3", "5"], each=1, num_cores=6))
    assert sorted(outcome.done) == sorted(needs) and not outcome.failed and not outcome.blocked
    lines = (tmp_path / "order").read_text().splitlines()
    order = [line.split()[0] for line in lines]
    assert {line.split()[1] for line in lines} == {"3"}
    for name, before in needs.items():
        assert all(order.index(need) < order.index(name) for need in before)


def test_slots_are_whole_and_share_the_cores():
    slots = gpu_slots(["0", "1", "GPU-abc", "3", "4"], each=2, num_cores=10)
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots] == ["0,1", "GPU-abc,3"]
    assert {slot["OMP_NUM_THREADS"] for slot in slots} == {"2"}
    assert cpu_slots(3, 4) == [{"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4"}] * 3


def test_a_failure_stops_only_what_needs_it(command, capsys):
    ended = {}
    commands = [
        command("bad", "print('the cause'); raise SystemExit(3)"),
        command("killed", "import signal; os.kill(os.getpid(), signal.SIGKILL)"),
        command("after", needs=("good", "bad")),
        command("last", needs=("after",)),
        command("good"),
        command("better", needs=("good",)),
    ]
    outcome = run_commands(
        commands, cpu_slots(2), ended=lambda one, code: ended.update({one.name: code})
    )
    assert outcome.done == ["good", "better"] and outcome.blocked == ["after", "last"]
    assert outcome.failed == {"bad": 3, "killed": -signal.SIGKILL}
    assert ended == {**outcome.failed, "good": 0, "better": 0}
    told = outcome.failures()
    assert "job bad failed (exit code 3); its log ends:\nthe cause\n" in told
    assert "killed by SIGKILL" in told and "after, last" in told
    assert "left)" in capsys.readouterr().out


def test_a_circle_is_refused(command):
    with pytest.raises(ValueError, match="cycle"):
        run_commands([command("a", needs=("b",)), command("b", needs=("a",))], cpu_slots(1))


def test_one_that_saved_is_started_again_as_long_as_it_gets_further(command, tmp_path):
    def starts(name: str, limit: int, kind: str) -> tuple[int, dict]:
        saved = tmp_path / f"{name}.saved"
        one = command(
            name, COUNTS, name, str(limit), kind,
            saved=lambda: saved.read_text() if saved.exists() else None,
        )  # fmt: skip
        outcome = run_commands([one, command("after", needs=(name,))], cpu_slots(1))
        return len((tmp_path / name).read_text()), outcome

    number, outcome = starts("gets_further", 6, "useful")
    assert number == 6 and outcome.done == ["gets_further", "after"]
    number, outcome = starts("stands_still", 6, "in vain")
    assert number == 3 and outcome.failed == {"stands_still": AGAIN}
    assert outcome.blocked == ["after"] and "nothing new" in outcome.failures()


def test_what_is_held_elsewhere_waits(command, tmp_path, capsys):
    holder = tmp_path / "holder"
    holder.touch()
    one = command(
        "held",
        "assert not os.path.exists('holder')",
        held=lambda: "process 7 works on it" if holder.exists() else None,
    )
    outcome = run_commands([one, command("free", "os.unlink('holder')")], cpu_slots(1))
    assert outcome.done == ["held", "free"]
    assert capsys.readouterr().out.count("wait   held (process 7 works on it)") == 1


# Two commands, of which one starts a child of its own; each tells how it was ended.
RUNS = """
import sys
from pathlib import Path
from rbdc_mm.launch.local import Command, cpu_slots, run_commands
from rbdc_mm.stopping import Stopped
code = '''
import signal, subprocess, sys, time
child = subprocess.Popen(["sleep", "60"], start_new_session=True)
def end(*_):
    time.sleep(0.5)  # saves
    child.kill()
    print("saved", file=open(sys.argv[1] + ".saved", "w"))
    sys.exit(75)
signal.signal(signal.SIGTERM, {handler})
print(child.pid, file=open(sys.argv[1] + ".child", "w"), flush=True)
time.sleep(60)
'''
here = Path(sys.argv[1])
def command(name, *needs):
    words = [sys.executable, "-c", code, str(here / name)]
    return Command(name, words, here / (name + ".log"), needs)
try:
    run_commands([command("a"), command("b"), command("c", "a")], cpu_slots(2))
except Stopped:
    sys.exit(75)
except KeyboardInterrupt:
    sys.exit(130)
"""


def launched(folder: Path, handler: str, **more) -> subprocess.Popen:
    """``RUNS``, both commands running."""
    code = RUNS.replace("{handler}", handler)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more,
    )  # fmt: skip
    wait_for(lambda: all(_is_written(folder / f"{name}.child") for name in "ab"), process)
    return process


def _is_written(path: Path) -> bool:
    return path.exists() and path.read_text().endswith("\n")


def wait_for(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP"])
def test_all_that_runs_saves_and_ends_when_asked_once(number, tmp_path):
    process = launched(tmp_path, "end")
    process.send_signal(signal.Signals[number])
    said, _ = process.communicate()
    assert process.returncode == AGAIN, said
    assert (tmp_path / "a.saved").exists() and (tmp_path / "b.saved").exists()
    assert not (tmp_path / "c.log").exists(), "what waited is not started"
    assert "stopping: a, b save and end" in said


def test_it_is_asked_even_where_ctrl_c_was_ignored_at_the_start(tmp_path):
    """As a shell script's background jobs are started."""
    ignored = launched(
        tmp_path, "end", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    )
    ignored.send_signal(signal.SIGTERM)
    assert ignored.wait() == AGAIN
    assert (tmp_path / "a.saved").exists() and (tmp_path / "b.saved").exists()
    ignored.stdout.close()


def test_a_second_ctrl_c_kills_all_that_they_had_started(tmp_path):
    process = launched(tmp_path, "signal.SIG_IGN")
    children = [int((tmp_path / f"{name}.child").read_text()) for name in "ab"]
    process.send_signal(signal.SIGINT)
    lines = iter(process.stdout.readline, "")
    assert any("stopping" in line for line in lines)
    time.sleep(1.1)  # sooner it would be taken for the same
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert not any(map(is_alive, children))


def test_what_was_started_ends_with_a_runner_that_breaks(command, tmp_path):
    code = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n"
    pids = []

    def started(one: Command, pid: int) -> None:
        pids.append(pid)
        if len(pids) == 2:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_commands(
            [command(name, code + "time.sleep(60)") for name in "ab"], cpu_slots(2),
            started=started,
        )  # fmt: skip
    assert not any(map(is_alive, pids)) and len(pids) == 2


def test_stopped_is_raised_once_they_have_ended(command):
    """Within a process that goes on, as a study's tables do."""

    def started(one: Command, pid: int) -> None:
        os.kill(os.getpid(), signal.SIGUSR2)

    with pytest.raises(Stopped, match="SIGUSR2"):
        run_commands([command("a", "import time; time.sleep(60)")], cpu_slots(1), started=started)
