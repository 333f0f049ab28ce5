"""What a SLURM job runs, in every task: the stage's training in this very process.

Thus the warnings of the scheduler arrive where they are listened to, and srun starts the ranks.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import submitit

from rbdc_mm.launch.progress import saved_in
from rbdc_mm.stopping import AGAIN

_TRIES = 3  # that save nothing new, after which it is not put into the queue again


@dataclass(frozen=True)
class StageJob:
    """One stage; it fits through a pickle.

    Attributes:
        words: script and arguments.
        folder: of the stage.
        requeue: whether it goes on by itself once it was asked to stop.
    """

    words: tuple[str, ...]
    folder: Path
    requeue: bool = True

    def __call__(self) -> None:
        """Trains.

        Raises:
            SystemExit: the training ended with an error, or was stopped and is not requeued.
        """
        before = saved_in(self.folder)
        code = _run(self.words)
        if code == 0:
            return
        if code != AGAIN or not self.requeue:
            sys.exit(code)
        if int(os.environ["SLURM_PROCID"]) == 0:
            self._requeue(before)
        time.sleep(600)  # SLURM ends the step, with all its tasks

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Of submitit: what is requeued when a warning comes before the training or after it."""
        return submitit.helpers.DelayedSubmission(self)

    def _requeue(self, before: object) -> None:
        """Has SLURM run the job again, unless it gets no further that way; what needs it waits."""
        job = os.environ["SLURM_JOB_ID"]
        note = Path(os.environ["SUBMITIT_FOLDER"]) / f"{job}_in_vain"
        earlier = len(note.read_text()) if note.exists() else 0
        in_vain = 0 if saved_in(self.folder) != before else earlier + 1
        note.write_text("." * in_vain)
        if in_vain >= _TRIES:
            print(
                f"error: stopped {in_vain} times in a row before anything new was saved: not run "
                "again by itself. Give the stages more time (--time)"
            )
            sys.exit(1)
        print(f"saved; requeueing job {job}", flush=True)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which SLURM ends it
        subprocess.run(["scontrol", "requeue", job], check=True)


def _run(words: tuple[str, ...]) -> int:
    """A script as if it had been started; its exit code."""
    sys.argv = list(words)
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        return 0 if end.code is None else end.code if isinstance(end.code, int) else 1
    return 0
