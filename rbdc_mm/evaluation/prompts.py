"""What classes are called, and the sentences that their names stand in."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from rbdc_mm.data.findings import some

TEMPLATES = ("openai_imagenet", "openai_imagenet_sub", "openai_cifar100", "vanilla")


def class_words(
    given: str | Sequence[str] | Mapping[str, str] | None, classes: Sequence[str] | None
) -> list[str]:
    """What classes are called in texts, in the order of their labels.

    Args:
        given: see ``ZeroShotAccuracy``'s ``class_names``.
        classes: of the data set, if it names them.

    Raises:
        ValueError: nobody names them; names for more, fewer or other classes.
    """
    if given == "imagenet":
        from mmpretrain.datasets.categories import IMAGENET_SIMPLE_CATEGORIES

        given = IMAGENET_SIMPLE_CATEGORIES
    if isinstance(given, str):
        raise ValueError(
            f"class_names={given!r}: wanted a list of names, a dict from the data set's names, or "
            "'imagenet'"
        )
    if given is None and not classes:
        raise ValueError(
            "the classes have no names: give ZeroShotAccuracy class_names, or the data set "
            "metainfo=dict(classes=...)"
        )
    if given is None:
        return [name.replace("_", " ") for name in classes]
    if isinstance(given, Mapping):
        if not classes:
            raise ValueError(
                "class_names is a dict, but the data set names no classes: give a list in the "
                "order of the labels"
            )
        unknown = [name for name in classes if name not in given]
        unknown_too = [name for name in given if name not in classes]
        if unknown or unknown_too:
            raise ValueError(
                f"class_names lacks {len(unknown)} of the data set's {len(classes)} classes "
                f"({some(unknown) or 'none'}) and has {len(unknown_too)} others "
                f"({some(unknown_too) or 'none'}): give a name to each class"
            )
        return [given[name] for name in classes]
    if classes and len(given) != len(classes):
        raise ValueError(
            f"class_names has {len(given)} names, but the data set has {len(classes)} classes: "
            "give one for each, in the order of the labels"
        )
    return list(given)


def prompts_of(templates: str | Sequence[str], words: Sequence[str]) -> list[list[str]]:
    """For each class its name in every template.

    Raises:
        ValueError: unknown templates, or one without ``{}``.
    """
    if isinstance(templates, str):
        if templates not in TEMPLATES:
            raise ValueError(
                f"templates={templates!r} is unknown: wanted a list of texts with {{}} in the "
                f"name's place, or one of {', '.join(TEMPLATES)}"
            )
        made = _openai()[templates]
        return [[template(word) for template in made] for word in words]
    if wrong := [one for one in templates if one.count("{}") != 1] or not templates:
        raise ValueError(
            f"templates={wrong if templates else list(templates)!r}: wanted texts with one {{}} in "
            "the name's place"
        )
    return [[one.replace("{}", word) for one in templates] for word in words]


@lru_cache(maxsize=1)
def _openai() -> dict[str, Sequence[Callable[[str], str]]]:
    """Those that mmpretrain has of OpenAI's, in a file whose package wants transformers."""
    folder = Path(find_spec("mmpretrain").origin).parent
    found = runpy.run_path(str(folder / "models/multimodal/clip/utils.py"))
    return {
        "openai_imagenet": found["OPENAI_IMAGENET_PROMPT"],
        "openai_imagenet_sub": found["OPENAI_IMAGENET_PROMPT_SUB"],
        "openai_cifar100": found["OPENAI_CIFAR100_PROMPT"],
        "vanilla": [lambda name: f"a photo of a {name}"],
    }
