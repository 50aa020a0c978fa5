"""Terminal view of which functions an engine runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.content.format import plain, plural
from actlab.report.terminal.text_table import text_table

if TYPE_CHECKING:
    from actlab.export.conform.report import ConformReport, SiteFinding
    from actlab.export.metric_cost import Cost

__all__ = ["conform_view"]

SITES = ("site", "trained", "the engine runs", "how", "miss", "trained one's", "tried")
CANDIDATES = ("function", "how", "miss", "largest difference")
VERDICTS = {
    "conforms": "runs the functions of the model.",
    "differs": "runs other functions than the model.",
    "unexplained": "computes something else, which no function at the activations explains.",
}


def conform_view(report: ConformReport) -> RenderableType:
    """Return a report for the terminal: the verdict, the sites, the candidates, the cost, and what the evidence does not tell."""
    return Group(*_parts(report))


def _parts(report: ConformReport) -> Iterator[RenderableType]:
    yield Text(f"{report.engine} {VERDICTS[report.verdict]}", style="bold")
    step = f", step {report.step:.3g}" if report.step else ""
    rounding = f"noise of the best fit{step}" if report.quantised else f"rounding {report.floor:.2g}"
    examples = plural(report.examples, "example")
    yield Text(f"{report.model} against {report.runtime} on {examples} · {rounding}", style="dim")
    if report.sites:
        yield Padding(
            text_table(SITES, [_row(site) for site in report.sites], right=("miss", "trained one's", "tried")), (1, 0)
        )
    shown: set[tuple[str, str]] = set()
    for site in report.sites:
        if (site.differs or report.verdict == "unexplained") and (site.trained, site.found) not in shown:
            shown.add((site.trained, site.found))
            yield Text(f"{site.site}: what was tried, by miss")
            rows = [
                [each.spec, each.what, plain(each.miss.rms), f"{each.miss.largest:.2g}"] for each in site.candidates
            ]
            yield Padding(text_table(CANDIDATES, rows, right=("miss", "largest difference")), (0, 0, 1, 0))
    yield from (Text(_cost(cost)) for cost in report.costs)
    yield Text(_differences(report))
    yield from (Text(f"- {line}") for line in (*_remarks(report.sites), *report.notes))


def _row(site: SiteFinding) -> list[str]:
    found = next((each.miss.rms for each in site.candidates if each.spec == site.found), None)
    trained = next((each.miss.rms for each in site.candidates if each.spec == site.trained), None)
    ran = site.found if site.differs else "the same"
    misses = ["" if value is None else plain(value) for value in (found, trained)]
    return [site.site, site.trained, ran, site.what, *misses, str(site.tried)]


def _cost(cost: Cost) -> str:
    found = "" if cost.found is None else f", of the model with the found functions {cost.found:.4g}"
    return f"{cost.metric}: of the model {cost.model:.4g}, of the engine {cost.engine:.4g}{found}"


def _differences(report: ConformReport) -> str:
    text = f"Largest difference from the model as trained: {report.trained.largest:.2g}"
    if report.changed:
        text += f"; with the found functions: {report.found.largest:.2g} ({report.explained:.2%} of the squared difference explained)"
    return text + "."


def _remarks(sites: Sequence[SiteFinding]) -> Iterator[str]:
    for site in sites:
        if site.scale is not None:
            yield f"{site.site}: the examples do not show it; the example inputs times {site.scale:g} do."
        for each in site.undecided:
            reached = "" if site.low is None else f" (its inputs reach from {site.low:.3g} to {site.high:.3g})"
            yield f"{site.site}: not told from {each}{reached}"
