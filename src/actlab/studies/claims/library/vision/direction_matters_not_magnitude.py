"""Backward functions of the right sign and another magnitude, or of the wrong sign."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

_ARMS = ("tanh", "tanh/1", "tanh/jam", "tanh/-1", "step/sigmoid", "step/1", "step/-1")
_TIE = 0.01  # accuracy, the margin of the experiments on this paper in docs/evidence/jamming.md
_WRONG = 0.05  # accuracy: what matters is whether the net still learns

_STUDIES = {
    "one hidden layer, SGD": ClaimStudy(task="jamming:digits", arms=_ARMS, seeds=16, most=60, tune="lr"),
    "four hidden layers, Adam": ClaimStudy(task="digits:depth-4", arms=_ARMS, seeds=16, most=60, tune="lr"),
}


def _tie(one: str, other: str, says: str, study: str) -> Part:
    return Part(
        says=says,
        kind="tie",
        effect=difference(one, other, study=study),
        smallest=_TIE,
        unit="accuracy",
        condition=study,
    )


def _worse(right: str, wrong: str, says: str, study: str) -> Part:
    return Part(
        says=says, effect=difference(right, wrong, study=study), smallest=_WRONG, unit="accuracy", condition=study
    )


def _parts(study: str) -> tuple[Part, ...]:
    return (
        _tie("tanh/1", "tanh", "tanh: the factor 1 ties with the derivative", study),
        _tie("tanh/jam", "tanh", "tanh: a random factor in (0, 1) ties with the derivative", study),
        _tie("step/1", "step/sigmoid", "step: the factor 1 ties with the slope of a sigmoid", study),
        _worse("tanh", "tanh/-1", "tanh: the wrong sign costs accuracy", study),
        _worse("step/sigmoid", "step/-1", "step: the wrong sign costs accuracy", study),
    )


claim = Claim(
    sentence="The magnitude of the gradient through an activation does not matter, its direction does.",
    source=Source(
        text="Troiano, Gissi, Benedetto & Tortora 2025, Neurocomputing 654, proposition 1 and section 4",
        arxiv="2509.07236",
    ),
    domain="vision",
    about=("step", "binary nets", "gradient rules", "jam"),
    studies=_STUDIES,
    parts=tuple(part for study in _STUDIES for part in _parts(study)),
    note=(
        "Functions whose derivative, or the rule in its place, is positive everywhere, so that only the magnitude changes; the wrong sign "
        "is the factor -1. Learning rates are tuned for every rule, as a rule of another mean is another learning rate as well."
    ),
)
