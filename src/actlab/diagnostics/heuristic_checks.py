"""Heuristics: rules of experience, each with its source; what they advise counts only where it wins a trial on the model at hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from actlab.diagnostics.check import Check, Finding
from actlab.diagnostics.gradient_checks import FAULTS
from actlab.diagnostics.measurements import Hidden, Measurements
from actlab.diagnostics.remedy import AlphaDropout, MatchedInit, Remedy
from actlab.diagnostics.unit_checks import DEAD_CHANNELS, LOST_UNITS

__all__ = ["DEEP", "HINTS", "RULES", "consult"]

DEEP: Final = 6  # convolutions without a norm
_LECUN: Final = (0.83, 1.2)  # scales of weights that count as LeCun's: his is 1, torch's default 0.58
_SIGMOIDS: Final = ("sigmoid", "hardsigmoid", "softmax")
_SNN = "Klambauer et al. 2017, arXiv:1706.02515"


def _name(site: Hidden) -> str:
    return (site.spec or "").partition("(")[0]


def _listed(sites: list[Hidden]) -> str:
    shown = ", ".join(site.path for site in sites[:3])
    return shown if len(sites) <= 3 else f"{shown} and {len(sites) - 3} more"


def _sites_finding(
    rule: Check, examined: Measurements, sites: list[Hidden], sentence: str, *specs: str
) -> Iterator[Finding]:
    """Yield one finding for all the sites, with a swap for each spec."""
    if not sites:
        return
    paths = [site.path for site in sites]
    wanted = [swap for spec in specs if (swap := examined.swap(paths, spec)) is not None]
    swaps = tuple(Remedy(measures=(swap,), source=rule.source) for swap in wanted)
    evidence = {"sites": float(len(sites))}
    yield rule.found(sentence, layer=sites[0].layer, site=sites[0].path, evidence=evidence, prescriptions=swaps)


def _sigmoid_inside(rule: Check, examined: Measurements) -> Iterator[Finding]:
    sites = [site for site in examined.hidden if _name(site) in _SIGMOIDS and site.feeds]
    names = " and ".join(dict.fromkeys(map(_name, sites)))
    sentence = (
        f"{names} runs inside the net, at {_listed(sites)}, and feeds the next layer; it is no gate and no output."
    )
    return _sites_finding(rule, examined, sites, sentence, "relu", "tanh")


def _relu_in_transformer(rule: Check, examined: Measurements) -> Iterator[Finding]:
    sites = [site for site in examined.hidden if _name(site) == "relu" and site.feeds and examined.attends]
    return _sites_finding(
        rule, examined, sites, f"ReLU runs between the layers of a transformer, at {_listed(sites)}.", "gelu"
    )


def _relu_in_deep_cnn(rule: Check, examined: Measurements) -> Iterator[Finding]:
    sites = [site for site in examined.hidden if _name(site) == "relu" and site.behind.startswith("Conv")]
    if len(sites) < DEEP or examined.norms:
        return iter(())
    sentence = f"ReLU runs behind {len(sites)} convolutions without any norm, from {sites[0].path} on."
    return _sites_finding(rule, examined, sites, sentence, "leaky_relu(0.1)")


def _selu_init(rule: Check, examined: Measurements) -> Iterator[Finding]:
    low, high = _LECUN
    off = [layer for layer in examined.layers if layer.spec.startswith("selu") and not low < layer.weight < high]
    if not off:
        return
    yield rule.found(
        f"SELU keeps mean 0 and variance 1 for weights of scale 1 only; those of {off[0].path} have {off[0].weight:.2f} "
        f"({len(off)} layers are off).",
        layer=off[0].path,
        site=off[0].site,
        evidence={"weight": off[0].weight, "layers": float(len(off)), "q": off[0].q},
        prescriptions=tuple(_for_selu(rule, examined)),
    )


def _for_selu(rule: Check, examined: Measurements) -> Iterator[Remedy]:
    yield Remedy(measures=(MatchedInit(),), source=rule.source)
    if examined.dropouts:
        yield Remedy(measures=(MatchedInit(), AlphaDropout()), source=rule.source)


def _selu_dropout(rule: Check, examined: Measurements) -> Iterator[Finding]:
    if not examined.dropouts or not any(_name(site) == "selu" for site in examined.hidden):
        return
    yield rule.found(
        f"Plain Dropout stands in a SELU net, at {', '.join(examined.dropouts[:3])}: what it sets to zero moves the mean and the variance.",
        layer=examined.dropouts[0],
        evidence={"dropouts": float(len(examined.dropouts))},
        prescriptions=(Remedy(measures=(AlphaDropout(),), source=rule.source),),
    )


HINTS: Final = (
    Check(
        name="sigmoid or softmax inside",
        kind="hint",
        says="Sigmoid and softmax belong at the output and in gates.",
        source="Glorot & Bengio 2010, AISTATS; Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.3.2",
        read=_sigmoid_inside,
    ),
    Check(
        name="SELU without its init",
        kind="hint",
        says="SELU only with weights from N(0, 1 / fan_in).",
        source=_SNN,
        read=_selu_init,
    ),
    Check(
        name="SELU with plain Dropout",
        kind="hint",
        says="SELU only with AlphaDropout.",
        source=_SNN,
        read=_selu_dropout,
    ),
    Check(
        name="GELU in transformers",
        kind="hint",
        says="Transformers are trained with GELU.",
        source="Hendrycks & Gimpel 2016, arXiv:1606.08415; Devlin et al. 2018, arXiv:1810.04805",
        read=_relu_in_transformer,
    ),
    Check(
        name="LeakyReLU in deep convolutional nets",
        kind="hint",
        says="Deep convolutional nets without norms are trained with LeakyReLU.",
        source="Maas et al. 2013, ICML; Xu et al. 2015, arXiv:1505.00853",
        read=_relu_in_deep_cnn,
    ),
)
"""What experience advises against."""

RULES: Final = (*FAULTS, *LOST_UNITS, DEAD_CHANNELS, *HINTS)


def consult(examined: Measurements) -> tuple[Finding, ...]:
    """Return what all rules find, faults first.

    Example:
        >>> from actlab.diagnostics.measurements import Hidden
        >>> site = Hidden(path="1", spec="sigmoid", feeds=True, behind="Linear", layer="0", replaceable=True)
        >>> examined = Measurements(samples=0, propagation=None, at_init=None, hidden=(site,))
        >>> [(found.rule, found.layer, found.prescriptions[0].name) for found in consult(examined)]
        [('sigmoid or softmax inside', '0', 'relu at 1')]
    """
    return tuple(found for rule in RULES for found in rule.findings(examined))
