"""The entry: what another library's table of activations keeps for one of ours, and why it cannot keep some.

Such a table is asked for a name, by a model that is being built from a config. It is not told how many channels there are, and it must give
back something that takes one tensor and returns one of the same shape.
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
    """A name that a table cannot answer: a ``KeyError`` to the library, a sentence to the reader."""

    __str__ = Exception.__str__  # KeyError shows the quoted text


def made(spec: str, *, inplace: bool | None = None, **settings: Any) -> ActivationLayer:  # noqa: ARG001 libraries pass it to every activation; ours are never in place
    """Return a new layer.

    Args:
        spec: what it computes.
        inplace: taken because torch's own activations take it, and without effect: a layer never overwrites its input.
        settings: as for :func:`actlab.layer`.

    Raises:
        TypeError: a setting that a layer does not have, such as the parameter of a function.
    """
    unknown = set(settings) - {"channels", "device", "dtype", "gate", "native"}
    if unknown:
        raise TypeError(
            f"{spec} takes no {', '.join(sorted(unknown))} here; write it into the name, as 'celu(alpha=0.5)'."
        )
    return layer(spec, **settings)


def entry(spec: str) -> partial[ActivationLayer]:
    """Return what a table keeps for a spec: called without arguments, it makes a new layer each time.

    Example:
        >>> entry("swish(beta=learned)")(inplace=True)
        ActivationLayer(swish(beta=learned))
    """
    return partial(made, spec)


def is_ours(content: Any) -> bool:
    """Whether a table's content was made here."""
    return isinstance(content, partial) and getattr(content.func, "__module__", "").startswith("actlab.integrations.")


def refusal(spec: Spec) -> str:
    """Return why a spec cannot stand behind a name in a config, or the empty string where it can.

    Example:
        >>> refusal(parse("gelu")), refusal(parse("crelu"))
        ('', 'it makes 2*n elements of n, and the model goes on with n')
    """
    record = spec.activation
    if record.kind == "gated":
        return "it takes a gate and a value, and a model asks for a function of one tensor here"
    if record.width != "n":
        return f"it makes {record.width} elements of n, and the model goes on with n"
    if record.kind == "vector" and not _works_along_the_last_dimension(record):
        return "it lets tokens see each other, which the activation of a block must not"
    if spec.needs_channels:
        return "a name is not told how many channels there are; write learned, for one value per layer"
    return ""


def _works_along_the_last_dimension(record: Activation) -> bool:
    return len(record.inputs) == 1 and any(p.name == "dim" and p.default == -1 for p in record.parameters)


def fits(key: object, refuses: Refusal = refusal) -> bool:
    """Whether a key is a spec that can stand behind a name.

    Example:
        >>> fits("leaky_relu(0.02)"), fits("swiglu"), fits("gleu"), fits(3)
        (True, False, False, False)
    """
    try:
        return isinstance(key, str) and not refuses(parse(key))
    except ActlabError:
        return False


def answer(key: object, known: Iterable[str], refuses: Refusal = refusal) -> str:
    """Return the spec that a key stands for, where a table has no such name.

    Args:
        key: what the table was asked for.
        known: the names it has, ours among them.
        refuses: why a spec cannot be an entry of this table.

    Raises:
        NoEntryError: the key is no spec, or one that does not fit, with the reason and what to try.

    Example:
        >>> answer("leaky_relu(0.02)", ["relu"])
        'leaky_relu(0.02)'
    """
    if not isinstance(key, str):
        raise NoEntryError(f"An activation is looked up by a string, got {type(key).__name__}: {key!r}.")
    try:
        spec = parse(key)
    except UnknownNameError as error:
        hint = "`actlab list` shows ActLab's; specs such as 'leaky_relu(0.02)' are names, too."
        raise NoEntryError(str(UnknownNameError("activation", error.name, known, hint))) from None
    except ActlabError as error:
        raise NoEntryError(str(error)) from None
    if reason := refuses(spec):
        raise NoEntryError(f"{key!r} cannot be had by name: {reason}.{_instead(spec.activation)}")
    return key


def _instead(record: Activation) -> str:
    """Return what to write in the place of a gated function."""
    if record.kind != "gated":
        return ""
    alone = _gate_alone(record)
    take = f": {alone!r} is that of {record.name}" if alone else ""
    return (
        " A block that has two maps and multiplies them (Llama's MLP, GluMlp) wants the function of the gate alone"
        f"{take}. A block with one map becomes gated by actlab.swap_(model, {record.name!r}, example_inputs)."
    )


def _gate_alone(record: Activation) -> str | None:
    """Return the elementwise function that a gated one applies to its gate, at the defaults, where we have it."""
    gate, value = record.inputs
    whole = _at_defaults(record)
    once, twice = (whole.xreplace({value: sympy.Integer(number)}) for number in (1, 2))
    if sympy.expand(twice - 2 * once) != 0:
        return None  # what it does to the value is more than multiply
    records = sorted((get(name) for name in names("elementwise")), key=lambda other: len(other.parameters))
    same = (other.name for other in records if _at_defaults(other).xreplace({other.inputs[0]: gate}) == once)
    return next(same, None)


def _at_defaults(record: Activation) -> sympy.Expr:
    return record.formula.xreplace({p.symbol: sympy.nsimplify(p.default, rational=True) for p in record.parameters})


def learns(spec: Spec) -> bool:
    """Whether a spec has parameters that training learns."""
    return any(isinstance(value, Learned) for _, value in spec.assigned)
