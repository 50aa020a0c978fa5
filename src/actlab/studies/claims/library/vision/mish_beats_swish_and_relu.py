"""Accuracy of Mish against Swish and ReLU on small convolutional nets."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

_ARMS = ("relu", "silu", "mish")
# Means of the paper's 23 runs (README, SqueezeNet on CIFAR-10): Mish 87.48, Swish 87.32, ReLU 86.66.
_CLAIMED = {"relu": 0.0082, "silu": 0.0016}
_NAMES = {"relu": "ReLU", "silu": "Swish"}


def _parts(study: str) -> tuple[Part, ...]:
    return tuple(
        Part(
            says=f"Mish is more accurate than {_NAMES[arm]}",
            effect=difference("mish", arm, study=study),
            smallest=smallest,
            unit="accuracy",
            condition=study,
        )
        for arm, smallest in _CLAIMED.items()
    )


claim = Claim(
    sentence="Mish is more accurate than Swish and ReLU.",
    source=Source(text="Misra 2019, table 1, and the 23 runs of the repository's README", arxiv="1908.08681"),
    domain="vision",
    about=("mish", "silu", "swish"),
    studies={
        "digits": ClaimStudy(task="digits:cnn", arms=_ARMS, seeds=20, most=60, tune="lr"),
        "MNIST-1D": ClaimStudy(task="mnist1d:cnn", arms=_ARMS, seeds=12, most=40, tune="lr"),
    },
    parts=(*_parts("digits"), *_parts("MNIST-1D")),
    note=(
        "Small convolutional nets without normalisation, with tuned learning rates; the source has SqueezeNet on CIFAR-10 at one rate. The "
        "effects are its own differences in accuracy."
    ),
)
