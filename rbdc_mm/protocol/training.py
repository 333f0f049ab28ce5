"""A protocol's ``training`` option: in what its stages' recipe differs from the target's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from mmengine import Config

# What the plan settles, and what a stage that is another model would need.
_SETTLED = {"train_cfg", "param_scheduler", "randomness", "protocol", "runner_type", "work_dir",
            "load_from", "resume", "num_train_samples"}  # fmt: skip


@dataclass(frozen=True)
class Training:
    """How stages are trained, where that is not as the target from scratch.

    Attributes:
        schedule: of the learning rate: ``restart`` gives every stage the whole of it, scaled to its
            epochs; ``continue`` spreads one over the epochs from a leaf to the target, so that a
            grown model goes on where its parents ended.
        peak: learning rate of what is grown, relative to the config's.
        warmup: length of the warm-up of what is grown, relative to the config's; 0 for none.
        parent_cfg: merged into the config of every model below the target, as ``--cfg-options``
            are: its augmentation or weight decay, say.
    """

    schedule: Literal["restart", "continue"] = "restart"
    peak: float = 1.0
    warmup: float = 1.0
    parent_cfg: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.schedule not in ("restart", "continue"):
            raise ValueError(
                f"protocol.training.schedule={self.schedule!r}: wanted 'restart' or 'continue'"
            )
        if not self.peak > 0:
            raise ValueError(f"protocol.training.peak={self.peak!r}: wanted a factor above 0")
        if not self.warmup >= 0:
            raise ValueError(
                f"protocol.training.warmup={self.warmup!r}: wanted a factor, 0 or more"
            )
        if self.schedule == "continue" and (self.peak, self.warmup) != (1.0, 1.0):
            raise ValueError(
                f"protocol.training: peak={self.peak}, warmup={self.warmup} are of stages that "
                "restart their schedule, with schedule='continue' no grown model has either"
            )
        for key in self.parent_cfg:
            top = key.partition(".")[0]
            if top in _SETTLED or (key == "model" and "backbone" in self.parent_cfg[key]):
                raise ValueError(
                    f"protocol.training.parent_cfg sets {key}, which the plan settles: leave it out"
                )
            if key.startswith("model.backbone"):
                raise ValueError(
                    f"protocol.training.parent_cfg sets {key}: the plan says what is below the "
                    "target"
                )

    def for_parents(self, cfg: Mapping[str, Any]) -> dict[str, Any]:
        """A plain config with what models below the target have otherwise."""
        changed = Config(dict(cfg))
        changed.merge_from_dict(dict(self.parent_cfg))
        return changed._cfg_dict.to_dict()

    def started(self, cfg: Mapping[str, Any]) -> dict[str, Any]:
        """A plain config, on the scratch schedule, with the peak and warm-up of what is grown."""
        changed = dict(cfg)
        if self.peak != 1.0:
            wrapper = dict(changed["optim_wrapper"])
            optimizer = dict(wrapper["optimizer"])
            optimizer["lr"] *= self.peak
            changed["optim_wrapper"] = {**wrapper, "optimizer": optimizer}
        if self.warmup != 1.0:
            changed["param_scheduler"] = _rescaled(changed.get("param_scheduler"), self.warmup)
        return changed


def training_of(option: Mapping[str, Any]) -> Training:
    """The protocol's option as an object; ValueError for unknown keys or bad values."""
    known = {f.name for f in fields(Training)}
    if unknown := sorted(set(option) - known):
        raise ValueError(
            f"protocol.training has no option {unknown}: the known ones are {sorted(known)}"
        )
    return Training(**option)


def with_ends(schedulers: Any, epochs: int) -> list[dict[str, Any]]:
    """Schedulers that say when they end, where they left it to the length of their run.

    Raises:
        ValueError: one that counts iterations does not say it.
    """
    ended = []
    for scheduler in [schedulers] if isinstance(schedulers, Mapping) else schedulers or ():
        if "end" not in scheduler and not scheduler.get("by_epoch", True):
            raise ValueError(
                f"protocol.training.schedule='continue': {scheduler['type']} counts iterations and "
                "has no end, which would be that of each stage: give it one, or by_epoch=True"
            )
        ended.append({"end": epochs, **scheduler})
    return ended


def _rescaled(schedulers: Any, factor: float) -> list[dict[str, Any]]:
    """Schedulers whose warm-up takes ``factor`` of its time; what follows it begins with its end.

    Raises:
        ValueError: none of them is a warm-up.
    """
    schedulers = [schedulers] if isinstance(schedulers, Mapping) else list(schedulers or ())
    first = next((s for s in schedulers if _is_warmup(s)), None)
    if first is None:
        raise ValueError(
            f"protocol.training.warmup={factor}: param_scheduler has no warm-up (a LinearLR or "
            "ConstantLR that begins at 0 and has an end)"
        )
    end = round(first["end"] * factor)
    changed = []
    for scheduler in schedulers:
        new = dict(scheduler)
        if scheduler is first:
            new["end"] = end
        elif scheduler.get("begin") == first["end"]:
            new["begin"] = end
            if scheduler.get("end") and scheduler.get("T_max") == scheduler["end"] - first["end"]:
                new["T_max"] = scheduler["end"] - end
        if scheduler is not first or end:
            changed.append(new)
    return changed


def _is_warmup(scheduler: Mapping[str, Any]) -> bool:
    kind = str(scheduler["type"]).rpartition(".")[2]
    return (
        kind.startswith(("Linear", "Constant"))
        and not scheduler.get("begin")
        and bool(scheduler.get("end"))
    )
