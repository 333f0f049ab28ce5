"""A table for people, before it is Markdown, LaTeX or HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd


@dataclass(frozen=True)
class Table:
    """Cells as text; what is bold and what is linked stands beside them.

    Attributes:
        slug: name of its files, e.g. ``'classification'``.
        title: what stands over it.
        head: one per column, with the unit in brackets where there is one.
        rows: each of ``len(head)`` cells, plain text, ``–`` where there is nothing.
        note: how to read it, below it.
        align: one per column.
        bold: (row, column) of the best, from 0.
        links: row -> path of the config, from the repository's root, that the cell in the column
            ``'method'`` is linked to.
    """

    slug: str
    title: str
    head: list[str]
    rows: list[list[str]]
    note: str = ""
    align: list[Literal["left", "right"]] = field(default_factory=list)
    bold: set[tuple[int, int]] = field(default_factory=set)
    links: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.align and len(self.align) == len(self.head), (self.slug, self.align)
        assert all(len(row) == len(self.head) for row in self.rows), self.slug
        assert all(0 <= r < len(self.rows) and 0 <= c < len(self.head) for r, c in self.bold)
        assert not self.links or "method" in self.head, self.slug

    @property
    def method_column(self) -> int | None:
        """Of the cells that ``links`` are for."""
        return self.head.index("method") if "method" in self.head else None

    def to_markdown(self, root: str = "") -> str:
        """Title, table and note; ``root`` is the way from the file to the repository's root.

        Without a root the methods are not linked, as for a terminal.
        """
        cells = [[cell.replace("|", "\\|") for cell in row] for row in self.rows]
        for row, column in self.bold:
            cells[row][column] = f"**{cells[row][column]}**"
        for row, path in self.links.items() if root else ():
            column = self.method_column
            cells[row][column] = f"[{cells[row][column]}]({root.rstrip('/')}/{path})"
        frame = pd.DataFrame(cells, columns=self.head)
        # as text: tabulate would turn '2.300' into 2.3 and pad '98.66 ± 0.12' at the point
        table = frame.to_markdown(index=False, disable_numparse=True, colalign=self.align)
        return "\n\n".join(part for part in (f"## {self.title}", table, self.note) if part) + "\n"
