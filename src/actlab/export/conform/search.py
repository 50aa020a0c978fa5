"""Search for the functions that explain an engine's outputs, everywhere, then place by place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
from scipy.optimize import minimize

from actlab.errors import ActlabError
from actlab.export.conform.candidate import TRAINED, Candidate, of_parameters, of_spec, without_nan
from actlab.export.conform.comparison import Comparison, Outcome
from actlab.export.conform.places import Place, Switchboard
from actlab.export.conform.relatives import everything, head_candidates, near
from actlab.functions.grammar import parse
from actlab.nn.sites.dry_run import Arguments

__all__ = ["EVIDENCE", "Choice", "Search"]

Choice = Mapping[str, Candidate]
Candidates = Mapping[tuple[Any, ...], Sequence[Candidate]]
ROUNDS = 3
SHORT = 12  # candidates that are tried at single places, of each group
FITTED = 3  # functions whose numbers are fitted
EVIDENCE = 10.0  # natural logarithm of the odds by which one function must be likelier: 1 in 20,000 over some hundred candidates
HARDLY = 3.0  # likewise, below which the likelier relative is preferred to the best fit
GAIN = 1e-6  # relative, by which a miss must shrink to count


@dataclass(eq=False)
class Search:
    """Trials of functions in a model, each of which is run once.

    Attributes:
        board: the model.
        arguments: of the call.
        comparison: with the engine's outputs.
        quantised: whether ties are judged by the noise of the best fit.
        whole: whether the whole catalogue is tried where no near relative fits.
        progress: called with a text.
    """

    board: Switchboard
    arguments: Arguments
    comparison: Comparison
    quantised: bool
    whole: bool = True
    progress: Callable[[str], None] = lambda _: None
    tried: dict[str, dict[str, Candidate]] = field(default_factory=dict)
    _known: dict[tuple[tuple[str, int], ...], Outcome | None] = field(default_factory=dict)
    _kept: list[Candidate] = field(default_factory=list)
    _relatives: dict[tuple[Any, ...], list[Candidate]] = field(default_factory=dict)

    # --------------------------------------------------------------------------------------- trials

    def outcome(self, choice: Choice) -> Outcome | None:
        """Return the comparison of the model with chosen functions; None where it does not run with them."""
        chosen = {name: candidate for name, candidate in choice.items() if candidate is not TRAINED}
        key = tuple(sorted((name, id(candidate)) for name, candidate in chosen.items()))
        if key not in self._known:
            self._kept += chosen.values()  # so that no id is given twice
            for name, candidate in chosen.items():
                self.tried.setdefault(name, {})[candidate.spec] = candidate
            self._known[key] = self._run(chosen)
        return self._known[key]

    def _run(self, chosen: Choice) -> Outcome | None:
        try:
            return self.comparison.outcome(self.board.outputs(self.arguments, chosen))
        except (ActlabError, RuntimeError, ValueError, IndexError):  # another shape than the layers behind it take
            return None

    def squared(self, choice: Choice) -> float:
        """Return the mean squared miss; infinite where the model does not run."""
        outcome = self.outcome(choice)
        return inf if outcome is None else outcome.squared

    def explains(self, choice: Choice) -> bool:
        """Whether nothing but rounding is left."""
        outcome = self.outcome(choice)
        return outcome is not None and outcome.miss.within

    def is_tied(self, choice: Choice, best: Choice, evidence: float = EVIDENCE) -> bool:
        """Whether the evidence cannot rule out a choice: within the floor, or for a quantised engine within the noise of the best."""
        outcome, least = self.outcome(choice), self.outcome(best)
        if outcome is None or least is None:
            return False
        if outcome.miss.within:
            return True
        if not self.quantised or not least.squared:
            return False
        excess = float((outcome.errors - least.errors).sum()) / (2 * least.squared)
        return excess < evidence

    # --------------------------------------------------------------------------------------- search

    def run(self) -> Choice:
        """Return the functions that explain the outputs best; those of the model where these do."""
        return {} if self.explains({}) else self._simplest(self._best())

    def _best(self) -> Choice:
        candidates = {group: self.relatives(places[0]) for group, places in self.groups().items()}
        best = self._everywhere(candidates, {})
        if self._is_settled(best):
            return best
        best = min((best, self._one_by_one(candidates, best), self._one_by_one(candidates, {})), key=self.squared)
        if self._is_settled(best):
            return best
        if self.whole:
            best = self._with_catalogue(best)
        best = self._with_fits(best)
        return min((best, self._one_by_one(self._ranked(best), best)), key=self.squared)

    def _simplest(self, best: Choice) -> Choice:
        """Return what fits as well with the likeliest functions: those of the model, then near relatives, then all others."""
        for places in self.groups().values():
            chosen = {best[place.name] for place in places if place.name in best}
            for old in chosen - {TRAINED}:
                names = [place.name for place in places if best.get(place.name) is old]
                likely = sorted(self.tried.get(names[0], {}).values(), key=lambda each: self._rank(each, places[0]))
                for each in (TRAINED, *likely[: likely.index(old) if old in likely else None]):
                    other = dict(best) | dict.fromkeys(names, each)
                    if self.is_tied(other, best, HARDLY):
                        best = other
                        break
        return {name: each for name, each in best.items() if each is not TRAINED}

    def _rank(self, candidate: Candidate, place: Place) -> tuple[int, int]:
        """Return a sort key that puts the likeliest first: in the order of the near relatives, fits of the trained function, others."""
        near_ones = self._relatives.get(place.group, [])
        if candidate in near_ones:
            return 0, near_ones.index(candidate)
        is_fit = candidate.spec.partition("(")[0] == place.function.activation.name
        return (1 if is_fit else 2), ("(" in candidate.spec)

    def groups(self) -> dict[tuple[Any, ...], list[Place]]:
        """Return the places by what is trained there."""
        groups: dict[tuple[Any, ...], list[Place]] = {}
        for place in self.board.places:
            groups.setdefault(place.group, []).append(place)
        return groups

    def relatives(self, place: Place) -> list[Candidate]:
        """Return the near relatives of what is trained at a place."""
        if place.group not in self._relatives:
            self._relatives[place.group] = self._near(place)
        return self._relatives[place.group]

    def _near(self, place: Place) -> list[Candidate]:
        if place.output is not None:
            shape = self.comparison.wanted[place.output].shape
            return head_candidates(shape[-1] if len(shape) > 1 else 1)
        found = near(place.function, place.kind, dim=place.dim, gate=place.gate, learned=dict(place.learned))
        swapped = Candidate(spec=f"{place.spec} of the other factor", what="the other factor is the gate", swaps=True)
        if place.kind == "elementwise" and self._changes({place.name: swapped}):
            found.append(swapped)
        trained = of_spec(place.spec) if self._has_nan() and place.kind == "elementwise" else None
        if trained is not None:
            found += [each for each in (without_nan(trained, number) for number in (0.0, 1.0)) if each is not None]
        return found

    def _has_nan(self) -> bool:
        return any(bool(y.isnan().any()) for y in self.board.outputs(self.arguments) if y.is_floating_point())

    def _changes(self, choice: Choice) -> bool:
        """Whether a choice changes any output."""
        outputs, trained = (self.board.outputs(self.arguments, each) for each in (choice, {}))
        return any(not bool((a == b).all()) for a, b in zip(outputs, trained, strict=True))

    def refined(self, candidates: Candidates, start: Choice) -> Choice:
        """Return the best choice among few candidates, by group of places."""
        best = self._everywhere(candidates, start)
        return best if self.explains(best) else min((best, self._one_by_one(candidates, start)), key=self.squared)

    def _is_settled(self, best: Choice) -> bool:
        """Whether there is no need to look further: nothing but rounding is left, or a quantised engine's noise of a few steps."""
        return self.explains(best) or (self.quantised and self.is_tied({}, best) and self.squared(best) < 0.01)

    def _everywhere(self, candidates: Candidates, start: Choice) -> Choice:
        """Try each candidate at all places of its group, take what helps most, and go on until nothing gets better."""
        best, groups = dict(start), self.groups()
        for _ in range(ROUNDS + len(groups)):
            options = []
            for group in candidates:
                names = [place.name for place in groups[group]]
                self.progress(f"{groups[group][0].spec} at {len(names)} sites")
                options += [best | dict.fromkeys(names, each) for each in (TRAINED, *candidates[group])]
            better = dict(self._better(best, options))
            if better == best or self.explains(better):
                return better
            best = better
        return best

    def _one_by_one(self, candidates: Candidates, start: Choice) -> Choice:
        """Try candidates at single places, first where one of them helps most, until nothing gets better."""
        best, groups = dict(start), self.groups()
        options = {place.name: list(candidates[group]) for group in candidates for place in groups[group]}
        for _ in range(ROUNDS):
            self.progress("single sites")
            alone = {
                name: min(self.squared(best | {name: each}) for each in (TRAINED, *options[name])) for name in options
            }
            before = self.squared(best)
            for name in sorted(options, key=lambda name: alone[name]):
                best = dict(self._better(best, [best | {name: each} for each in (TRAINED, *options[name])]))
                if self.explains(best):
                    return best
            if self.squared(best) >= before * (1 - GAIN):
                break
            options = {name: self._shortest(each, best, name) for name, each in options.items()}
        return best

    def _shortest(self, candidates: Iterable[Candidate], best: Choice, name: str) -> list[Candidate]:
        return sorted(candidates, key=lambda each: self.squared(dict(best) | {name: each}))[:SHORT]

    def _better(self, best: Choice, options: Iterable[Choice]) -> Choice:
        least = min(options, key=self.squared, default=best)
        return least if self.squared(least) < self.squared(best) * (1 - GAIN) else best

    def _with_catalogue(self, best: Choice) -> Choice:
        found = {}
        for group, places in self.groups().items():
            place = places[0]
            if place.output is None and place.kind != "gated":
                tried = self.tried.get(place.name, {})
                self.progress("the whole catalogue")
                kind = everything(place.kind, dim=place.dim, gate=place.gate)
                found[group] = [each for each in kind if each.spec not in tried and each.spec != place.spec]
        return min((self._everywhere(found, best), self._everywhere(found, {})), key=self.squared)

    def _ranked(self, best: Choice) -> dict[tuple[Any, ...], list[Candidate]]:
        """Return the best of what was tried, by group."""
        ranked = {}
        for group, places in self.groups().items():
            options = list(self.tried.get(places[0].name, {}).values())
            ranked[group] = sorted(options, key=lambda each: self.squared(dict(best) | {places[0].name: each}))[:SHORT]
        return ranked

    # ------------------------------------------------------------------------------------- parameters

    def _with_fits(self, best: Choice) -> Choice:
        """Fit the numbers of the best functions of each group, where they have any."""
        for places in self.groups().values():
            if places[0].kind != "elementwise":
                continue
            names = [place.name for place in places]
            tried = list(self.tried.get(names[0], {}).values())
            tried.sort(key=lambda each: self.squared(dict(best) | dict.fromkeys(names, each)))
            texts = dict.fromkeys([places[0].spec, *(each.spec for each in tried if each.curve is not None)])
            for text in list(texts)[:FITTED]:
                best = self._better(best, self._fitted(best, names, text))
                if self.explains(best):
                    return best
        return best

    def _fitted(self, best: Choice, names: Sequence[str], text: str) -> list[Choice]:
        try:
            spec = parse(text)
        except ActlabError:  # a form that has no spec
            return []
        record = spec.activation
        free = [p.name for p in record.parameters if p.learnable]
        if record.expression is None or not 0 < len(free) <= 2 or record.kind != "elementwise":
            return []
        numbers = {name: float(value) for name, value in spec.numbers.items()}
        numbers |= {p.name: p.default for p in record.parameters if p.name not in numbers}

        def choice(values: Any) -> dict[str, Candidate]:
            given = numbers | dict(zip(free, map(float, values), strict=True))
            made = of_parameters(record, given)
            what = ", ".join(f"{name} fitted: {given[name]:.4g}" for name in free)
            return dict(best) | dict.fromkeys(
                names, Candidate(spec=made.spec, what=what, function=made.function, curve=made.curve)
            )

        def miss(values: Any) -> float:
            return min(self.squared_once(choice(values)), 1e12)

        with np.errstate(all="ignore"):
            fit = minimize(
                miss,
                [numbers[name] for name in free],
                method="Nelder-Mead",
                options={"maxfev": 60 * len(free), "xatol": 1e-6, "fatol": 0},
            )
        short = [float(f"{value:.4g}") for value in fit.x]
        return [choice(short), choice(fit.x)]

    def squared_once(self, choice: Choice) -> float:
        """Return the mean squared miss without keeping it."""
        outcome = self._run(choice)
        return inf if outcome is None else outcome.squared
