"""Faults: rules on gradients that are lost by depth, and on an end that is applied twice; read from what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, log10
from typing import Final

from actlab.diagnostics.check import Check, Finding
from actlab.diagnostics.measurements import Measurements
from actlab.diagnostics.remedy import Bare, MatchedInit, Measure, Norms, Remedy
from actlab.errors import ActlabError
from actlab.functions.analysis.edge_of_chaos import slope_moment
from actlab.functions.analysis.facts import gain
from actlab.nn.probes.propagation import Layer

__all__ = ["FAULTS", "LOST"]

LOST: Final = 2.5  # decades of the gradient from the last layer to the first: LeNet at torch's init has 1.9, and trains
_OFF: Final = 3.0  # times the scale its activation takes, up or down: a layer that is named as the cause

_HE = "He et al. 2015, arXiv:1502.01852"
_DEPTH = "Schoenholz et al. 2017, arXiv:1611.01232"
_NORMS = "Ioffe & Szegedy 2015, arXiv:1502.03167"
_GLOROT = "Glorot & Bengio 2010, AISTATS"


# ---------------------------------------------------------------------------------------- gradients


def _vanishing(rule: Check, examined: Measurements) -> Iterator[Finding]:
    return _lost(rule, examined, "vanish")


def _exploding(rule: Check, examined: Measurements) -> Iterator[Finding]:
    return _lost(rule, examined, "explode")


def _lost(rule: Check, examined: Measurements, kind: str) -> Iterator[Finding]:
    found = examined.propagation
    trouble = found.trouble if found else None
    if found is None or trouble is None or trouble.kind != kind or abs(found.decades) < LOST:
        return
    begins = next(layer for layer in found.layers if layer.path == trouble.begins)
    after = _forecast_at_gain(found.layers)
    saved = after is not None and abs(after) < LOST
    evidence = {"decades": found.decades, "decades_forecast": found.decades_forecast, "chi": begins.chi}
    evidence |= {"weight": begins.weight, "layers": float(len(found.layers))}
    evidence |= {} if after is None else {"decades_at_matched_init": after}
    size = f"{found.decades:+.1f} decades" if isfinite(found.decades) else "to exactly zero"
    sentence = (
        f"Gradients {kind}: {size} over {len(found.layers)} layers (closed form {found.decades_forecast:+.1f} decades). "
        f"Seen from the output it begins at {begins.path}, which runs {begins.spec}.{_cause(found.layers)}"
    )
    yield rule.found(
        sentence,
        layer=begins.path,
        site=begins.site,
        evidence=evidence,
        prescriptions=tuple(_for_gradients(examined, saved=saved)),
    )


def _for_gradients(examined: Measurements, *, saved: bool) -> Iterator[Remedy]:
    """Yield the gain where the closed form says that it is enough, else another function with its gain; and norms, where there are none."""
    if saved:
        yield Remedy(measures=(MatchedInit(),), source=_HE)
    else:
        swap = examined.swap([layer.site for layer in examined.layers], "relu")
        if swap is not None:
            yield Remedy(measures=(swap, MatchedInit()), source=f"{_GLOROT}; {_HE}")
    if not examined.norms:
        yield Remedy(measures=(Norms(),), source=_NORMS)


def _forecast_at_gain(layers: tuple[Layer, ...]) -> float | None:
    """Return the decades that the closed form leaves at the matched init, where it knows every function."""
    try:
        return sum(_decades_at_gain(layer.spec) for layer in layers[:-1])
    except ActlabError:
        return None


def _decades_at_gain(spec: str) -> float:
    """Return log10 of the gradient's factor of one layer of a net at this function's gain, which keeps q = 1."""
    return log10(gain(spec) ** 2 * slope_moment(spec, 1.0)) / 2


def _cause(layers: tuple[Layer, ...]) -> str:
    """Name the first layer whose weights are far from the scale that the activation before them takes, if they are not all."""
    off = [(layer, factor) for layer, factor in _factors(layers) if not 1 / _OFF < factor < _OFF]
    if not off or len(off) > len(layers) / 2:
        return ""  # most are: it is the init of the whole
    layer, factor = off[0]
    return f" The weights of {layer.path} are {factor:.3g} times the scale that the activation before them takes."


def _factors(layers: tuple[Layer, ...]) -> Iterator[tuple[Layer, float]]:
    for number, layer in enumerate(layers):
        try:
            wanted = gain(layers[number - 1].spec) if layer.follows else 1.0
        except ActlabError:
            continue
        yield layer, layer.weight / wanted


# --------------------------------------------------------------------------------------------- the end


def _softmax_twice(rule: Check, examined: Measurements) -> Iterator[Finding]:
    return _twice(rule, examined, "softmax")


def _sigmoid_twice(rule: Check, examined: Measurements) -> Iterator[Finding]:
    return _twice(rule, examined, "sigmoid")


def _twice(rule: Check, examined: Measurements, function: str) -> Iterator[Finding]:
    if examined.twice != function:
        return
    bare: Measure = Bare(function="softmax" if function == "softmax" else "sigmoid")
    how = (
        "the outputs of a row are probabilities, and the loss does not change when a number is added to all of them"
        if function == "softmax"
        else "the outputs lie between 0 and 1, and the loss of outputs of 20 and -20 is that of logits"
    )
    yield rule.found(
        f"The model ends in a {function}, and the loss applies one too: {how}.",
        prescriptions=(Remedy(measures=(bare,), source=rule.source),),
    )


FAULTS: Final = (
    Check(
        name="softmax before a loss that has one",
        kind="fault",
        says="A loss that applies a softmax takes logits: the second softmax lets at most 1 pass between classes.",
        source="torch documentation, CrossEntropyLoss: input is expected to contain unnormalised logits",
        read=_softmax_twice,
    ),
    Check(
        name="sigmoid before a loss that has one",
        kind="fault",
        says="A loss that applies a sigmoid takes logits.",
        source="torch documentation, BCEWithLogitsLoss",
        read=_sigmoid_twice,
    ),
    Check(
        name="vanishing gradients",
        kind="fault",
        says=f"A gradient that loses {LOST} decades on its way back leaves the first layers as they were drawn.",
        source=f"{_GLOROT}; {_HE}; {_DEPTH}",
        read=_vanishing,
    ),
    Check(
        name="exploding gradients",
        kind="fault",
        says=f"A gradient that gains {LOST} decades on its way back moves the first layers only.",
        source=f"{_HE}; {_DEPTH}",
        read=_exploding,
    ),
)
"""What was measured to be wrong with the end and the gradients, in the order in which it is worth mending."""
