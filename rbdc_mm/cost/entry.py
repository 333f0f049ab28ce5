"""What one run cost: an entry of a ledger, and its reading from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from rbdc_mm.cost.units import COUNTER_VERSION, whole

Kind = Literal["train", "operator", "grow", "unknown"]
COUNTS = ("train_flops", "teacher_flops", "operator_flops", "eval_flops")
COUNTS += ("num_samples_seen", "num_iters", "repeated_flops")
_SINCE = {"kind": 2, "repeated_flops": 3}  # schemas


@dataclass(frozen=True)
class Entry:
    """Cost of one run. All costs are whole FLOPs, 2 per multiply-add, of all ranks together.

    Attributes:
        run_id: Unique name of the run; it must survive resuming.
        name: For people.
        kind: ``'train'`` trained a model; ``'operator'`` learned how to grow one, ``'grow'`` grew
            one (and may have calibrated it): neither trained any; ``'unknown'`` is a model whose
            cost nobody recorded.
        train_flops: Forward and backward of the model itself; None for ``'unknown'`` alone.
        teacher_flops: Forward passes of teachers during this run (their own training is a parent).
        operator_flops: Learning of the growth operator, and search.
        eval_flops: Validation and test; reported, in no total.
        num_samples_seen: Training samples, counting repetitions.
        num_iters: Training iterations.
        repeated_flops: Spent on training that was lost and done again, after kills and failures;
            in no total.
        parents: Run ids of the runs whose weights (or predictions) this one used directly.
        counter_version: Version of the counter that gave the FLOPs per sample.
    """

    run_id: str
    name: str
    kind: Kind = "train"
    train_flops: int | None = 0
    teacher_flops: int = 0
    operator_flops: int = 0
    eval_flops: int = 0
    num_samples_seen: int = 0
    num_iters: int = 0
    parents: tuple[str, ...] = ()
    counter_version: str = COUNTER_VERSION
    repeated_flops: int = 0

    @property
    def is_known(self) -> bool:
        """Whether the run's own training cost is known."""
        return self.kind != "unknown"

    @property
    def trains_no_model(self) -> bool:
        """Whether all that it cost is the matter of the run that uses what came out."""
        return self.kind in ("operator", "grow")

    @property
    def all_flops(self) -> int:
        """Training, teachers, operator and search; what is unknown counts as 0 here."""
        return (self.train_flops or 0) + self.teacher_flops + self.operator_flops

    @property
    def spent_flops(self) -> int:
        """``all_flops``, and those of what was lost."""
        return self.all_flops + self.repeated_flops


def read_entry(data: Any, key: str, schema: int, where: str) -> Entry:
    """The entry of run ``key`` in a ledger of that schema; ValueError for what is none."""
    names = {field.name for field in fields(Entry)}
    check_keys(data, {name for name in names if _SINCE.get(name, 1) <= schema}, where)
    if data["run_id"] != key:
        raise ValueError(f"{where}: its run_id is {data['run_id']!r}")
    for name in COUNTS:
        if name in data and not (name == "train_flops" and data[name] is None):
            whole(f"{where}: {name}", data[name])
    parents = data["parents"]
    if not isinstance(parents, list | tuple) or not all(isinstance(p, str) for p in parents):
        raise ValueError(f"{where}: parents must be a list of run ids, got {parents!r}")
    kind = _kind_in_schema_1(data) if schema == 1 else data["kind"]
    if kind not in get_args(Kind):
        raise ValueError(f"{where}: kind must be one of {get_args(Kind)}, got {kind!r}")
    if (kind == "unknown") != (data["train_flops"] is None):
        raise ValueError(
            f"{where}: train_flops is {data['train_flops']!r} and kind is {kind!r}: null goes with "
            "'unknown', and with nothing else"
        )
    return Entry(**{**data, "kind": kind, "parents": tuple(parents)})


def _kind_in_schema_1(data: Mapping[str, Any]) -> Kind:
    """What schema 1 did not say; its totals went by ``train_flops == 0``, so they stay."""
    if data["train_flops"] is None:
        return "unknown"
    if data["train_flops"]:
        return "train"
    return "operator" if data["num_iters"] else "grow"


def check_keys(data: Any, wanted: set[str], where: str) -> None:
    """ValueError for what is no dict of exactly these keys."""
    if not isinstance(data, Mapping):
        raise ValueError(f"{where}: wanted a dict with {sorted(wanted)}, got {type(data)}")
    if set(data) != wanted:
        raise ValueError(
            f"{where}: missing keys {sorted(wanted - set(data))}, "
            f"unknown keys {sorted(set(data) - wanted)}"
        )
