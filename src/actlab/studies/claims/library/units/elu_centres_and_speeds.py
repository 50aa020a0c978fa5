"""Means of ELU units near zero, and the speed of their training."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

_TASK, _ARMS = "deep-digits:elu-paper", ("relu", "leaky_relu", "elu")
_OTHERS = ("relu", "leaky_relu")
# A twentieth of the way from units that are constant to units of mean 0.
_OFFSET = 0.05
# A mean training loss that is lower by a tenth.
_LOSS = 0.0458


def _parts(study: str, condition: str) -> tuple[Part, Part]:
    return (
        Part(
            says="the means of ELU units are nearer to zero than those of ReLU and LeakyReLU",
            effect=difference("elu", _OTHERS, column="metrics.offset", larger=False, study=study),
            smallest=_OFFSET,
            unit="mean of a unit over the root mean square of its layer",
            condition=condition,
        ),
        Part(
            says="the mean training loss of ELU is below that of ReLU and LeakyReLU",
            effect=difference("elu", _OTHERS, column="mean_loss", larger=False, study=study, scale="log10"),
            smallest=_LOSS,
            unit="decades of the training loss",
            condition=condition,
        ),
    )


claim = Claim(
    sentence="ELU pushes the means of activations toward zero, which speeds up the training.",
    source=Source(text="Clevert, Unterthiner & Hochreiter 2016, section 4.1 and figure 2", arxiv="1511.07289"),
    domain="vision",
    about=("elu", "relu", "speed"),
    studies={
        "paper": ClaimStudy(task=_TASK, arms=_ARMS, seeds=10, most=30),
        "tuned": ClaimStudy(task=_TASK, arms=_ARMS, seeds=10, most=30, tune="lr"),
        "matched": ClaimStudy(task=_TASK, arms=_ARMS, seeds=10, most=30, tune="lr", init="matched"),
    },
    parts=(
        *_parts("paper", "one learning rate for all, as in the paper"),
        *_parts("tuned", "learning rates tuned"),
        *_parts("matched", "learning rates tuned, init=matched"),
    ),
    note=(
        "The net of the paper (8 x 128, He's initialization, SGD at 0.01, batches of 64) on scikit-learn's digits for 60 epochs, where the "
        "paper has MNIST for 300. Means are those of each unit over the training split at the end. Speed is the mean of the training loss "
        "over all steps, at tuned rates too: a function whose steps are effectively larger is faster at a common small rate. "
        "That one causes the other is not tested."
    ),
)
