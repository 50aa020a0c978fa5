"""Tables in LaTeX are read as the same rows as plain ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from actlab.errors import TableError
from actlab.published.text_file import read_cells

TABLE = r"""
\begin{table}[t]
\centering % 5 seeds & more
\caption{Accuracy (\%) of R\&D.}
\begin{tabular}{lcc}
\toprule
Method & Accuracy (\%) & runs \\
\cmidrule(lr){2-3}
ReLU & $91.20 \pm 0.31$ & 5 \\ % ours
Swish\_1 & 91.30$_{\pm 0.28}$
  & 5 \\
\textbf{Mish} & \textbf{92.9} {\small $\pm$ 0.2} & 5 \\[2pt] \hline
R\&D & -- & 3
\end{tabular}
\end{table}
"""


def read(tmp_path: Path, text: str):
    file = tmp_path / "table.tex"
    file.write_text(text, encoding="utf-8")
    return read_cells(file)


def test_markup_rules_and_comments_are_removed(tmp_path):
    table = read(tmp_path, TABLE)
    assert table.header == ("Method", "Accuracy (%)", "runs")
    assert [cells for _, cells in table.rows] == [
        ("ReLU", "91.20±0.31", "5"),
        ("Swish_1", "91.30±0.28", "5"),
        ("Mish", "92.9±0.2", "5"),
        ("R&D", "-", "3"),
    ]
    assert [TABLE.splitlines()[line - 1].split()[0] for line, _ in table.rows] == [
        "ReLU",
        "Swish\\_1",
        "\\textbf{Mish}",
        "R\\&D",
    ]


def test_rows_without_line_ends_between_them_are_told_apart(tmp_path):
    assert [cells for _, cells in read(tmp_path, r"a & b \\ x & 1 \\ y & 2 \\").rows] == [("x", "1"), ("y", "2")]


def test_cells_over_several_columns_are_refused_with_their_line(tmp_path):
    with pytest.raises(TableError, match=r"Line 2 of .*table.tex has \\multicolumn"):
        read(tmp_path, "a & b \\\\\n\\multicolumn{2}{c}{ours} & 1 \\\\\n")


def test_a_row_with_a_missing_cell_is_named(tmp_path):
    with pytest.raises(TableError, match=r"Line 2 .* has 2 cells, the header has 3"):
        read(tmp_path, "a & b & c \\\\\nx & 1 \\\\\n")


def test_commas_beside_an_ampersand_are_no_latex(tmp_path):
    assert read(tmp_path, "Method,Error\nR&D,5.1\n").rows == ((2, ("R&D", "5.1")),)
