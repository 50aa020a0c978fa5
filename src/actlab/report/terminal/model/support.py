"""Terminal view of what a target of deployment runs of a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.content.format import plural
from actlab.report.terminal.text_table import ListTable

if TYPE_CHECKING:
    from actlab.export.support.judgement import Replacement, SiteSupport, Support

__all__ = ["support_view"]

HEADINGS = ("site", "function", "there", "as")


def support_view(found: Support) -> RenderableType:
    """Return what a target runs for the terminal: the sites, then what takes the place of those that it does not run."""
    return Group(*_parts(found))


def _parts(found: Support) -> Iterator[RenderableType]:
    yield Text(_headline(found), style="bold")
    yield Text(f"{found.target} {found.version}, {found.arithmetic} · {found.source}", style="dim")
    rows = [_row(site) for site in found.sites]
    yield Padding(ListTable(headings=HEADINGS, rows=rows, middle=("site",), end=("as",)), (1, 0))
    for site in found.sites:
        if not site.runs and site.spec is not None:
            yield Text(f"{site.site} ({site.spec}):")
            yield from (Text(f"  - {_replacement(each)}") for each in site.replacements)
            if not site.replacements:
                yield Text("  - nothing that is known")
    yield from (Text(f"- {note}") for note in found.notes)


def _headline(found: Support) -> str:
    if not found.missing:
        return f"{found.model}: {found.target} runs all of its {plural(len(found.sites), 'activation')}"
    return f"{found.model}: {found.target} does not run {len(found.missing)} of {plural(len(found.sites), 'activation')} as they are"


def _row(site: SiteSupport) -> tuple[str, ...]:
    there = {"operator": "runs", "operators": "runs", "another function": "another function", "none": "does not run"}[
        site.way
    ]
    return site.site, site.spec or "?", there, site.how


def _replacement(each: Replacement) -> str:
    if each.way != "morph":
        return each.how
    return f"{each.spec}: largest difference {each.largest:.2g} from -8 to 8, {each.rms:.2g} for N(0, 1) inputs: {each.how}"
