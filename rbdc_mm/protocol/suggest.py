"""Proposes a CoM-PT chain for a target: sizes, epochs, and the rule behind them.

CoM-PT (arXiv 2604.12391) leaves chain design open but for its own chains, where neighbours differ
by 2x to 4x in parameters; the rules here are the project's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mmengine import Config

from rbdc_mm.arch import Arch
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.image_text import is_image_text
from rbdc_mm.protocol.budgets import falling_epochs
from rbdc_mm.protocol.chain import CoMPT
from rbdc_mm.protocol.costs import num_parameters, scratch_epochs_of
from rbdc_mm.protocol.plan import Plan

_STEP = (2.0, 4.0)  # least and largest ratio of parameters between neighbours
_MOST = 3  # models below the target


@dataclass(frozen=True)
class Suggestion:
    """A proposed chain.

    Attributes:
        plan: its plan.
        rule: in words, why these sizes and epochs.
        protocol: the config's ``protocol``.
    """

    plan: Plan
    rule: str
    protocol: Mapping[str, Any]

    def snippet(self) -> str:
        """The protocol as Python, to be pasted into a config."""
        lines = [f"    {key}={_python(value)}," for key, value in self.protocol.items()]
        runner = 'runner_type = "rbdc_mm.ProtocolRunner"'
        return "\n".join([runner, "protocol = dict(", *lines, ")"])


def suggest(cfg: Config, num_samples: int, budget: float | None = None) -> Suggestion:
    """Proposes a chain for a config's target.

    Args:
        cfg: a classifier's config, on the schedule that it would train on alone. Options of a CoMPT
            protocol in it are kept, but for chain and policy; other protocols do not count.
        num_samples: training images an epoch.
        budget: of the whole chain, as a fraction of training the target alone; None for the epochs
            that the rule gives.

    Raises:
        ValueError: nothing smaller fits the rule, or a budget too small.
    """
    if budget is not None and budget <= 0:
        raise ValueError(f"budget={budget}: wanted a fraction of training the target alone, > 0")
    target = arch_of(cfg.model)
    arches = chain_below(target)
    schedule = scratch_epochs_of(cfg)
    epochs = falling_epochs(len(arches) + 1, schedule)
    policy: dict[str, Any] = dict(type="epochs", epochs=epochs)
    if budget is not None:
        policy = dict(type="proportional", budget=budget, epochs=epochs)
    given = dict(cfg.get("protocol") or {})
    kept = given if given.get("type") == "CoMPT" else {}
    kept = {k: v for k, v in kept.items() if k not in ("type", "chain", "policy")}
    taught = {} if is_image_text(cfg.model) else dict(alpha=1.0, feature="pre_logits")
    options = dict(operator="embed", distillation=taught) | kept
    chain = [arch.size_within(target) for arch in arches]
    plan = CoMPT(chain=chain, policy=policy, **options).plan(cfg, num_samples)
    protocol = dict(type="CoMPT", chain=chain, policy=policy) | options
    return Suggestion(plan, _rule([*arches, target], epochs, schedule, budget, plan), protocol)


def chain_below(target: Arch) -> list[Arch]:
    """The models below the target, smallest first.

    Raises:
        ValueError: none that the rule allows.
    """
    below: list[Arch] = []
    larger = target
    while len(below) < _MOST:
        ratios = {arch: _ratio(arch, larger) for arch in larger.smaller(target)}
        allowed = {a: ratio for a, ratio in ratios.items() if _STEP[0] <= ratio <= _STEP[1]}
        if not allowed:
            break
        larger = max(allowed, key=lambda arch: allowed[arch])
        below.insert(0, larger)
    if not below:
        raise ValueError(
            f"nothing to suggest below {target}: no model of its kind has {_STEP[0]:g} to "
            f"{_STEP[1]:g} times fewer parameters; give protocol.chain yourself"
        )
    return below


def _ratio(small: Arch, large: Arch) -> float:
    return num_parameters(large) / num_parameters(small)


def _rule(
    arches: list[Arch], epochs: tuple[int, ...], schedule: int, budget: float | None, plan: Plan
) -> str:
    sizes = " -> ".join(f"{a.label()} ({num_parameters(a) / 1e6:.3g} M)" for a in arches)
    ratios = [f"{_ratio(small, large):.2g}x" for small, large in pairwise(arches)]
    lines = [
        f"sizes: {sizes}",
        f"  each model has at most {_STEP[1]:g} times fewer parameters than the next, as near to "
        f"that as can be and at least {_STEP[0]:g} times ({', '.join(ratios)}): "
        f"{arches[-1].smaller_by}; no more than {_MOST} models below the target",
        f"epochs: {' : '.join(map(str, epochs))}",
        f"  300 : 60 : 40 : 36 on the config's own {schedule} epochs, smallest model first; longer "
        "chains repeat the last",
    ]
    if budget is not None:
        lines.append(
            f"  scaled by one factor to {budget:g} of training the target alone: "
            f"{' : '.join(str(stage.epochs) for stage in plan.stages)}"
        )
    return "\n".join(lines)


def _python(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"dict({', '.join(f'{key}={_python(item)}' for key, item in value.items())})"
    if isinstance(value, list | tuple):
        items = ", ".join(map(_python, value))
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return f"({items}{comma})" if isinstance(value, tuple) else f"[{items}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)
