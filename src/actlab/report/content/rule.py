"""What is known of a gradient rule, as data."""

from __future__ import annotations

from typing import Any

from actlab.codegen.rule_gradient import gradient
from actlab.errors import SpecError
from actlab.functions.grammar import parse
from actlab.functions.parameter import Learned
from actlab.functions.rule import INGREDIENTS, Rule, get_rule, rules
from actlab.functions.spec import Backward, Spec

__all__ = ["backward_of", "rule_entries"]


def rule_entries() -> list[dict[str, Any]]:
    """Return what the list of rules shows of each: name, family, formula, parameters, paper, aliases, description."""
    return [_entry(get_rule(name)) for name in rules()]


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
