"""Tables for a paper: booktabs, to be \\input."""

from __future__ import annotations

import re

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
    lines = [
        r"% needs \usepackage{booktabs}" + (", hyperref" if root and table.links else ""),
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.title)}}}",
        rf"\label{{tab:{table.slug}}}",
        rf"\begin{{tabular}}{{{''.join(side[0] for side in table.align)}}}",
        r"\toprule",
        _line(escape(head) for head in table.head),
        r"\midrule",
        *(_line(_cells(table, n, root)) for n in range(len(table.rows))),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if table.note:
        lines += ["", rf"\par\smallskip\footnotesize {escape(table.note)}"]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _line(cells) -> str:
    # a row that starts with [ would be taken for an option of the \\ before it
    return re.sub(r"^\[", "{[}", " & ".join(cells)) + r" \\"


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
        cells.append(text)
    return cells
