"""The inventory in a terminal: every activation of a model, what was written, what ran, how often, on what, and its share of the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.terminal.verdict import grid

if TYPE_CHECKING:
    from actlab.nn.sites.find import Site

__all__ = ["as_data", "sites_table"]

_HEADINGS = ("depth", "path", "written", "ran", "calls", "inputs", "share")
_SHAPES_SHOWN = 2


def as_data(sites: Sequence[Site]) -> list[dict[str, Any]]:
    """Return the sites as data for JSON."""
    return [asdict(site) for site in sites]


def sites_table(name: str, sites: Sequence[Site]) -> list[RenderableType]:
    """Return what a terminal shows: a line, the table, and why some of it cannot be replaced."""
    ran = any(site.calls is not None for site in sites)
    shown = [Text(_headline(name, sites), style="bold")]
    if not sites:
        return [*shown]
    headings = [heading for heading in _HEADINGS if ran or heading in {"depth", "path", "written"}]
    cells = [[cell for cell, heading in zip(_cells(s), _HEADINGS, strict=True) if heading in headings] for s in sites]
    table = grid(headings, cells, right=("depth", "calls", "share"))
    return [*shown, Padding(table, (1, 0)), *(Text(line, style="dim") for line in _remarks(sites, ran=ran))]


def _headline(name: str, sites: Sequence[Site]) -> str:
    replaceable = sum(site.depth is not None for site in sites)
    share = sum(site.share for site in sites if site.share is not None)
    timed = any(site.share is not None for site in sites)
    took = f"; they take {share:.0%} of a forward pass" if timed else ""
    return f"{name}: {len(sites)} activations, of which a swap takes {replaceable}{took}"


def _cells(site: Site) -> tuple[str, ...]:
    return (
        "" if site.depth is None else f"@{site.depth}",
        site.path,
        site.written or "(only a run shows it)",
        _ran(site),
        "" if site.calls is None else str(site.calls),
        _shapes(site),
        "" if site.share is None else f"{site.share:.1%}",
    )


def _ran(site: Site) -> str:
    if site.calls is None:
        return "not known"
    if site.calls == 0:
        return "nothing"
    now = site.spec or site.name or "?"
    return "the same" if now == site.written else now


def _shapes(site: Site) -> str:
    shown = [" x ".join(map(str, shape)) or "scalar" for shape in site.shapes[:_SHAPES_SHOWN]]
    more = len(site.shapes) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _remarks(sites: Sequence[Site], *, ran: bool) -> Iterator[str]:
    """Yield what is to be known: each reason once, with the places it holds for."""
    reasons: dict[str, list[str]] = {}
    for site in sites:
        if site.reason:
            reasons.setdefault(site.reason, []).append(site.path)
        elif site.output:
            reasons.setdefault("the model returns its result; a swap takes it only by its path", []).append(site.path)
    for reason, paths in reasons.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        yield f"not replaced: {paths[0]}{more}: {reason}"
    for site in sites:
        if site.warning:
            yield f"careful: {site.path}: {site.warning}"
    if not ran:
        yield "Read from the source: give the file example_inputs, and what really runs is shown, how often and on what."
