"""A protocol's plan in words: architectures by name, and the tree or chain of models as text."""

from __future__ import annotations

from fractions import Fraction

from rbdc_mm.protocol.plan import Plan, SourceFile, Stage
from rbdc_mm.report.words import epochs_words

_GROWN = {"couple": "coupled", "embed": "embedded"}


def model_words(model: Stage | SourceFile, plan: Plan) -> list[str]:
    """Architecture, its size, and how long it trains."""
    if isinstance(model, Stage) and model.kind == "operator":
        return [f"maps of {model.operator}", model.duration]
    name, size = model.arch.words()
    trained = "given" if isinstance(model, SourceFile) else epochs_words(model.epochs)
    return [name, size, trained]


def grown_words(stage: Stage) -> str:
    """How a stage's model comes out of its parents: ``'embedded'``, ``'coupled x 2'``."""
    words = _GROWN.get(stage.operator, f"grown by {stage.operator}")
    copies = len(stage.parents) if len(set(stage.parents)) == 1 else 1
    return f"{words} x {copies}" if copies > 1 else words


def edge_words(name: str, stage: Stage) -> str:
    """What the model ``name`` is to a stage that needs it."""
    if name == stage.learned:
        return "how it grows"
    words = [grown_words(stage)] if name in stage.parents else []
    if stage.kind == "operator":
        words = ["source"]
    return ", ".join(words + (["teacher"] if name in stage.teachers else []))


def tree_text(plan: Plan) -> str:
    """The target on top; under a model stands what it starts and learns from."""
    is_tree = all(edge_words(n, s) == "coupled" for s in plan.stages for n in s.needs)
    pieces = ["tree (models are coupled into the one they hang from)"]
    if not is_tree:
        pieces = ["tree (under a model stands what it starts and learns from)"]
    shown: set[str] = set()

    def add(model: Stage | SourceFile, edge: str, first: str, rest: str) -> None:
        role = "" if is_tree or not edge else f" ({edge})"
        words = ", ".join(model_words(model, plan))
        if model.name in shown:
            words = "see above"
        shown.add(model.name)
        pieces.append(f"{first}{model.name}{role}: {words}")
        needs = model.needs if isinstance(model, Stage) and words != "see above" else ()
        for n, name in enumerate(needs, 1):
            last = n == len(needs)
            fork, bar = ("└── ", "    ") if last else ("├── ", "│   ")
            add(plan.model(name), edge_words(name, model), rest + fork, rest + bar)

    add(plan.target, "", "", "")
    weights = leaf_weights(plan)
    if len(set(weights.values())) > 1:
        listed = ", ".join(f"{name} {weight}" for name, weight in weights.items())
        pieces.append(f"a coupling averages its parents, so that leaves weigh {listed}")
    return "\n".join(pieces)


def leaf_weights(plan: Plan) -> dict[str, Fraction]:
    """What each leaf's logits weigh in the mean that a tree of couplings begins with.

    A coupling averages its parents, whatever they were coupled from: leaves of uneven depth weigh
    unequally. Empty where the target does not come from couplings.
    """
    stages = {stage.name: stage for stage in plan.stages}
    found: dict[str, Fraction] = {}

    def add(name: str, weight: Fraction) -> None:
        stage = stages.get(name)
        parents = stage.parents if stage and stage.joins_parents else ()
        if not parents:
            found[name] = found.get(name, Fraction(0)) + weight
        for parent in parents:
            add(parent, weight / len(parents))

    add(plan.target.name, Fraction(1))
    return {} if plan.target.name in found else found
