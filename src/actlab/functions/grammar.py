"""Parse activation specs, such as ``leaky_relu(0.02)`` or ``step/rect(-0.5, 0.5)``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import cast

from actlab.errors import SpecError, did_you_mean
from actlab.functions.activation import Activation, get
from actlab.functions.parameter import DOMAINS, LARGEST, SMALLEST, Learned, Parameter, is_usable
from actlab.functions.rule import Rule, get_rule
from actlab.functions.spec import Backward, Scale, Spec, Value
from actlab.functions.spec_objects import recognised_text, registered_text
from actlab.functions.spec_text import (
    GRAMMAR,
    foreign_parameter_hint,
    is_number,
    split_arguments,
    split_call,
    split_rule,
)

__all__ = ["parse", "parse_all"]

INTERVALS = (("lower", "upper"), ("min_val", "max_val"))  # parameters that are the two ends of an interval
_LEARNED = re.compile(r"(?P<word>learned|learned_per_channel)(?:\((?P<initial>[^()]*)\))?")


def parse(text: object) -> Spec:
    """Parse a spec, see :mod:`actlab.functions.spec` for the grammar.

    Args:
        text: a string; a spec, which is returned unchanged; a registered activation; or a module, a class of modules or a function that
            computes one, such as ``torch.nn.ELU(0.5)``, ``torch.nn.GELU`` and ``torch.tanh``.

    Raises:
        SpecError: the text does not follow the grammar, or a parameter is unknown, given twice, or out of range.
        UnknownNameError: there is no activation or rule of that name.

    Example:
        >>> str(parse("leaky_relu(0.02)")), str(parse("leaky_relu(0.01)"))
        ('leaky_relu(negative_slope=0.02)', 'leaky_relu')
    """
    if isinstance(text, Spec):
        return text
    if isinstance(text, Activation):
        text = text.name
    if not isinstance(text, str):
        text = _recognised(text)
    forward, backward = split_rule(text)
    name, arguments = split_call(forward, text)
    record = get(name)
    assigned = _assigned(split_arguments(arguments), record, text)
    record = record.at(dict(assigned))
    if backward is None:
        return Spec(record, assigned)
    if record.kind not in {"elementwise", "stochastic"}:
        raise SpecError(
            f"The spec {text!r} gives {record.name} a gradient rule, but it is a {record.kind} function; "
            "only elementwise and stochastic functions take one."
        )
    return Spec(record, assigned, _parse_backward(backward, text))


def parse_all(specs: object) -> list[Spec]:
    """Parse a list of specs.

    Raises:
        SpecError: it is no list, or as for :func:`parse`.
        UnknownNameError: as for :func:`parse`.

    Example:
        >>> parse_all("relu")
        Traceback (most recent call last):
        actlab.errors.SpecError: The activations are a list, like ['relu', 'gelu']; got 'relu'.
    """
    if isinstance(specs, str) or not isinstance(specs, Iterable) or recognised_text(specs) is not None:
        raise SpecError(f"The activations are a list, like ['relu', 'gelu']; got {specs!r}.")
    return [parse(spec) for spec in specs]


def _recognised(value: object) -> str:
    """Return the spec of an object that stands for an activation.

    Raises:
        SpecError: it is not known as one.
    """
    found = recognised_text(value)
    if found is not None:
        return found
    if callable(value):
        own = registered_text(value)
        if own is not None:
            return own
    if isinstance(value, list | tuple):
        raise SpecError(f"An activation spec is one activation; got the {type(value).__name__} {value!r}.")
    raise SpecError(f"An activation spec is a string, got {type(value).__name__}: {value!r}. {GRAMMAR}")


def _parse_backward(part: str, text: str) -> Backward:
    name, arguments = ("constant", part) if is_number(part) else split_call(part, text)
    rule = get_rule(name)
    pieces = split_arguments(arguments)
    of = None
    if rule.takes_activation:
        if not pieces or pieces[0].partition("=")[0].strip() == "scale":
            raise SpecError(
                f"The spec {text!r} does not name the activation whose derivative {rule.name} uses; write relu/{rule.name}(silu)."
            )
        of = _parse_differentiated(pieces.pop(0), text)
    scale, rest = _parse_scale(pieces, text)
    return Backward(rule, _assigned(rest, rule, text), scale, of)


def _parse_differentiated(name: str, text: str) -> Spec:
    """Return the activation whose derivative the rule uses."""
    spec = parse(name)
    if spec.activation.kind != "elementwise" or spec.backward or any(isinstance(v, Learned) for _, v in spec.assigned):
        raise SpecError(
            f"The spec {text!r} uses the derivative of {name!r}; that must be elementwise, without learned parameters or a rule."
        )
    return spec


def _parse_scale(pieces: list[str], text: str) -> tuple[Scale, list[str]]:
    """Return the scale, which every rule accepts, and the other arguments."""
    words = [piece for piece in pieces if re.fullmatch(r"scale\s*=.*", piece)]
    if len(words) > 1:
        raise SpecError(f"The spec {text!r} gives 'scale' twice.")
    if not words:
        return 1.0, pieces
    word = words[0].partition("=")[2].strip()
    rest = [piece for piece in pieces if piece not in words]
    if word in {"area", "normal"}:
        return cast("Scale", word), rest
    try:
        scale = float(word)
    except ValueError:
        near = did_you_mean(word, ("area", "normal"))
        raise SpecError(
            f"The spec {text!r} gives scale={word!r}; allowed are a number, area and normal.{near}"
        ) from None
    if not is_usable(scale):
        raise SpecError(
            f"{text}: scale={word} is out of range; "
            f"allowed is a number of a magnitude from {SMALLEST:g} to {LARGEST:g} or 0, area and normal."
        )
    return scale, rest


def _assigned(pieces: list[str], record: Activation | Rule, text: str) -> tuple[tuple[str, Value], ...]:
    """Return the value of every parameter, in the record's order: the one given, else the default."""
    values: dict[str, Value] = {}
    for position, piece in enumerate(pieces):
        key, equals, word = (part.strip() for part in piece.partition("="))
        parameter = _by_name(key, record, text) if equals else _by_position(position, record, text)
        if parameter.name in values:
            raise SpecError(f"The spec {text!r} gives {parameter.name!r} twice.")
        values[parameter.name] = _parse_value(word if equals else key, parameter, text)
    assigned = {p.name: values.get(p.name, p.default_value) for p in record.parameters}
    _check_intervals(assigned, record, text)
    return tuple(assigned.items())


