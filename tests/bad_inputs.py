"""Every kind of bad input that was thought of, and the one message that it gets.

The cases stand in ``bad_inputs_<topic>.py`` beside this file, each in a list ``CASES``; a test runs
them all, and ``python tests/bad_inputs.py`` writes what they print to
``results/reliability/bad_inputs.md``.
"""

from __future__ import annotations

import importlib
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLE = HERE.parent / "results" / "reliability" / "bad_inputs.md"


@dataclass(frozen=True)
class BadInput:
    """One case.

    Attributes:
        given: what is wrong, in a few words for the table.
        provoke: makes the input below an empty folder, uses it as a user would, and returns the
            message (of the error, or of the warning where going on is right).
        message: a regular expression that the message must match.
    """

    given: str
    provoke: Callable[[Path], str]
    message: str


def topics() -> dict[str, list[BadInput]]:
    """All cases by topic."""
    names = sorted(path.stem for path in HERE.glob("bad_inputs_*.py"))
    return {
        name.removeprefix("bad_inputs_").replace("_", " "): importlib.import_module(name).CASES
        for name in names
    }


def told(case: BadInput, folder: Path) -> str:
    """The message, with the temporary folder and the checkout's place left out of its paths."""
    message = case.provoke(folder).replace(f"{folder}/", "").replace(str(folder), ".")
    return message.replace(str(HERE.parent), ".")


def table() -> str:
    """Markdown: what was given, what was said."""
    lines = ["# Bad inputs and what they are told", "", "`python tests/bad_inputs.py`", ""]
    for topic, cases in topics().items():
        lines += [f"## {topic.capitalize()}", "", "| given | message |", "|---|---|"]
        for case in cases:
            with tempfile.TemporaryDirectory() as folder:
                message = told(case, Path(folder).resolve())
            message = re.sub(r"\s+", " ", message).strip().replace("|", r"\|")
            lines.append(f"| {case.given} | {message} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(table(), encoding="utf-8")
    print(f"wrote {TABLE}")
