"""Speed of the training loss, and error, of GELU on the MLP of its paper."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

_ARMS = ("relu", "gelu", "elu")
# 5 %: the paper gives curves only, in which the training log loss of GELU is visibly the lowest; less than that would not be seen there.
_LOSS = 0.021
# Half a percentage point: the paper calls its test errors similar, and its errors on larger nets differ by 0.3 to 1 points.
_ERROR = 0.005


def _parts(study: str, condition: str) -> tuple[Part, ...]:
    return tuple(
        part
        for other in ("relu", "elu")
        for part in (
            Part(
                says=f"mean of the training loss of GELU below that of {other}",
                effect=difference("gelu", other, column="mean_loss", larger=False, study=study, scale="log10"),
                smallest=_LOSS,
                unit="decades",
                condition=condition,
            ),
            Part(
                says=f"errors of GELU and {other} tie",
                kind="tie",
                effect=difference("gelu", other, study=study),
                smallest=_ERROR,
                unit="accuracy",
                condition=condition,
            ),
        )
    )


claim = Claim(
    sentence="GELU lowers the training loss faster than ReLU and ELU, and ends in a tie on error.",
    source=Source(text="Hendrycks & Gimpel 2016, section 3.1", arxiv="1606.08415"),
    domain="vision",
    about=("gelu", "elu", "training speed"),
    studies={
        "fashion": ClaimStudy(task="fashion-mnist:mlp", arms=_ARMS, seeds=8, most=24),
        "dropout": ClaimStudy(task="digits:dropout-0.2", arms=_ARMS, seeds=12, most=40, tune="lr"),
    },
    parts=(*_parts("fashion", "Fashion-MNIST, no dropout"), *_parts("dropout", "digits, dropout 0.2")),
    note=(
        "The paper's 8x128 net and init, on Fashion-MNIST for MNIST, 20 epochs for 50, at the largest of the paper's three learning rates "
        "(1e-3), and on scikit-learn's digits with tuned rates and dropout of 0.2 for 0.5, with which so few images are not "
        "learnt. The training loss is that of batches while training, averaged over the whole training."
    ),
)
