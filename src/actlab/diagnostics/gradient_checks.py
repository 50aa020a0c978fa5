"""Checks for vanishing and exploding gradients, and for a softmax or sigmoid applied twice."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, log10
from typing import Final

from actlab.diagnostics.check import Check, Finding
from actlab.diagnostics.measurements import Measurements
from actlab.diagnostics.remedy import InsertNorms, LogitsOutput, MatchedInit, Remedy
from actlab.errors import ActlabError
from actlab.functions.analysis.edge_of_chaos import slope_moment
from actlab.functions.analysis.facts import gain
from actlab.nn.probes.propagation import Layer
from actlab.system.plural import plural

__all__ = ["GRADIENT_CHECKS", "LOST"]

# decades (powers of ten) between the gradient of the last layer and that of the first; LeNet at torch's init has 1.9 and trains
LOST: Final = 2.5
# a layer whose weights differ from the scale its activation needs by more than this factor is named as the cause
_OFF: Final = 3.0

_HE = "He et al. 2015, arXiv:1502.01852"
_DEPTH = "Schoenholz et al. 2017, arXiv:1611.01232"
_NORMS = "Ioffe & Szegedy 2015, arXiv:1502.03167"
_GLOROT = "Glorot & Bengio 2010, AISTATS"


# ---------------------------------------------------------------------------------------- gradients


def _vanishing(check: Check, measured: Measurements) -> Iterator[Finding]:
    return _gradient_finding(check, measured, "vanish")


def _exploding(check: Check, measured: Measurements) -> Iterator[Finding]:
    return _gradient_finding(check, measured, "explode")


def _gradient_finding(check: Check, measured: Measurements, kind: str) -> Iterator[Finding]:
    depth = measured.propagation
    trouble = depth.trouble if depth else None
    if depth is None or trouble is None or trouble.kind != kind or abs(depth.decades) < LOST:
        return
    begins = next(layer for layer in depth.layers if layer.path == trouble.begins)
    matched = _forecast_at_gain(depth.layers)
    init_suffices = matched is not None and abs(matched) < LOST
    evidence = {"decades": depth.decades, "decades_forecast": depth.decades_forecast, "chi": begins.chi}
    evidence |= {"weight": begins.weight, "layers": float(len(depth.layers))}
    evidence |= {} if matched is None else {"decades_at_matched_init": matched}
    size = f"{depth.decades:+.1f} decades" if isfinite(depth.decades) else "to exactly zero"
    sentence = (
        f"Gradients {kind}: {size} over {plural(len(depth.layers), 'layer')} (closed form {depth.decades_forecast:+.1f} decades). "
        f"From the output backward, it begins at layer {begins.path} ({begins.spec}).{_cause(depth.layers)}"
    )
    yield check.finding(
        sentence,
        layer=begins.path,
        site=begins.site,
        evidence=evidence,
        remedies=tuple(_gradient_remedies(measured, init_suffices=init_suffices)),
    )


def _gradient_remedies(measured: Measurements, *, init_suffices: bool) -> Iterator[Remedy]:
    """Yield the matched init if the closed form predicts that it suffices, else ReLU with its init; norms if there are none."""
    if init_suffices:
        yield Remedy(changes=(MatchedInit(),), source=_HE)
    else:
        swap = measured.swap([layer.site for layer in measured.layers], "relu")
        if swap is not None:
            yield Remedy(changes=(swap, MatchedInit()), source=f"{_GLOROT}; {_HE}")
    if not measured.norms:
        yield Remedy(changes=(InsertNorms(),), source=_NORMS)


def _forecast_at_gain(layers: tuple[Layer, ...]) -> float | None:
    """Return the decades that the closed form predicts at the matched init; None if it does not know every function."""
    try:
        return sum(_decades_at_gain(layer.spec) for layer in layers[:-1])
    except ActlabError:
        return None


def _decades_at_gain(spec: str) -> float:
    """Return log10 of the gradient's factor per layer at this function's gain, where the second moment q stays 1."""
    return log10(gain(spec) ** 2 * slope_moment(spec, 1.0)) / 2


def _cause(layers: tuple[Layer, ...]) -> str:
    """Name the first layer whose weights are far from the scale its preceding activation needs; "" if most layers are."""
    off = [(layer, factor) for layer, factor in _weight_factors(layers) if not 1 / _OFF < factor < _OFF]
    if not off or len(off) > len(layers) / 2:
        return ""  # then the init of the whole model is the cause, not one layer
    layer, factor = off[0]
    return f" The weights of {layer.path} are {factor:.3g} times the scale that the activation before them needs."


def _weight_factors(layers: tuple[Layer, ...]) -> Iterator[tuple[Layer, float]]:
    for number, layer in enumerate(layers):
        try:
            needed = gain(layers[number - 1].spec) if layer.follows else 1.0
        except ActlabError:
            continue
        yield layer, layer.weight / needed


# ---------------------------------------------------------------------------------------- output and loss


def _softmax_twice(check: Check, measured: Measurements) -> Iterator[Finding]:
    return _doubled_output_finding(check, measured, "softmax")


def _sigmoid_twice(check: Check, measured: Measurements) -> Iterator[Finding]:
    return _doubled_output_finding(check, measured, "sigmoid")


def _doubled_output_finding(check: Check, measured: Measurements, function: str) -> Iterator[Finding]:
    if measured.doubled_output != function:
        return
    change = LogitsOutput(function="softmax" if function == "softmax" else "sigmoid")
    evidence = (
        "each row of outputs sums to 1, and the loss does not change when a constant is added to a row"
        if function == "softmax"
        else "the outputs lie between 0 and 1, and the loss at outputs of 20 and -20 is that of logits"
    )
    yield check.finding(
        f"The model ends in a {function}, and the loss applies another one: {evidence}.",
        remedies=(Remedy(changes=(change,), source=check.source),),
    )


GRADIENT_CHECKS: Final = (
    Check(
        name="softmax before a loss that has one",
        kind="fault",
        statement="A loss that applies a softmax takes logits; with two softmaxes, logits of two classes differ by at most 1.",
        source="torch documentation, CrossEntropyLoss: input is expected to contain unnormalised logits",
        run=_softmax_twice,
    ),
    Check(
        name="sigmoid before a loss that has one",
        kind="fault",
        statement="A loss that applies a sigmoid takes logits.",
        source="torch documentation, BCEWithLogitsLoss",
        run=_sigmoid_twice,
    ),
    Check(
        name="vanishing gradients",
        kind="fault",
        statement=f"With a gradient {LOST} decades smaller at the first layer than at the last, the first layers are hardly trained.",
        source=f"{_GLOROT}; {_HE}; {_DEPTH}",
        run=_vanishing,
        topics=(("vanishing gradients",),),
    ),
    Check(
        name="exploding gradients",
        kind="fault",
        statement=f"With a gradient {LOST} decades larger at the first layer than at the last, training changes the first layers only.",
        source=f"{_HE}; {_DEPTH}",
        run=_exploding,
        topics=(("exploding gradients",),),
    ),
)
"""Checks of the output function and the gradients, in the order in which faults should be repaired."""
