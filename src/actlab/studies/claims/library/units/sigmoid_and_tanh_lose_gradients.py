"""Loss of gradients with depth in sigmoid and tanh nets, against the closed form."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, value

_ARMS = ("relu", "sigmoid", "tanh")
# A factor of two of the norm, over 19 layers.
_DEVIATION = 0.3
# A factor of ten, from which a gradient is said to vanish (actlab.propagation).
_DECADE = 1.0


def _parts(arm: str, study: str, condition: str) -> tuple[Part, Part]:
    return (
        Part(
            says=f"the gradient of {arm} loses decades over 20 layers",
            effect=value(arm, column="metrics.decades", study=study, larger=False),
            smallest=_DECADE,
            unit="decades",
            condition=condition,
        ),
        Part(
            says=f"the gradient of {arm} changes by what the closed form predicts",
            kind="tie",
            effect=value(arm, column="metrics.deviation", study=study),
            smallest=_DEVIATION,
            unit="decades",
            condition=condition,
        ),
    )


claim = Claim(
    sentence="Sigmoid and tanh nets lose their gradients with depth, as the closed form of signal propagation predicts.",
    source=Source(text="Glorot & Bengio 2010; prediction of Schoenholz et al. 2017, section 3", arxiv="1611.01232"),
    domain="theory",
    about=("sigmoid", "tanh", "depth", "vanishing gradients", "initialization"),
    studies={
        "torch": ClaimStudy(task="gradient:depth-20", arms=_ARMS, seeds=20, most=60),
        "matched": ClaimStudy(task="gradient:depth-20", arms=_ARMS, seeds=20, most=60, init="matched"),
    },
    parts=(
        *_parts("sigmoid", "torch", "init=fixed (torch's)"),
        *_parts("tanh", "torch", "init=fixed (torch's)"),
        *_parts("sigmoid", "matched", "init=matched"),
        *_parts("tanh", "matched", "init=matched"),
    ),
    note=(
        "Before training: 20 hidden layers of 256, on 256 of scikit-learn's digits. Counted are decades of the gradient's norm in the "
        "first hidden layer, against the last one. The prediction knows the functions, the widths and the drawn weights' mean squares only."
    ),
)
