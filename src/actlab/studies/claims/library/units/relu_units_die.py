"""Death of ReLU units under large learning rates."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

_ARMS = ("relu", "leaky_relu", "prelu", "elu")
# A unit in twenty; the source speaks of up to 40 %.
_SHARE = 0.05

claim = Claim(
    sentence="ReLU units die when the learning rate is large: they are zero on the whole training set and never active again.",
    source=Source(
        text="Karpathy, notes of CS231n, Neural Networks Part 1: up to 40 % of a network can be dead",
        url="https://cs231n.github.io/neural-networks-1/",
    ),
    domain="vision",
    about=("relu", "dead units", "learning rate"),
    studies={
        "sgd_small": ClaimStudy(task="deep-digits:sgd-0.03", arms=_ARMS, seeds=12, most=40),
        "sgd_large": ClaimStudy(task="deep-digits:sgd-0.3", arms=_ARMS, seeds=12, most=40),
        "adam_small": ClaimStudy(task="deep-digits:adam-0.003", arms=_ARMS, seeds=12, most=40),
        "adam_large": ClaimStudy(task="deep-digits:adam-0.03", arms=_ARMS, seeds=12, most=40),
    },
    parts=tuple(
        Part(
            says=f"more ReLU units are dead after {name} at {large} than at {small}",
            effect=difference("relu", "relu", column="metrics.dead", study=f"{key}_large", beside=f"{key}_small"),
            smallest=_SHARE,
            unit="share of the hidden units",
            condition=f"optimizer={key}",
        )
        for key, name, small, large in (("sgd", "SGD", 0.03, 0.3), ("adam", "Adam", 0.003, 0.03))
    ),
    note=(
        "Digits, four hidden layers of 64, He's initialization, 20 epochs. The large rates are ten times the small ones, and "
        "such that ReLU nets still train. Dead is a unit whose output and slope are zero on all 1,257 training images, at the end."
    ),
)
