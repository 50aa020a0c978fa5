"""Prevention of dead units by LeakyReLU, PReLU and ELU."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference, value

_ARMS = ("relu", "leaky_relu", "prelu", "elu")
_LEAKY = ("leaky_relu", "prelu", "elu")
_NAMES = {"sgd": "SGD at 0.3", "adam": "Adam at 0.03"}
# A unit in twenty, as in the claim that ReLU units die.
_SHARE = 0.05
# A unit in a hundred, below which no unit counts as dead in practice.
_NONE = 0.01


def _parts(key: str) -> tuple[Part, ...]:
    study, condition, where = f"{key}_large", f"optimizer={key}", _NAMES[key]
    return (
        Part(
            says=f"fewer units are dead than with ReLU, after {where}",
            effect=difference(_LEAKY, "relu", column="metrics.dead", larger=False, study=study),
            smallest=_SHARE,
            unit="share of the hidden units",
            condition=condition,
        ),
        Part(
            says=f"no unit of the three is dead after {where}",
            kind="tie",
            effect=value(_LEAKY, column="metrics.dead", study=study),
            smallest=_NONE,
            unit="share of the hidden units",
            condition=condition,
        ),
        Part(
            says=f"no unit of ELU is stuck on its flat end either, after {where}",
            kind="tie",
            effect=value("elu", column="metrics.stuck", study=study),
            smallest=_NONE,
            unit="share of the hidden units",
            judged=False,
        ),
        Part(
            says=f"the nets are more accurate than those of ReLU, after {where}",
            effect=difference(_LEAKY, "relu", study=study),
            smallest=0.005,  # what the task holds to be equal
            unit="accuracy",
            judged=False,
        ),
    )


claim = Claim(
    sentence="LeakyReLU, PReLU and ELU prevent dead units, because their slope is not zero below zero.",
    source=Source(
        text="Maas, Hannun & Ng 2013 (LeakyReLU); He et al. 2015, arXiv:1502.01852 (PReLU); Clevert et al. 2016 (ELU)",
        arxiv="1511.07289",
    ),
    domain="vision",
    about=("leaky_relu", "prelu", "elu", "relu", "dead units"),
    studies={
        "sgd_large": ClaimStudy(task="deep-digits:sgd-0.3", arms=_ARMS, seeds=12, most=40),
        "adam_large": ClaimStudy(task="deep-digits:adam-0.03", arms=_ARMS, seeds=12, most=40),
    },
    parts=(*_parts("sgd"), *_parts("adam")),
    note=(
        "Digits, four hidden layers of 64, He's initialization, 20 epochs, at ten times a usual rate. LeakyReLU has the slope 0.01, PReLU "
        "begins at 0.25. Whether it helps the accuracy, and whether units of ELU are stuck at a slope below 1 % of the steepest, is shown. "
        "Added after the run, without a change of the rule: a training that diverges counts as the worst result in every column, also "
        "where dead units are counted. With SGD at 0.3 that were 11 of 12 nets of ELU and 8 of 12 of PReLU, against 1 of 12 of ReLU; it is "
        "why the parts for SGD do not hold, and not dead units."
    ),
)
