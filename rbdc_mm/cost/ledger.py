"""What training cost: one entry per run, and a ledger of a run and all its ancestors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from rbdc_mm.cost.entry import COUNTS, Entry, Kind, check_keys, read_entry
from rbdc_mm.cost.units import CONVENTION, format_flops, whole

SCHEMA = 3  # 1 had no kinds, 2 no repeated FLOPs; both can still be read


class Ledger:
    """The entry of one run (its own) and those of all its ancestors, by run id.

    Keyed by run id, so that an ancestor reached by two ways is counted once. Two states of one run
    may meet, when children were grown from its earlier and later checkpoints: the later state is
    kept, for its cost contains the earlier one's. States that do not continue one another are an
    error. A run of unknown cost is an entry too: totals then are lower bounds and say so.

    Three totals, in FLOPs: `target_only`, `with_teachers`, `total`. The
    headline is `total`.
    """

    def __init__(
        self, run_id: str, entries: Mapping[str, Entry], convention: str = CONVENTION
    ) -> None:
        if run_id not in entries:
            raise ValueError(f"ledger of run {run_id!r} has no entry of it, only {list(entries)}")
        self.run_id = run_id
        self.entries = dict(entries)
        self.convention = convention

    @classmethod
    def new(
        cls, run_id: str, name: str, parents: Iterable[Ledger] = (), kind: Kind = "train"
    ) -> Ledger:
        """An empty ledger of a run that starts from ``parents`` (in order; repeats allowed).

        Raises:
            ValueError: If the parents' conventions differ, if they disagree about a common
                ancestor, or if the run would be its own ancestor.
        """
        parents = list(parents)
        entries: dict[str, Entry] = {}
        for parent in parents:
            if parent.convention != CONVENTION:
                raise ValueError(
                    f"parent {parent.run_id!r} was counted by another convention, "
                    f"{parent.convention!r}; this is {CONVENTION!r}. Their sum would mean "
                    "nothing: recount the parent, or give Ledger.unknown() for it"
                )
            for entry in parent.entries.values():
                known = entries.get(entry.run_id)
                entries[entry.run_id] = entry if known is None else _later(known, entry)
        if run_id in entries:
            raise ValueError(
                f"run {run_id!r} cannot descend from itself: give the new run an id of its own, "
                "or resume the old one"
            )
        ids = tuple(dict.fromkeys(parent.run_id for parent in parents))
        entries[run_id] = Entry(run_id, name, kind, parents=ids)
        return cls(run_id, entries)

    @classmethod
    def unknown(cls, run_id: str, name: str) -> Ledger:
        """The ledger of a model whose training cost nobody recorded, to be given as a parent.

        Use an id that is the same wherever the same weights turn up, such as a hash of the file.
        """
        return cls(run_id, {run_id: Entry(run_id, name, "unknown", train_flops=None)})

    @property
    def own(self) -> Entry:
        """This run's own entry."""
        return self.entries[self.run_id]

    @property
    def counter_version(self) -> str:
        """Version of the counter behind this run's own entry."""
        return self.own.counter_version

    def add_iteration(
        self,
        global_batch: int,
        train_flops_per_sample: int,
        teacher_flops_per_sample: int = 0,
        operator_flops: int = 0,
    ) -> None:
        """Charge one training iteration of ``global_batch`` samples (the sum over all ranks).

        ``operator_flops`` are those of the whole iteration.
        """
        batch = whole("global_batch", global_batch)
        self._add(
            train_flops=batch * whole("train_flops_per_sample", train_flops_per_sample),
            teacher_flops=batch * whole("teacher_flops_per_sample", teacher_flops_per_sample),
            operator_flops=whole("operator_flops", operator_flops),
            num_samples_seen=batch,
            num_iters=1,
        )

    def add_eval(self, num_samples: int, forward_flops_per_sample: int) -> None:
        """Note an evaluation on ``num_samples`` samples; it is reported, in no total."""
        flops_per_sample = whole("forward_flops_per_sample", forward_flops_per_sample)
        self._add(eval_flops=whole("num_samples", num_samples) * flops_per_sample)

    def add_operator(self, flops: int) -> None:
        """Charge FLOPs spent on calibrating the growth operator, or on search."""
        self._add(operator_flops=whole("flops", flops))

    def note_spent(self, flops: int) -> None:
        """Note what all attempts at this run have spent: what is more than its cost was lost."""
        lost = whole("flops", flops) - self.own.spent_flops
        if lost > 0:
            self._add(repeated_flops=lost)

    def _add(self, **amounts: int) -> None:
        own = self.own
        if not own.is_known:
            raise ValueError(
                f"run {self.run_id!r} is of unknown cost, nothing can be added to it: start a run "
                "of its own by Ledger.new(..., parents=[this])"
            )
        sums = {key: getattr(own, key) + amount for key, amount in amounts.items()}
        self.entries[self.run_id] = replace(own, **sums)

    @property
    def target_only(self) -> int:
        """(a) FLOPs of this run's own training."""
        return self.own.train_flops or 0

    @property
    def with_teachers(self) -> int:
        """(b) = (a) + this run's teachers, operator and search, in FLOPs.

        Learning an operator, and growing, have entries of their own, which trained no model: they
        belong here as long as only their like lie between them and this run.
        """
        found, waiting = {self.run_id}, list(self.own.parents)
        while waiting:
            entry = self.entries[waiting.pop()]
            if entry.trains_no_model and entry.run_id not in found:
                found.add(entry.run_id)
                waiting += entry.parents
        return sum(self.entries[run_id].all_flops for run_id in found)

    @property
    def total(self) -> int:
        """(c): teachers, operators and training of this run and of every ancestor, each once."""
        return sum(entry.all_flops for entry in self.entries.values())

    @property
    def spent(self) -> int:
        """``total``, and what was trained again after kills and failures, as far as is known."""
        return sum(entry.spent_flops for entry in self.entries.values())

    @property
    def unknown_parents(self) -> tuple[str, ...]:
        """Run ids, at any depth, whose cost is unknown and therefore not in `total`."""
        return tuple(key for key, entry in self.entries.items() if not entry.is_known)

    @property
    def is_lower_bound(self) -> bool:
        """Whether `total` leaves out some run of unknown cost."""
        return bool(self.unknown_parents)

    def summary(self) -> dict[str, Any]:
        """The three totals and what goes with them, in PFLOPs (1e15), as plain types."""
        own = self.own
        return {
            "target_only_pflops": self.target_only / 1e15,
            "with_teachers_pflops": self.with_teachers / 1e15,
            "total_pflops": self.total / 1e15,
            "total_is_lower_bound": self.is_lower_bound,
            "unknown_parents": [self.entries[key].name for key in self.unknown_parents],
            "eval_pflops": own.eval_flops / 1e15,
            "num_samples_seen": own.num_samples_seen,
            "num_iters": own.num_iters,
            "num_ancestors": len(self.entries) - 1,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, exact: whole FLOPs stay integers."""
        entries = {
            key: {**asdict(entry), "parents": list(entry.parents)}
            for key, entry in self.entries.items()
        }
        return {
            "schema": SCHEMA,
            "convention": self.convention,
            "run_id": self.run_id,
            "entries": entries,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "ledger") -> Ledger:
        """Inverse of `to_dict`; ``where`` (a file name, say) opens the error messages.

        A ledger of another convention can be read and reported, but not become a parent. One of
        an older schema is read as of the present one, its totals as they were.
        """
        check_keys(data, {"schema", "convention", "run_id", "entries"}, where)
        if data["schema"] not in range(1, SCHEMA + 1):
            raise ValueError(
                f"{where}: schema is {data['schema']!r}, this version reads 1 to {SCHEMA}"
            )
        if not isinstance(data["entries"], Mapping):
            raise ValueError(f"{where}: entries must be a dict, got {type(data['entries'])}")
        entries = {
            key: read_entry(value, key, data["schema"], f"{where}, entry {key!r}")
            for key, value in data["entries"].items()
        }
        missing = {p for e in entries.values() for p in e.parents} - set(entries)
        if missing:
            raise ValueError(f"{where}: parents {sorted(missing)} are named but have no entry")
        if not isinstance(data["run_id"], str) or data["run_id"] not in entries:
            raise ValueError(f"{where}: no entry of its own run {data['run_id']!r}")
        return cls(data["run_id"], entries, convention=data["convention"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and self.to_dict() == other.to_dict()

    __hash__ = None  # it changes with every iteration

    def __repr__(self) -> str:
        total = format_flops(self.total, lower_bound=self.is_lower_bound)
        return f"Ledger({self.run_id!r}, {len(self.entries) - 1} ancestors, total {total})"


def _later(a: Entry, b: Entry) -> Entry:
    if a == b:
        return a
    if a.is_known != b.is_known:  # what somebody did record beats what nobody did
        return a if a.is_known else b
    same = ("kind", "parents", "name", "counter_version")
    if all(getattr(a, key) == getattr(b, key) for key in same):
        pairs = [(getattr(a, c) or 0, getattr(b, c) or 0) for c in COUNTS]
        if all(x <= y for x, y in pairs):
            return b
        if all(x >= y for x, y in pairs):
            return a
    raise ValueError(
        f"two different runs have the id {a.run_id!r} and neither continues the other: {a} and "
        f"{b}. Give every run an id of its own"
    )
