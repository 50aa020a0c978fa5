"""Properties of gradient rules as data, for the list of rules and for specs with a rule."""

from __future__ import annotations

from typing import Any

from actlab.codegen.rule_gradient import gradient
from actlab.errors import SpecError
from actlab.functions.grammar import parse
from actlab.functions.parameter import Learned
from actlab.functions.rule import INGREDIENTS, Rule, get_rule, rules
from actlab.functions.spec import Backward, Spec
from actlab.report.content.format import plural

__all__ = ["backward_of", "rule_entries"]


def rule_entries() -> list[dict[str, Any]]:
    """Return name, family, formula, parameters, paper, aliases and description of every rule."""
    return [_rule_data(get_rule(name)) for name in rules()]


def _rule_data(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "family": rule.family,
        "formula": str(rule.expression) if rule.is_linear else f"(gradient) {rule.expression}",
        "is_linear": rule.is_linear,
        "ingredients": {name: INGREDIENTS[name] for name in rule.ingredients},
        "parameters": [{"name": p.name, "default": p.default, "domain": p.domain} for p in rule.parameters],
        "learnable": rule.surrogate is not None,
        "keeps": "as its activation" if rule.takes_activation else _saved_text(parse(f"step/{rule.name}")),
        "paper": rule.source,
        "aliases": list(rule.aliases),
        "doc": rule.doc,
    }


def backward_of(spec: Spec) -> dict[str, Any] | None:
    """Return the properties of a spec's rule at its parameter values, as data for JSON; None without a rule."""
    backward = spec.backward
    if backward is None:
        return None
    return _rule_data(backward.rule) | {
        "spec": str(backward),
        "gradient": str(backward.gradient),
        "keeps": _saved_text(spec),
        "mean": _scale(backward, "normal"),
        "area": _scale(backward, "area"),
    }


def _scale(backward: Backward, scale: str) -> float | None:
    """Return the rule's mean ("normal") or area; None if it has none."""
    try:
        unit = Backward(backward.rule, backward.assigned, scale, backward.of).factor_of_scale  # type: ignore[arg-type]  # one of two words
    except SpecError:
        return None
    return backward.factor_of_scale / unit


def _saved_text(spec: Spec) -> str:
    """Describe what a layer saves per element for the backward pass."""
    rule_gradient = gradient(spec)
    if any(isinstance(value, Learned) for _, value in spec.assigned) or rule_gradient.open:
        return "its input, and what learned parameters need"
    if rule_gradient.levels:
        bits = (len(rule_gradient.levels) - 1).bit_length()
        return f"{plural(bits, 'bit')} per element" if bits else "nothing"
    needed = [
        word
        for word, names in (("its input", {"x", "slope", "through", "shuffled"}), ("its output", {"y"}))
        if names & {*rule_gradient.ingredients}
    ]
    return " and ".join(needed) or "nothing"
