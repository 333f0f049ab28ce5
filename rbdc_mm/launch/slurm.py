"""SLURM owns the tree: one job for each stage, which waits for those that the stage needs.

submitit writes the batch scripts and submits them. Nothing of ours has to stay: SLURM starts what
is ready, and what is interrupted puts itself into the queue again.
"""

from __future__ import annotations

import getpass
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from rbdc_mm.home import ROOT
from rbdc_mm.launch.progress import holder_of
from rbdc_mm.launch.record import Job, Launch, PlannedStage
from rbdc_mm.launch.slurm_job import StageJob
from rbdc_mm.launch.stages import LOGS, Prepared, Request

_PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "srun")
_NEVER = "DependencyNeverSatisfied"
_WARNING_S = 120  # before the time limit


@dataclass(frozen=True)
class Options:
    """Of the jobs.

    Attributes:
        time: limit of each job, as sbatch takes it.
        gpus: whether every process has a GPU.
        per_node: processes on a node at most.
        partition, account, qos: of sbatch.
        requeue: whether an interrupted job is run again.
        kill_on_invalid_dep: whether SLURM removes what can never run.
        more: further options of sbatch, without the dashes.
    """

    time: str | None = None
    gpus: bool = True
    per_node: int = 8
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    requeue: bool = True
    kill_on_invalid_dep: bool = True
    more: Mapping[str, str] = field(default_factory=dict)

    def sbatch(self, processes: int) -> dict[str, str | bool]:
        """All that jobs of that many processes have in common.

        Raises:
            ValueError: processes that do not fill their nodes.
        """
        num_nodes = -(-processes // self.per_node)
        if processes % num_nodes:
            raise ValueError(
                f"{processes} processes per stage do not fill {num_nodes} nodes of "
                f"{self.per_node}: give another number, or --gpus-per-node"
            )
        each = str(processes // num_nodes)
        options: dict[str, str | bool] = {"nodes": str(num_nodes), "ntasks-per-node": each}
        options |= {"gpus-per-node": each} if self.gpus else {}
        options["signal"] = f"USR2@{_WARNING_S}"
        options["requeue" if self.requeue else "no-requeue"] = True
        options["kill-on-invalid-dep"] = "yes" if self.kill_on_invalid_dep else "no"
        names = ("time", "partition", "account", "qos")
        options |= {name: value for name in names if (value := getattr(self, name))}
        return options | dict(self.more)


@dataclass(frozen=True)
class Queued:
    """A job in SLURM's queue.

    Attributes:
        id: its number.
        name: see ``job_name``.
        state: such as ``PENDING`` or ``RUNNING``.
        reason: why it waits.
    """

    id: str
    name: str
    state: str
    reason: str

    @property
    def can_run(self) -> bool:
        """Whether what it waits for may still come."""
        return self.reason != _NEVER


def submit(request: Request, prepared: Prepared, options: Options) -> tuple[Launch, list[str]]:
    """Submits a job for every stage that is neither done nor alive.

    Returns:
        What was launched, and the names of the stages that were submitted.

    Raises:
        ValueError: no SLURM here, options or a job that it refuses (nothing is submitted then), a
            stage that something other than its job trains.
    """
    common = options.sbatch(request.processes)
    if "time" not in common:
        raise ValueError(
            "--executor slurm wants --time, the limit of each stage's job: a stage that hits it "
            "saves and is run again"
        )
    check_programs()
    before = queue()  # first: what ends from here on is seen to be finished
    todo, work_dir = prepared.todo, prepared.work_dir
    there = {q.name: q for q in before.values()}
    for stage in todo:
        holder = holder_of(work_dir / stage.name)
        if holder and there.get(job_name(stage)) is None:
            raise ValueError(f"stage {stage.name}: {holder}, outside of the queue. Wait for it")
    found = Launch.read(work_dir)
    jobs = dict(found.jobs) if found and found.executor == "slurm" else {}
    launch = Launch(
        config=request.config,
        options=request.options(work_dir),
        executor="slurm",
        protocol=prepared.protocol,
        at_a_time=None,
        launcher=None,
        stages=prepared.planned,
    )
    ids: dict[str, str] = {}  # of stages that are not done
    new: list[str] = []
    try:
        for stage in todo:
            job = there.get(job_name(stage))
            if job and job.can_run and not set(stage.needs) & set(new):
                ids[stage.name] = job.id
                continue
            if job:
                _call(["scancel", job.id])
            parents = [ids[name] for name in stage.needs if name in ids]
            ids[stage.name] = _submit_one(launch, stage, request.processes, common, parents)
            new.append(stage.name)
            log = f"{LOGS}/{ids[stage.name]}_0_log.out"  # as submitit calls it
            jobs[stage.name] = Job(log=log, slurm=ids[stage.name])
        launch = replace(launch, jobs=jobs)
        launch.write(work_dir)
    except BaseException:
        if new:
            _call(["scancel", *(ids[name] for name in new if name in ids)])
        raise
    return launch, new


def job_name(stage: PlannedStage) -> str:
    """By which its jobs are known, whoever submitted them."""
    return f"rbdc-{stage.name}-{stage.hash[:12]}"


def dependency(parents: Sequence[str]) -> str:
    """Of a job: after its parents, and never beside another one of the same stage."""
    return ",".join(["singleton", *(["afterok:" + ":".join(parents)] if parents else [])])


def queue() -> dict[str, Queued]:
    """This user's living jobs, by number."""
    lines = _call(["squeue", "-h", "-u", getpass.getuser(), "-o", "%i|%j|%T|%r"]).splitlines()
    return {q.id: q for q in (Queued(*line.split("|", 3)) for line in lines)}


def alive_jobs(launch: Launch) -> dict[str, Queued]:
    """Stage -> its job, of those that are in the queue and may still run or are running."""
    living = queue()
    found = {name: living.get(job.slurm) for name, job in launch.jobs.items() if job.slurm}
    return {name: q for name, q in found.items() if q and q.can_run}


def final_state(number: str) -> str | None:
    """How SLURM says that a job ended, such as ``FAILED``; None where it has forgotten it."""
    for command, key in (
        (["scontrol", "show", "job", "-o", number], "JobState="),
        (["sacct", "-n", "-X", "-P", "-o", "State", "-j", number], ""),
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        words = [word for word in done.stdout.split() if word.startswith(key)]
        if done.returncode == 0 and words:
            return words[0].removeprefix(key)
    return None


def cancel_jobs(numbers: Sequence[str]) -> None:
    """Removes jobs from the queue, those that run with a signal by which they save first."""
    if numbers:
        _call(["scancel", *numbers])


def script(request: Request, prepared: Prepared, options: Options) -> str:
    """The commands of all stages that are not done, for a shell: by sbatch, without submitit."""
    common = options.sbatch(request.processes)
    lines = [
        "# Every stage that is not done, after those that it needs. For another scheduler: the",
        "# commands in quotes, in this order; exit code 75 means saved, to be run again.",
    ]
    variables: dict[str, str] = {}
    for stage in prepared.todo:
        variables[stage.name] = f"job_{stage.name.replace('-', '_')}"
        words = ["python", "-u", *_words(request, prepared.work_dir, stage)]
        run = f"srun --kill-on-bad-exit=1 {shlex.join(words)}"
        again = "[ $code = 75 ] && scontrol requeue $SLURM_JOB_ID"
        wrapped = "; ".join([*_setup(), run, "code=$?", again, "exit $code"])
        after = dependency([f"${variables[name]}" for name in stage.needs if name in variables])
        flags = [_flag(key, value) for key, value in sorted(common.items())]
        lines += [
            "",
            f"{variables[stage.name]}=$(sbatch --parsable --job-name={job_name(stage)} \\",
            f"    --dependency={after} \\",
            f"    {' '.join(map(shlex.quote, flags))} \\",
            f"    --wrap {shlex.quote(wrapped)})",
        ]
    return "\n".join(lines)


def check_programs() -> None:
    """Raises ValueError where SLURM's programs are not there."""
    if missing := [name for name in _PROGRAMS if not shutil.which(name)]:
        raise ValueError(
            f"--executor slurm: {', '.join(missing)} not found on this machine. Run it where jobs "
            "are submitted from, or give --executor local; --print shows the commands"
        )


def _submit_one(
    launch: Launch,
    stage: PlannedStage,
    processes: int,
    common: Mapping[str, str | bool],
    parents: Sequence[str],
) -> str:
    """The number of the new job."""
    work_dir = Path(launch.options[launch.options.index("--work-dir") + 1])
    executor = submitit.SlurmExecutor(work_dir / LOGS, max_num_timeout=1000)
    executor.update_parameters(
        job_name=job_name(stage),
        setup=_setup(),
        srun_args=["--kill-on-bad-exit=1"],
        stderr_to_stdout=True,
        additional_parameters={**common, "dependency": dependency(parents)},
    )
    words = (str(ROOT / "tools/train.py"), launch.config, "--only", stage.name, *launch.options)
    words += ("--launcher", "slurm") if processes > 1 else ()
    job = StageJob(words, work_dir / stage.name, requeue="requeue" in common)
    try:
        with redirect_stderr(StringIO()):  # which the error says again
            return executor.submit(job).job_id
    except (FailedJobError, FailedSubmissionError) as error:
        said = [line for line in str(error).splitlines() if line.startswith("sbatch: error")]
        told = "; ".join(line.removeprefix("sbatch: error: ") for line in said) or str(error)
        raise ValueError(
            f"SLURM refuses the job of stage {stage.name}: {told}. Nothing is left in the queue of "
            "what was submitted now"
        ) from error


def _words(request: Request, work_dir: Path, stage: PlannedStage) -> list[str]:
    words = [str(ROOT / "tools/train.py"), request.config, "--only", stage.name]
    words += request.options(work_dir)
    return words + (["--launcher", "slurm"] if request.processes > 1 else [])


def _setup() -> list[str]:
    """Lines of the batch script before srun."""
    return [
        f"export PYTHONPATH={shlex.quote(str(ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}",
        "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}",  # srun does not take it over
        "export OMP_NUM_THREADS=$SRUN_CPUS_PER_TASK MKL_NUM_THREADS=$SRUN_CPUS_PER_TASK",
    ]


def _flag(key: str, value: str | bool) -> str:
    return f"--{key}" if value is True else f"--{key}={value}"


def _call(command: Sequence[str]) -> str:
    """A program's output; ValueError with what it said when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ValueError(
            f"{command[0]} is not there: wanted a machine of the SLURM cluster"
        ) from error
    if done.returncode:
        raise ValueError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
