"""Deep linear nets as the control, against nets with a nonlinearity and against logistic regression."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference, value

_ARMS = ("identity", "relu", "elu", "gelu", "tanh", "sigmoid")
# One point; the source has 5.6 on MNIST. On the digits, where a linear model is right for 96.7 %, half a point, a seventh of its errors.
_SMALLEST = {"digits": 0.005, "MNIST-1D": 0.01, "MNIST-1D, convolutions": 0.01, "Fashion-MNIST": 0.01}
# Logistic regression on the same splits: digits, mean of 20 seeds; MNIST-1D, of three; Fashion-MNIST, on 10,000 images.
_LOGISTIC = {"digits": 0.967, "MNIST-1D": 0.323, "Fashion-MNIST": 0.845}

_STUDIES = {
    "digits": ClaimStudy(task="digits:depth-4", arms=_ARMS, seeds=16, most=40, tune="lr"),
    "MNIST-1D": ClaimStudy(task="mnist1d:depth-4", arms=_ARMS, seeds=12, most=24, tune="lr"),
    "MNIST-1D, convolutions": ClaimStudy(task="mnist1d:cnn", arms=_ARMS[:-1], seeds=12, most=24),
    "Fashion-MNIST": ClaimStudy(task="fashion-mnist:depth-4", arms=_ARMS, seeds=12, most=24),
}


def _better(study: str) -> tuple[Part, ...]:
    return tuple(
        Part(
            says=f"{arm} is more accurate than the identity",
            effect=difference(arm, "identity", study=study),
            smallest=_SMALLEST[study],
            unit="accuracy",
            condition=study,
        )
        for arm in _STUDIES[study].arms[1:]
    )


def _tie(study: str, accuracy: float) -> Part:
    return Part(
        says=f"the deep linear net ties logistic regression ({accuracy})",
        kind="tie",
        effect=value("identity", study=study, minus=accuracy),
        smallest=0.01,  # the scores of logistic regression are known to half of that
        unit="accuracy",
        condition=study,
    )


claim = Claim(
    sentence="Without a nonlinearity a deep net is no better than logistic regression, and any nonlinearity is better.",
    source=Source(
        text="Emmimal, relu-experiment: 5 layers on MNIST, linear 91.8 %, any activation 97.4 to 98.2 %",
        url="https://github.com/Emmimal/relu-experiment",
    ),
    domain="vision",
    about=("identity", "depth"),
    studies=_STUDIES,
    parts=(
        *(part for study in _STUDIES for part in _better(study)),
        *(_tie(study, accuracy) for study, accuracy in _LOGISTIC.items()),
    ),
    note=(
        "The control of the claims on vision: plain MLPs of four hidden layers and a convolutional net without pooling, so that nothing "
        "else in them is nonlinear. Learning rates are tuned where a training takes a second."
    ),
)
