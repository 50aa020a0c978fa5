"""What a gradient rule is: formula, parameters, what it keeps and lets through, as data and as a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import RenderableType

from actlab.errors import SpecError
from actlab.functions.backward import Backward
from actlab.functions.parameter import Learned
from actlab.functions.rule import INGREDIENTS, Rule, get_rule, rules
from actlab.functions.spec import Spec, parse
from actlab.readings.gradient import gradient
from actlab.report.tables import grid

__all__ = ["backward_of", "backward_rows", "rule_entries", "rule_overview"]


def rule_entries() -> list[dict[str, Any]]:
    """Return what the list of rules shows of each: name, family, formula, parameters, paper, aliases, description."""
    return [_entry(get_rule(name)) for name in rules()]


def rule_overview(found: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Return the list of rules as a table."""
    rows = [
        (
            one["name"],
            one["formula"],
            ", ".join(f"{p['name']}={p['default']:g}" for p in one["parameters"]),
            one["keeps"],
            one["paper"],
        )
        for one in found
    ]
    return grid(("name", "times the gradient", "parameters", "keeps", "paper"), rows)


def _entry(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "family": rule.family,
        "formula": str(rule.expression) if rule.is_linear else f"(gradient) {rule.expression}",
        "is_linear": rule.is_linear,
        "ingredients": {name: INGREDIENTS[name] for name in rule.ingredients},
        "parameters": [{"name": p.name, "default": p.default, "domain": p.domain} for p in rule.parameters],
        "learnable": rule.surrogate is not None,
        "keeps": "as the activation named" if rule.takes_activation else _kept(parse(f"step/{rule.name}")),
        "paper": rule.source,
        "aliases": list(rule.aliases),
        "doc": rule.doc,
    }


def backward_of(spec: Spec) -> dict[str, Any] | None:
    """Return what is known of a spec's rule at its values, as data for JSON; None where the gradient is the true one."""
    backward = spec.backward
    if backward is None:
        return None
    return _entry(backward.rule) | {
        "spec": str(backward),
        "gradient": str(backward.gradient),
        "keeps": _kept(spec),
        "mean": _gain(backward, "normal"),
        "area": _gain(backward, "area"),
    }


def backward_rows(data: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the same as rows for a terminal: name and text, None where there is nothing to say."""
    return {
        "backward": f"{data['spec']}: {data['doc']}",
        "gradient": data["gradient"],
        "made of": "; ".join(f"{name}: {text}" for name, text in data["ingredients"].items() if name != "grad"),
        "rule keeps": data["keeps"],
        "lets through": " ".join(
            text
            for text in (
                data["mean"] and f"{data['mean']:.4g} of the gradient on N(0, 1) inputs;",
                data["area"] and f"its area is {data['area']:.4g}",
            )
            if text
        ).rstrip(";")
        or None,
        "rule's paper": data["paper"],
    }


def _gain(backward: Backward, scale: str) -> float | None:
    """Return the rule's mean or area; None where there is none."""
    try:
        unit = Backward(backward.rule, backward.assigned, scale, backward.of).factor_of_scale  # type: ignore[arg-type]  # one of two words
    except SpecError:
        return None
    return backward.factor_of_scale / unit


def _kept(spec: Spec) -> str:
    """Say what a layer keeps of each element for the backward pass."""
    made = gradient(spec)
    if any(isinstance(value, Learned) for _, value in spec.assigned) or made.open:
        return "its input, and what learned parameters need"
    if made.levels:
        bits = (len(made.levels) - 1).bit_length()
        return f"{bits} bit{'s' if bits > 1 else ''} per element" if bits else "nothing"
    needed = [
        word
        for word, names in (("its input", {"x", "slope", "through", "shuffled"}), ("its output", {"y"}))
        if names & {*made.ingredients}
    ]
    return " and ".join(needed) or "nothing"
