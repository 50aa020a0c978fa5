"""Files of studies, in the format that the file's ending says, such as a page, a table or a figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from actlab.errors import ActlabError
from actlab.report.charts.figure_file import FORMATS, write_study_figure
from actlab.report.content.arm_table import ArmTable, table
from actlab.report.html import study
from actlab.report.output_file import write_output

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Verdict

__all__ = ["PAGES", "TABLES", "write_studies"]

PAGES = (".html", ".htm")
TABLES: Mapping[str, Callable[[ArmTable], str]] = {
    ".csv": ArmTable.to_csv,
    ".md": ArmTable.to_markdown,
    ".tex": ArmTable.to_latex,
}


class Study(Protocol):
    """A study in a store."""

    def verdict(self) -> Verdict:
        """Return the verdict on the trials so far."""

    def rows(self) -> list[dict[str, Any]]:
        """Return every trial."""


def write_studies(studies: Sequence[Study], path: Path, *, figure: str = "differences", force: bool = False) -> Path:
    """Write studies to a file and return its path.

    Args:
        studies: one for a page or a figure; one or several for a table.
        path: file whose ending says what is written.
        figure: which figure.
        force: whether a file that ActLab did not write is replaced.

    Raises:
        ActlabError: the ending is unknown, several studies are to be one page or figure, or the file cannot be written or replaced.
    """
    ending = path.suffix.lower()
    if ending in TABLES:
        return write_output(path, f"{TABLES[ending](table(studies)).rstrip()}\n", what="table", force=force)
    if ending not in {*PAGES, *FORMATS}:
        endings = ", ".join([*PAGES[:1], *TABLES, *FORMATS])
        raise ActlabError(f"The ending of {str(path)!r} says no format; allowed are {endings}.")
    if len(studies) > 1:
        raise ActlabError(
            f"{path.name} shows one study; {len(studies)} were named. A table of several is written to a file that ends in "
            f"{', '.join(TABLES)}, or printed without --out."
        )
    one = studies[0]
    if ending in FORMATS:
        return write_study_figure(one.verdict(), one.rows(), path, figure, force=force)
    return study.write(one.verdict(), one.rows(), path, force=force)
