"""Loss of plasticity in slowly changing regression, and the slope of a leaky form that keeps it."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference, value

# A tenth of the squared error of a linear learner in the paper's figure, 0.87 to 0.90; the growth there is 0.5 to 0.7 for ReLU.
_GROWTH = 0.09
_LOSING = ("relu", "tanh", "leaky_relu(0.01)")
_NAMES = {"relu": "ReLU", "tanh": "tanh", "leaky_relu(0.01)": "LeakyReLU with the slope 0.01"}

claim = Claim(
    sentence=(
        "Nets that learn online on a slowly changing problem lose plasticity with ReLU, tanh and a leaky slope of 0.01: with ReLU they end "
        "worse than a linear learner. A leaky slope of 0.7 keeps it."
    ),
    source=Source(
        text="Dohare et al. 2023, figure on slowly changing regression (Nature 632, 2024); slope 0.7: the range of arXiv:2509.22562",
        arxiv="2306.13812",
    ),
    domain="theory",
    about=("relu", "tanh", "leaky_relu", "plasticity"),
    studies={
        "main": ClaimStudy(
            task="slow-regression",
            arms=("relu", "tanh", "leaky_relu(0.01)", "leaky_relu(0.7)", "identity"),
            seeds=8,
            most=20,
        )
    },
    parts=(
        *(
            Part(
                says=f"the error of {_NAMES[arm]} grows from the first to the last 20,000 examples",
                effect=value(arm, column="metrics.growth"),
                smallest=_GROWTH,
                unit="squared error",
            )
            for arm in _LOSING
        ),
        Part(
            says="ReLU ends with a larger error than a linear learner",
            effect=difference("relu", "identity", column="metric"),
            smallest=_GROWTH,
            unit="squared error",
        ),
        Part(
            says="the error of LeakyReLU with the slope 0.7 does not grow",
            kind="tie",
            effect=value("leaky_relu(0.7)", column="metrics.growth"),
            smallest=_GROWTH,
            unit="squared error",
        ),
        Part(
            says="LeakyReLU with the slope 0.01 ends with the error of ReLU",
            kind="tie",
            effect=difference("leaky_relu(0.01)", "relu", column="metric"),
            smallest=_GROWTH,
            unit="squared error",
            judged=False,
        ),
        Part(
            says="LeakyReLU with the slope 0.7 ends with a smaller error than a linear learner",
            effect=difference("leaky_relu(0.7)", "identity", column="metric", larger=False),
            smallest=_GROWTH,
            unit="squared error",
            judged=False,
        ),
    ),
    note=(
        "SGD at 0.01, as in the paper, 300,000 examples where the paper has a million; all fifteen slow bits are drawn anew every 10,000 "
        "examples, as in the authors' code and figure, where the text has one. Eight nets with problems of their own are one seed. Weights "
        "of all arms are drawn as for ReLU. The linear learner is the same net with the identity."
    ),
)