def _check_intervals(assigned: Mapping[str, Value], record: Activation | Rule, text: str) -> None:
    """Refuse an interval whose ends are given the wrong way round; as torch's hardtanh does."""
    numbers = {name: value.initial if isinstance(value, Learned) else value for name, value in assigned.items()}
    defaults = {parameter.name: parameter.default for parameter in record.parameters}
    for low, high in INTERVALS:
        below, above = numbers.get(low), numbers.get(high)
        if below is not None and above is not None and below > above:
            raise SpecError(
                f"{text}: {low}={below:g} is above {high}={above:g}; allowed is any {low} up to {high} "
                f"(defaults {defaults[low]:g} and {defaults[high]:g})."
            )


def _by_position(position: int, record: Activation | Rule, text: str) -> Parameter:
    if position >= len(record.parameters):
        raise SpecError(f"The spec {text!r} gives too many values: {_signature(record)}.")
    return record.parameters[position]


def _by_name(key: str, record: Activation | Rule, text: str) -> Parameter:
    for parameter in record.parameters:
        if parameter.name == key:
            return parameter
    near = did_you_mean(key, (parameter.name for parameter in record.parameters)) or foreign_parameter_hint(key)
    raise SpecError(f"The spec {text!r} sets {key!r}, which {record.name} does not have: {_signature(record)}.{near}")


def _signature(record: Activation | Rule) -> str:
    if not record.parameters:
        return f"{record.name} takes no parameters"
    listed = ", ".join(f"{p.name}={'learned' if p.learned else f'{p.default:g}'}" for p in record.parameters)
    return f"it is {record.name}({listed})"


def _parse_value(word: str, parameter: Parameter, text: str) -> Value:
    match = _LEARNED.fullmatch(word)
    if match and not parameter.learnable:
        allowed = DOMAINS[parameter.domain][0]
        raise SpecError(f"The spec {text!r} learns {parameter.name}, which has no gradient; give it {allowed}.")
    if match:
        initial = parameter.default if match["initial"] is None else _number(match["initial"], parameter, text)
        return Learned(initial, "layer" if match["word"] == "learned" else "channel")
    return _number(word, parameter, text)


def _number(word: str, parameter: Parameter, text: str) -> float:
    try:
        value = float(word)
    except ValueError:
        near = did_you_mean(word, ("learned", "learned_per_channel"))
        allowed = "a number, learned, learned(0.5) and learned_per_channel"
        raise SpecError(f"The spec {text!r} gives {parameter.name}={word!r}; allowed are {allowed}.{near}") from None
    return parameter.check(value, text)
