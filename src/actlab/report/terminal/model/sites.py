"""Terminal table of a model's activation sites, with calls, shapes and share of the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.content.format import plural
from actlab.report.terminal.text_table import ListTable

if TYPE_CHECKING:
    from actlab.nn.sites.site import Site, Sites

__all__ = ["model_sites_table", "sites_data", "sites_table"]

_HEADINGS = ("depth", "site", "in the code", "ran", "calls", "input shapes", "time")
_ALWAYS_SHOWN = _HEADINGS[:3]
_SHAPES_SHOWN = 2


def sites_data(sites: Sequence[Site]) -> list[dict[str, Any]]:
    """Return the sites as data for JSON."""
    return [asdict(site) for site in sites]


def sites_table(
    name: str, sites: Sequence[Site], *, unseen: str = "Define example_inputs in the file"
) -> RenderableType:
    """Return the sites for the terminal, with a summary above the table and the sites that cannot be replaced below.

    Args:
        name: of the model.
        sites: of the model.
        unseen: what to do to see which functions run, where nothing ran.
    """
    ran = any(site.calls is not None for site in sites)
    headline = Text(_headline(name, sites), style="bold")
    if not sites:
        return headline
    headings = [heading for heading in _HEADINGS if ran or heading in _ALWAYS_SHOWN]
    cells = [[cell for cell, heading in zip(_cells(s), _HEADINGS, strict=True) if heading in headings] for s in sites]
    table = ListTable(
        headings=headings,
        rows=cells,
        right=("depth", "calls", "time"),
        middle=("site",),
        end=("in the code", "ran", "input shapes"),
    )
    remarks = _remarks(sites, unseen="" if ran else unseen)
    return Group(headline, Padding(table, (1, 0)), *(Text(line, style="dim") for line in remarks))


def model_sites_table(sites: Sites) -> RenderableType:
    """Return the sites of a model under the name of its class."""
    return sites_table(sites.model, sites, unseen="Give a batch, find(model, x),")


def _headline(name: str, sites: Sequence[Site]) -> str:
    replaceable = sum(site.depth is not None for site in sites)
    share = sum(site.share for site in sites if site.share is not None)
    timed = any(site.share is not None for site in sites)
    time = f"; together {share:.0%} of the forward pass" if timed else ""
    return f"{name}: {plural(len(sites), 'activation')}, of which a swap replaces {replaceable}{time}"


def _cells(site: Site) -> tuple[str, ...]:
    return (
        "" if site.depth is None else f"@{site.depth}",
        site.path,
        site.written or "(found at run time)",
        _ran(site),
        "" if site.calls is None else str(site.calls),
        _shapes(site),
        "" if site.share is None else f"{site.share:.1%}",
    )


def _ran(site: Site) -> str:
    if site.calls is None:
        return "unknown"
    if site.calls == 0:
        return "not called"
    running = site.spec or site.name or "?"
    return "same" if running == site.written else running


def _shapes(site: Site) -> str:
    shown = [" x ".join(map(str, shape)) or "scalar" for shape in site.shapes[:_SHAPES_SHOWN]]
    more = len(site.shapes) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _remarks(sites: Sequence[Site], *, unseen: str) -> Iterator[str]:
    """Yield each reason why sites are not replaced once, with its sites, and the warnings."""
    reasons: dict[str, list[str]] = {}
    for site in sites:
        if site.reason:
            reasons.setdefault(site.reason, []).append(site.path)
        elif site.output:
            reasons.setdefault("the model returns its result; a swap replaces it only by its path", []).append(
                site.path
            )
    for reason, paths in reasons.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        yield f"not replaced: {paths[0]}{more}: {reason}"
    for site in sites:
        if site.warning:
            yield f"warning: {site.path}: {site.warning}"
    if unseen:
        yield f"Found in the source code. {unseen} to see which functions run, how often, and on which shapes."
