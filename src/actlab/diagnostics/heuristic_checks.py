"""Checks for published rules of thumb about activation choice, and the list of all checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from actlab.diagnostics.check import Check, Finding
from actlab.diagnostics.gradient_checks import GRADIENT_CHECKS
from actlab.diagnostics.measurements import HiddenActivation, Measurements
from actlab.diagnostics.remedy import AlphaDropout, MatchedInit, Remedy
from actlab.diagnostics.unit_checks import DEAD_CHANNELS_CHECK, UNIT_CHECKS

__all__ = ["CHECKS", "DEEP", "HEURISTIC_CHECKS", "run_checks"]

# convolutions without a norm from which a net counts as deep
DEEP: Final = 6
# range of weight scales accepted as LeCun's init, whose scale is 1; torch's default is 0.58
_LECUN: Final = (0.83, 1.2)
_SIGMOIDS: Final = ("sigmoid", "hardsigmoid", "softmax")
_SNN = "Klambauer et al. 2017, arXiv:1706.02515"


def _function_name(site: HiddenActivation) -> str:
    return (site.spec or "").partition("(")[0]


def _listed(sites: list[HiddenActivation]) -> str:
    shown = ", ".join(site.path for site in sites[:3])
    return shown if len(sites) <= 3 else f"{shown} and {len(sites) - 3} more"


def _sites_finding(
    check: Check, measured: Measurements, sites: list[HiddenActivation], sentence: str, *specs: str
) -> Iterator[Finding]:
    """Yield one finding for all sites, with one swap per spec."""
    if not sites:
        return
    paths = [site.path for site in sites]
    swaps = [swap for spec in specs if (swap := measured.swap(paths, spec)) is not None]
    remedies = tuple(Remedy(changes=(swap,), source=check.source) for swap in swaps)
    evidence = {"sites": float(len(sites))}
    yield check.finding(sentence, layer=sites[0].layer, site=sites[0].path, evidence=evidence, remedies=remedies)


def _sigmoid_inside(check: Check, measured: Measurements) -> Iterator[Finding]:
    sites = [site for site in measured.hidden if _function_name(site) in _SIGMOIDS and site.feeds_layer]
    names = " and ".join(dict.fromkeys(map(_function_name, sites)))
    sentence = (
        f"Hidden {names} at {_listed(sites)}: the result goes into the next layer, not into a gate or the output."
    )
    return _sites_finding(check, measured, sites, sentence, "relu", "tanh")


def _relu_in_transformer(check: Check, measured: Measurements) -> Iterator[Finding]:
    relus = [site for site in measured.hidden if _function_name(site) == "relu" and site.feeds_layer]
    sites = relus if measured.has_attention else []
    return _sites_finding(check, measured, sites, f"ReLU in a transformer's MLP, at {_listed(sites)}.", "gelu")


def _relu_in_deep_cnn(check: Check, measured: Measurements) -> Iterator[Finding]:
    relus = [site for site in measured.hidden if _function_name(site) == "relu"]
    sites = [site for site in relus if site.layer_class.startswith("Conv")]
    if len(sites) < DEEP or measured.norms:
        return iter(())
    sentence = f"ReLU after each of {len(sites)} convolutions without normalization; the first is {sites[0].path}."
    return _sites_finding(check, measured, sites, sentence, "leaky_relu(0.1)")


def _selu_init(check: Check, measured: Measurements) -> Iterator[Finding]:
    low, high = _LECUN
    off = [layer for layer in measured.layers if layer.spec.startswith("selu") and not low < layer.weight < high]
    if not off:
        return
    layers = f"{len(off)} layer{'s' if len(off) > 1 else ''}"
    yield check.finding(
        f"SELU preserves mean 0 and variance 1 only if weights have scale 1; those of {off[0].path} have scale {off[0].weight:.2f} "
        f"({layers} out of range).",
        layer=off[0].path,
        site=off[0].site,
        evidence={"weight": off[0].weight, "layers": float(len(off)), "q": off[0].q},
        remedies=tuple(_selu_remedies(check, measured)),
    )


def _selu_remedies(check: Check, measured: Measurements) -> Iterator[Remedy]:
    yield Remedy(changes=(MatchedInit(),), source=check.source)
    if measured.dropouts:
        yield Remedy(changes=(MatchedInit(), AlphaDropout()), source=check.source)


def _selu_dropout(check: Check, measured: Measurements) -> Iterator[Finding]:
    if not measured.dropouts or not any(_function_name(site) == "selu" for site in measured.hidden):
        return
    yield check.finding(
        f"Plain Dropout in a SELU net, at {', '.join(measured.dropouts[:3])}: units set to zero change the mean and the variance.",
        layer=measured.dropouts[0],
        evidence={"dropouts": float(len(measured.dropouts))},
        remedies=(Remedy(changes=(AlphaDropout(),), source=check.source),),
    )


HEURISTIC_CHECKS: Final = (
    Check(
        name="sigmoid or softmax inside",
        kind="hint",
        statement="Sigmoid and softmax belong at the output and in gates.",
        source="Glorot & Bengio 2010, AISTATS; Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.3.2",
        run=_sigmoid_inside,
        topics=(("vanishing gradients", "sigmoid"),),
    ),
    Check(
        name="SELU without its init",
        kind="hint",
        statement="SELU requires weights from N(0, 1 / fan_in).",
        source=_SNN,
        run=_selu_init,
        topics=(("selu",), ("self-normalisation",)),
    ),
    Check(
        name="SELU with plain Dropout",
        kind="hint",
        statement="SELU requires AlphaDropout instead of Dropout.",
        source=_SNN,
        run=_selu_dropout,
        topics=(("selu",), ("self-normalisation",)),
    ),
    Check(
        name="GELU in transformers",
        kind="hint",
        statement="Transformers are trained with GELU.",
        source="Hendrycks & Gimpel 2016, arXiv:1606.08415; Devlin et al. 2018, arXiv:1810.04805",
        run=_relu_in_transformer,
        topics=(("gelu", "language"),),
    ),
    Check(
        name="LeakyReLU in deep convolutional nets",
        kind="hint",
        statement="Deep convolutional nets without norms are trained with LeakyReLU.",
        source="Maas et al. 2013, ICML; Xu et al. 2015, arXiv:1505.00853",
        run=_relu_in_deep_cnn,
        topics=(("leaky_relu", "vision"),),
    ),
)
"""Checks of rules of thumb; a hint counts only if its remedy wins a trial on the model."""

CHECKS: Final = (*GRADIENT_CHECKS, *UNIT_CHECKS, DEAD_CHANNELS_CHECK, *HEURISTIC_CHECKS)


def run_checks(measured: Measurements) -> tuple[Finding, ...]:
    """Run all checks and return their findings, faults first.

    Example:
        >>> from actlab.diagnostics.measurements import HiddenActivation
        >>> site = HiddenActivation(path="1", spec="sigmoid", feeds_layer=True, layer_class="Linear", layer="0", replaceable=True)
        >>> measured = Measurements(samples=0, propagation=None, at_init=None, hidden=(site,))
        >>> [(finding.rule, finding.layer, finding.prescriptions[0].name) for finding in run_checks(measured)]
        [('sigmoid or softmax inside', '0', 'relu at 1')]
    """
    return tuple(finding for check in CHECKS for finding in check.findings(measured))
