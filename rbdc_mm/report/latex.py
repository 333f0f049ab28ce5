"""Tables for a paper: booktabs, to be \\input."""

from __future__ import annotations

import re

import pandas as pd

from rbdc_mm.report.table import Table

_SPECIAL = {
    **{char: f"\\{char}" for char in "_%&#{}$"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    # these three are other characters in LaTeX's default font encoding
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "×": r"$\times$",
    "−": "$-$",
    "→": r"$\to$",
    "²": r"$^2$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
}


def escape(text: str) -> str:
    """``text`` such that LaTeX sets it as it is."""
    return "".join(_SPECIAL.get(char, char) for char in text)


def to_latex(table: Table, root: str = "") -> str:
    """A ``table`` environment: caption, head, rows, note; the label is ``tab:<slug>``.

    Needs the packages booktabs and, where there are links, hyperref. Config names are set in
    ``\\texttt``.

    Args:
        root: what the links' paths are put behind, e.g. the repository's address; without one the
            methods are not linked.
    """
    cells = [_cells(table, n, root) for n in range(len(table.rows))]
    frame = pd.DataFrame(cells, columns=[escape(head) for head in table.head])
    text = frame.style.hide(axis="index").to_latex(
        hrules=True,
        position_float="centering",
        column_format="".join(side[0] for side in table.align),
        caption=escape(table.title),
        label=f"tab:{table.slug}",
    )
    if table.note:
        end = "\\end{table}\n"
        note = rf"\par\smallskip\footnotesize {escape(table.note)}"
        text = f"{text.removesuffix(end)}\n{note}\n{end}"
    needs = r"% needs \usepackage{booktabs}" + (", hyperref" if root and table.links else "")
    return f"{needs}\n{text}"


def _cells(table: Table, row: int, root: str) -> list[str]:
    cells = []
    for column, cell in enumerate(table.rows[row]):
        text = escape(cell)
        if table.head[column] == "config" and cell != "–":
            text = rf"\texttt{{{text}}}"
        if (row, column) in table.bold:
            text = rf"\textbf{{{text}}}"
        if root and column == table.method_column and row in table.links:
            url = re.sub(r"([%#&\\])", r"\\\1", f"{root.rstrip('/')}/{table.links[row]}")
            text = rf"\href{{{url}}}{{{text}}}"
        # at the start of a row [ would be taken for an option of the line break before it
        cells.append(re.sub(r"^\[", "{[}", text) if column == 0 else text)
    return cells
