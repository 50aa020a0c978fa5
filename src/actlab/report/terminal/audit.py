"""Terminal view of a data audit, with findings and notes, what to do, and what was not checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.content.format import percent
from actlab.report.terminal.text_table import below

if TYPE_CHECKING:
    from actlab.evaluate.audit.finding import DataAudit, Finding

__all__ = ["audit_view"]


def audit_view(audit: DataAudit) -> RenderableType:
    """Return an audit for the terminal, with its summary and findings first."""
    return Group(*_parts(audit))


def _parts(audit: DataAudit) -> Iterator[RenderableType]:
    yield Text(f"{audit.name}: {audit.sentence}", style="bold")
    for number, finding in enumerate(audit.findings, 1):
        yield from _finding(finding, f"{number}. ", "bold")
    if audit.notes:
        yield below("Notes", style="bold")
        for note in audit.notes:
            yield from _finding(note, "   ", "")
    yield below(_read(audit))
    if audit.unchecked:
        yield Text(
            f"Not checked: {'; '.join(f'{name} ({why})' for name, why in audit.unchecked.items())}.", style="dim"
        )
    if audit.sampled:
        shares = ", ".join(f"{name} of {percent(share)}" for name, share in audit.sampled.items())
        yield Text(f"By a sample, with counts scaled up: {shares} of a split at least.", style="dim")


def _finding(finding: Finding, mark: str, style: str) -> Iterator[RenderableType]:
    yield below(f"{mark}{finding.kind}{_where(finding)}", style=style)
    yield Padding(Text(finding.sentence), (0, 0, 0, 3))
    if finding.examples:
        yield Padding(Text(f"{_heading(finding)}: {_examples(finding)}", style="dim"), (0, 0, 0, 3))
    yield Padding(Text(f"-> {finding.remedy}"), (0, 0, 0, 3))


def _where(finding: Finding) -> str:
    names = tuple(dict.fromkeys(finding.splits))
    return f" ({' and '.join(names)})" if names else ""


def _heading(finding: Finding) -> str:
    if isinstance(finding.examples[0], tuple):
        return f"Pairs (index in {finding.splits[0]}, in {finding.splits[-1]})"
    return f"Indices in {finding.splits[0]}" if finding.splits else "Indices"


def _examples(finding: Finding) -> str:
    more = ", ..." if finding.count > len(finding.examples) else ""
    return f"{', '.join(map(str, finding.examples))}{more}"


def _read(audit: DataAudit) -> str:
    sizes = ", ".join(f"{name} {size:,}" for name, size in audit.sizes.items())
    kinds = ", ".join(f"{name} as {kind}" for name, kind in audit.kinds.items())
    rate = f"Each check reports something in data without a fault in {percent(audit.error_rate)} of cases at most."
    return f"Read: {sizes}; inputs: {kinds}. {rate}"
