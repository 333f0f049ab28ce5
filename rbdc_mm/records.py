"""What every run leaves in its work dir: ``run.json``, written and read here alone, and its names.

Apart from everything else, so that tools which only aggregate need not load OpenMMLab.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from rbdc_mm.whole_files import write_text

RECORD = "run.json"  # see hooks.RunRecordHook
FINAL = "final.pth"  # the weights that were evaluated last, without optimiser state
SCHEMA = 2  # of RECORD; those of schema 1 can still be read

Number = int | float
MaybeText = str | None
MaybeInt = int | None


@dataclass(frozen=True)
class RunRecord:
    """One run: what was trained, how well, at what cost, on what.

    Attributes:
        finished: whether it came to its end.
        name: of the experiment.
        config: the config file.
        method: what tells the arms of a comparison apart.
        stage: of a protocol's plan (``name``, ``level``, ...), None for a plain run.
        dataset: what it trained on, in words.
        seed: of weights, data order and augmentation.
        num_params: of the model as it is published.
        macs_per_sample: of its forward.
        progress: epochs (iterations) done.
        unit: ``epoch`` or ``iteration``.
        history: progress -> metrics of an evaluation.
        ledger: see ``cost.Ledger``.
        wall_s: seconds that all attempts took; resources are explained in ``hooks.resources``.
        device: in words.
        versions: package -> version.
        schema: of the file that it was read from.
        config_hash: of its whole setting.
        operator: what its model was grown by, None for what was not.
        architecture: of the model, in words.
        num_classes: that it tells apart.
        commit, dirty: of the code.
        planned: epochs (iterations) that it will have.
        spent: progress -> FLOPs of all runs behind it until then.
        gpu_hours, core_hours, energy_j, peak_memory_bytes, peak_memory_of: resources.
        train_flops_per_sample: forward and backward, with what only training needs.
        resumed: from what it went on that it does not equal.
        ops: whose ops mmcv used.
        stopped: why it ended before its end.
        attempts: what each took that ran until it was stopped or killed, and the present one:
            when it was ``started``, and the resources above, which are their sums.
    """

    finished: bool
    name: str
    config: MaybeText
    method: MaybeText
    stage: dict | None
    dataset: str
    seed: MaybeInt
    num_params: int
    macs_per_sample: int
    progress: int
    unit: str
    history: dict
    ledger: dict
    wall_s: Number
    device: str
    versions: dict
    schema: int = SCHEMA
    # since schema 2; what a run of schema 1 has instead
    config_hash: str = ""
    operator: MaybeText = None
    architecture: str = ""
    num_classes: MaybeInt = None
    commit: MaybeText = None
    dirty: bool | None = None
    planned: MaybeInt = None
    spent: dict = field(default_factory=dict)
    gpu_hours: Number | None = None
    energy_j: Number | None = None
    peak_memory_bytes: Number | None = None
    peak_memory_of: MaybeText = None
    # where there is something to say
    core_hours: Number | None = None
    train_flops_per_sample: MaybeInt = None
    resumed: dict | None = None
    ops: MaybeText = None
    stopped: MaybeText = None
    attempts: list = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> RunRecord:
        """A run file, checked.

        Raises:
            ValueError: not JSON, another schema, or fields that are missing or of a wrong type;
                names the file.
        """
        try:
            return cls._of(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def _of(cls, content: Any) -> RunRecord:
        if not isinstance(content, dict):
            raise ValueError(f"wanted a JSON object, got {type(content).__name__}")
        if content.get("schema") not in (1, SCHEMA):
            raise ValueError(f"schema {content.get('schema')!r}, this version reads 1 and {SCHEMA}")
        first = content["schema"] == 1
        known = {k: content[k] for k in _TYPES if k in content and not (first and k in _SINCE_2)}
        needed = _ALWAYS if first else _ALWAYS | _SINCE_2
        wrong = [
            name
            for name, kind in _TYPES.items()
            if (name in needed and name not in known)
            or (name in known and not isinstance(known[name], kind))
        ]
        if wrong:
            raise ValueError(f"missing, or of a wrong type: {', '.join(wrong)}")
        record = cls(**known)
        record._check()
        return record

    def write(self, path: Path) -> None:
        """Writes the file, whole or not at all."""
        kept = {k: v for k, v in asdict(self).items() if k != "stopped" or v is not None}
        write_text(json.dumps(kept, indent=1) + "\n", path)

    def _check(self) -> None:
        if self.stage is not None and not isinstance(self.stage.get("name"), str):
            raise ValueError(f"stage has no name: {self.stage!r}")
        for step, metrics in self.history.items():
            if not step.isdecimal() or not isinstance(metrics, dict):
                raise ValueError(f"history[{step!r}] is not the metrics of an epoch or iteration")
            if not all(isinstance(value, Number) for value in metrics.values()):
                raise ValueError(f"history[{step!r}] has a metric that is no number")
        if not all(isinstance(flops, int) for flops in self.spent.values()):
            raise ValueError("spent has FLOPs that are no whole numbers")


_TYPES: dict[str, Any] = get_type_hints(RunRecord)
_OPTIONAL = {"schema", "core_hours", "train_flops_per_sample", "resumed", "ops", "stopped"}
_OPTIONAL |= {"attempts"}
_ALWAYS = {f.name for f in fields(RunRecord) if f.default is f.default_factory is MISSING}
_SINCE_2 = set(_TYPES) - _ALWAYS - _OPTIONAL
