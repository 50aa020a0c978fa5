"""Evidence at each place, other functions that fit as well and inputs that would tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from actlab.errors import ActlabError
from actlab.export.conform.beyond import apart, scaled
from actlab.export.conform.candidate import TRAINED, Candidate, of_spec
from actlab.export.conform.comparison import Comparison
from actlab.export.conform.engine import Engine
from actlab.export.conform.places import Place
from actlab.export.conform.report import CandidateMiss, SiteFinding, Undecided
from actlab.export.conform.search import Choice, Search
from actlab.nn.sites.dry_run import Arguments

__all__ = ["finding", "judged_beyond"]

SHOWN = 5
ALWAYS = 8.0  # factor of the example inputs at which an engine is always run once more
TOLD = 8  # of the undecided functions, that are listed


def finding(search: Search, place: Place, best: Choice) -> SiteFinding:
    """Return what runs at a place, given what was found at the others.

    Args:
        search: after its run.
        place: the place.
        best: what was found.
    """
    chosen = best.get(place.name, TRAINED)
    _try_near(search, place, best)
    tried = {spec: each for spec, each in search.tried.get(place.name, {}).items() if spec != place.spec}
    misses = sorted(
        ((search.squared(_with(search, place, best, each)), each) for each in (TRAINED, *tried.values())),
        key=lambda pair: pair[0],
    )
    shown = [each for _, each in misses[:SHOWN]]
    shown += [each for each in (TRAINED,) if each not in shown]
    reached = search.board.ranges(search.arguments).get(place.name)
    return SiteFinding(
        site=place.name,
        trained=place.spec,
        found=chosen.spec or place.spec,
        what=chosen.what,
        candidates=tuple(_row(search, place, best, each) for each in shown),
        tried=len(tried) + 1,
        low=None if reached is None else reached[0],
        high=None if reached is None else reached[1],
        undecided=tuple(_undecided(search, place, best, reached)[:TOLD]) if place.output is None else (),
    )


def _row(search: Search, place: Place, best: Choice, candidate: Candidate) -> CandidateMiss:
    outcome = search.outcome(_with(search, place, best, candidate))
    assert outcome is not None  # noqa: S101 # those that do not run come last and are not shown
    return CandidateMiss(
        spec=candidate.spec or place.spec,
        what=candidate.what or ("as trained" if not candidate.spec else ""),
        miss=outcome.miss,
    )


def _with(search: Search, place: Place, best: Choice, candidate: Candidate) -> Choice:
    """Return what was found with a candidate at a place, and at those of its group where the same was found."""
    own = best.get(place.name, TRAINED)
    group = [each.name for each in search.groups()[place.group] if best.get(each.name, TRAINED) is own]
    return dict(best) | dict.fromkeys(group, candidate)


def _try_near(search: Search, place: Place, best: Choice) -> None:
    """Try the near relatives, where the search has ended before it came to them."""
    if not search.tried.get(place.name) and place.output is None:
        for candidate in search.relatives(place):
            search.squared(_with(search, place, best, candidate))


def _undecided(search: Search, place: Place, best: Choice, reached: tuple[float, float] | None) -> list[Undecided]:
    own = best.get(place.name, TRAINED)
    curve = own.curve if own is not TRAINED else _trained_curve(place)
    listed = []
    for spec, candidate in search.tried.get(place.name, {}).items():
        if candidate is own or candidate.same or candidate.swaps or spec == place.spec == (own.spec or place.spec):
            continue
        alone = dict(best) | {place.name: candidate}
        if search.is_tied(alone if own is not TRAINED else _with(search, place, best, candidate), best):
            told = _telling(search, dict(best) | {place.name: candidate}, best)
            listed.append(apart(candidate.spec, (curve, candidate.curve), reached, told))
    if own is not TRAINED and search.is_tied(dict(best) | {place.name: TRAINED}, best):
        told = _telling(search, dict(best) | {place.name: TRAINED}, best)
        listed.append(apart(place.spec, (own.curve, _trained_curve(place)), reached, told))
    return sorted(listed, key=lambda each: each.scale or inf)


def _trained_curve(place: Place) -> Callable[[Any], Any] | None:
    if place.kind != "elementwise" or place.learned:
        return None
    made = of_spec(place.spec)
    return None if made is None else made.curve


def _telling(search: Search, choice: Choice, best: Choice) -> Callable[[float], bool]:
    """Return whether two choices differ on the example inputs times a factor."""
    least = search.outcome(best)
    noise = least.miss.largest if search.quantised and least is not None else 0.0

    def told(factor: float) -> bool:
        arguments = scaled(search.arguments, factor)
        try:
            first, second = (search.board.outputs(arguments, each) for each in (best, choice))
        except (ActlabError, RuntimeError, ValueError):
            return False
        floors = [max(floor, noise) for floor in search.comparison.floors]
        return any(
            bool(((a - b).abs() > 4 * factor * floor).any()) and bool(a.isfinite().all())
            for a, b, floor in zip(first, second, floors, strict=True)
        )

    return told


def judged_beyond(
    search: Search,
    best: Choice,
    sites: Sequence[SiteFinding],
    engine: Engine,
    compared: Callable[[Arguments, Sequence[Any]], Comparison],
) -> tuple[list[SiteFinding], list[str]]:
    """Run the engine on the example inputs times a factor, and decide between functions that the examples do not tell apart.

    Args:
        search: after its run.
        best: what was found.
        sites: the findings so far.
        engine: that can be run again.
        compared: returns what outputs on other arguments are compared with.

    Returns:
        The findings, and remarks.
    """
    notes: list[str] = []
    judged = list(sites)
    for factor in sorted(
        {each.scale for site in sites for each in site.undecided if each.scale is not None} | {ALWAYS}
    ):
        there = _search_at(search, engine, factor, compared)
        if there is None:
            notes.append(f"The engine does not run on the example inputs times {factor:g}.")
            continue
        waiting = [{each.spec for each in site.undecided if (each.scale or inf) <= factor} for site in judged]
        choice = there.refined(_waiting(search, judged, waiting), best)
        if not there.explains(choice):
            choice = there.run()
        if there.explains(choice) and search.explains(choice):
            judged = [_decided(there, *pair, best, choice, factor=factor) for pair in zip(judged, waiting, strict=True)]
        else:
            miss = there.outcome(choice)
            notes.append(
                f"On the example inputs times {factor:g} the engine differs by up to {miss.miss.largest if miss else inf:.2g}, and no "
                "function that fits the examples explains it."
            )
    return judged, notes


def _waiting(search: Search, sites: Sequence[SiteFinding], waiting: Sequence[set[str]]) -> dict[Any, list[Candidate]]:
    """Return the undecided candidates by group of places."""
    places = {place.name: place for place in search.board.places}
    found: dict[Any, list[Candidate]] = {}
    for site, specs in zip(sites, waiting, strict=True):
        tried = search.tried.get(site.site, {})
        listed = found.setdefault(places[site.site].group, [])
        listed += [tried[spec] for spec in specs if spec in tried and tried[spec] not in listed]
    return found


def _search_at(
    search: Search, engine: Engine, factor: float, compared: Callable[[Arguments, Sequence[Any]], Comparison]
) -> Search | None:
    arguments = scaled(search.arguments, factor)
    try:
        with search.board.removed():
            arrays = engine.run(scaled(search.arguments, factor))
        comparison = compared(arguments, arrays)
    except ActlabError:
        return None
    return Search(board=search.board, arguments=arguments, comparison=comparison, quantised=False)


def _decided(
    there: Search, site: SiteFinding, waiting: set[str], best: Choice, choice: Choice, *, factor: float
) -> SiteFinding:
    """Return a finding without the functions that larger inputs rule out, and with the one that they show."""
    tried, shown = {**there.tried.get(site.site, {}), site.trained: TRAINED}, choice.get(site.site, TRAINED)
    kept = tuple(
        each
        for each in site.undecided
        if each.spec not in waiting or there.explains(dict(choice) | {site.site: tried.get(each.spec, TRAINED)})
    )
    if shown is best.get(site.site, TRAINED):
        return replace(site, undecided=kept)
    others = tuple(each for each in kept if each.spec != shown.spec)
    scale = next((each.scale for each in site.undecided if each.spec == shown.spec), factor)
    return replace(site, found=shown.spec or site.trained, what=shown.what, undecided=others, scale=scale)
