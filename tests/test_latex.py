"""Tables as LaTeX, by hand and, where there is one, through a LaTeX."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from rbdc_mm.report.latex import escape, to_latex
from rbdc_mm.report.table import Table


def table(**changes) -> Table:
    options = dict(
        slug="classification",
        title="Accuracy & cost",
        head=["method", "config", "top-1 (%)", "total (PFLOPs)"],
        rows=[
            ["RBDC", "deit_b_rbdc", "81.50 ± 0.12", "≥ 28.2"],
            ["scratch", "–", "81.10", "–"],
        ],
        note="Saving: 1 − FLOPs / FLOPs of scratch.",
        align=["left", "left", "right", "right"],
        bold={(0, 2)},
        links={0: "configs/rbdc/deit_b_100%.py"},
    )
    return Table(**options | changes)


def test_a_table_by_hand():
    assert (
        to_latex(table())
        == r"""% needs \usepackage{booktabs}
\begin{table}
\centering
\caption{Accuracy \& cost}
\label{tab:classification}
\begin{tabular}{llrr}
\toprule
method & config & top-1 (\%) & total (PFLOPs) \\
\midrule
RBDC & \texttt{deit\_b\_rbdc} & \textbf{81.50 $\pm$ 0.12} & $\geq$ 28.2 \\
scratch & -- & 81.10 & -- \\
\bottomrule
\end{tabular}

\par\smallskip\footnotesize Saving: 1 $-$ FLOPs / FLOPs of scratch.
\end{table}
"""
    )


def test_methods_are_linked_below_a_root():
    text = to_latex(table(), root="https://example.org/tree/main/")
    url = r"https://example.org/tree/main/configs/rbdc/deit_b_100\%.py"
    assert rf"\href{{{url}}}{{RBDC}} &" in text
    assert text.startswith(r"% needs \usepackage{booktabs}, hyperref")
    assert text.count(r"\href") == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (r"a_b % c & d # e $", r"a\_b \% c \& d \# e \$"),
        ("~ ^ \\", r"\textasciitilde{} \textasciicircum{} \textbackslash{}"),
        ("{x}", r"\{x\}"),
        (r"\textbf{x}", r"\textbackslash{}textbf\{x\}"),
        ("a < b | c > d", r"a \textless{} b \textbar{} c \textgreater{} d"),
        ("−12.0% ≤ 3 × 32²", r"$-$12.0\% $\leq$ 3 $\times$ 32$^2$"),
    ],
)
def test_special_characters(text, wanted):
    assert escape(text) == wanted


def test_a_row_that_starts_with_a_bracket_is_no_option():
    rows = [["[1]", "x", "1", "2"], ["a", "[2]", "1", "2"]]
    text = to_latex(table(rows=rows, bold=set(), links={}))
    assert "{[}1] & " in text and r" & \texttt{[2]} & " in text


def test_it_compiles(tmp_path):
    latex = shutil.which("pdflatex")
    if latex is None:
        pytest.skip("no pdflatex here")
    wild = [[r"\ { } ~ ^ # $ % & _ < > |", "a_b", "±≥≤×−→²–—…", "1"], ["[1]", "–", "2", "3"]]
    body = to_latex(table(rows=wild, title="# 1_a"), root="https://example.org/a%20b")
    document = r"\documentclass{article}\usepackage{booktabs,hyperref}\begin{document}"
    (tmp_path / "t.tex").write_text(f"{document}\n{body}\n\\end{{document}}\n", encoding="utf-8")
    command = [latex, "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
