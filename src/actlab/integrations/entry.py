"""Layer factories of specs for other libraries' lookup tables, and reasons why a spec cannot be one.

A library looks an activation up by name while it builds a model from a config. The lookup does not know the number of channels, and must
return a module or function that maps one tensor to one of the same shape; :func:`refusal` tells which specs cannot be entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import sympy

from actlab.errors import ActlabError, IntegrationError, UnknownNameError
from actlab.functions.activation import Activation, Learned, get, names
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.layer import layer

__all__ = ["NoEntryError", "answer", "entry", "fits", "is_ours", "refusal"]

Refusal = Callable[[Spec], str]


class NoEntryError(IntegrationError, KeyError):
    """Name for which a table has no activation; a ``KeyError`` for the library that looks it up."""

    __str__ = Exception.__str__  # that of KeyError would quote the message


def new_layer(spec: str, *, inplace: bool | None = None, **settings: Any) -> ActivationLayer:  # noqa: ARG001 libraries pass it to every activation
    """Return a new layer.

    Args:
        spec: of the activation.
        inplace: accepted because torch's activations have it, and ignored; layers never overwrite their input.
        settings: as for :func:`actlab.layer`.

    Raises:
        TypeError: a setting that layers do not have, such as the parameter of a function.
    """
    unknown = set(settings) - {"channels", "device", "dtype", "gate", "native"}
    if unknown:
        raise TypeError(
            f"{spec} takes no {', '.join(sorted(unknown))} here; write parameters into the name, as 'celu(alpha=0.5)'."
        )
    return layer(spec, **settings)


def entry(spec: str) -> partial[ActivationLayer]:
    """Return the table entry of a spec, which makes a new layer each time it is called.

    Example:
        >>> entry("swish(beta=learned)")(inplace=True)
        ActivationLayer(swish(beta=learned))
    """
    return partial(new_layer, spec)


def is_ours(content: Any) -> bool:
    """Return whether a table's entry was made by :func:`entry`."""
    return isinstance(content, partial) and getattr(content.func, "__module__", "").startswith("actlab.integrations.")


def refusal(spec: Spec) -> str:
    """Return why a spec cannot be an entry, or the empty string if it can.

    Example:
        >>> refusal(parse("gelu")), refusal(parse("crelu"))
        ('', 'it returns 2*n elements for n, and the model needs n')
    """
    record = spec.activation
    if record.kind == "gated":
        return "it takes a gate and a value, and the model needs a function of one tensor"
    if record.kind == "complex":
        return "it computes on complex numbers, and the model on real ones"
    if record.width != "n":
        return f"it returns {record.width} elements for n, and the model needs n"
    if record.kind == "vector" and not _acts_on_last_dimension(record):
        return "it mixes tokens, which an activation inside a block must not do"
    if spec.needs_channels:
        return "the number of channels is not known for a name; write learned, for one value per layer"
    return ""


def _acts_on_last_dimension(record: Activation) -> bool:
    return len(record.inputs) == 1 and any(p.name == "dim" and p.default == -1 for p in record.parameters)


def fits(key: object, refuses: Refusal = refusal) -> bool:
    """Return whether a key is a spec that can be an entry.

    Example:
        >>> fits("leaky_relu(0.02)"), fits("swiglu"), fits("gleu"), fits(3)
        (True, False, False, False)
    """
    try:
        return isinstance(key, str) and not refuses(parse(key))
    except ActlabError:
        return False


def answer(key: object, known: Iterable[str], refuses: Refusal = refusal) -> str:
    """Return the spec of a key that is not a name in a table.

    Args:
        key: looked up in the table.
        known: names in the table, for suggestions.
        refuses: returns why a spec cannot be an entry of this table.

    Raises:
        NoEntryError: the key is not a spec, or one that cannot be an entry, with the reason and an alternative.

    Example:
        >>> answer("leaky_relu(0.02)", ["relu"])
        'leaky_relu(0.02)'
    """
    if not isinstance(key, str):
        raise NoEntryError(f"The name of an activation is a string; got {type(key).__name__}: {key!r}.")
    try:
        spec = parse(key)
    except UnknownNameError as error:
        hint = "`actlab list` shows ActLab's; specs such as 'leaky_relu(0.02)' are also allowed."
        raise NoEntryError(str(UnknownNameError("activation", error.name, known, hint))) from None
    except ActlabError as error:
        raise NoEntryError(str(error)) from None
    if reason := refuses(spec):
        raise NoEntryError(f"{key!r} is not available by name: {reason}.{_alternative(spec.activation)}")
    return key


def _alternative(record: Activation) -> str:
    """Return what to use instead of a gated function."""
    if record.kind != "gated":
        return ""
    gate = _function_of_gate(record)
    name = f" ({gate!r} for {record.name})" if gate else ""
    return (
        f" A block that multiplies two projections (Llama's MLP, GluMlp) takes only the function of the gate{name}. "
        f"A block with one projection becomes gated by actlab.swap_(model, {record.name!r}, example_inputs)."
    )


def _function_of_gate(record: Activation) -> str | None:
    """Return the elementwise activation that a gated function applies to its gate at default parameters; None if there is none."""
    gate, value = record.inputs
    formula = _at_defaults(record)
    once, twice = (formula.xreplace({value: sympy.Integer(number)}) for number in (1, 2))
    if sympy.expand(twice - 2 * once) != 0:
        return None  # the value is not only multiplied
    records = sorted((get(name) for name in names("elementwise")), key=lambda other: len(other.parameters))
    equal = (other.name for other in records if _at_defaults(other).xreplace({other.inputs[0]: gate}) == once)
    return next(equal, None)


def _at_defaults(record: Activation) -> sympy.Expr:
    return record.formula.xreplace({p.symbol: sympy.nsimplify(p.default, rational=True) for p in record.parameters})


def has_learned_parameters(spec: Spec) -> bool:
    """Return whether a spec has learned parameters."""
    return any(isinstance(value, Learned) for _, value in spec.assigned)
