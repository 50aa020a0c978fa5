"""Accuracy that ReLU-type and smooth functions keep when the smallest weights are set to zero."""

from actlab.studies.claims.claim import Cell, Claim, ClaimStudy, Effect, Part, Source

_ARMS = ("relu", "leaky_relu", "squared_relu", "gelu", "silu", "tanh")
_RELU, _SMOOTH = ("relu", "leaky_relu"), ("gelu", "silu")
_AXES = ("compression",)


def _kept(study: str) -> Effect:
    """Return by how much less accuracy ReLU-type functions lose than smooth ones."""
    return Effect(
        cells=tuple(
            Cell(arms=arms, column=f"axes.compression.{column}", study=study, weight=weight)
            for arms, sign in ((_RELU, 1.0), (_SMOOTH, -1.0))
            for column, weight in (("pruned_80", sign), ("unchanged", -sign))
        )
    )


def _part(study: str, condition: str, smallest: float) -> Part:
    return Part(
        says="less accuracy lost with 80 % of the weights at zero",
        effect=_kept(study),
        smallest=smallest,
        unit="accuracy",
        condition=condition,
    )


claim = Claim(
    sentence="Nets with ReLU-type functions can be pruned further than nets with smooth ones.",
    source=Source(text="folklore: units that are off do not miss the weights that are cut"),
    domain="vision",
    about=("relu", "leaky_relu", "gelu", "silu", "pruning"),
    studies={
        "fashion": ClaimStudy(task="fashion-mnist:depth-4", arms=_ARMS, seeds=10, most=30, tune="lr", evaluate=_AXES),
        "digits": ClaimStudy(task="digits:cnn", arms=_ARMS, seeds=20, most=60, tune="lr", evaluate=_AXES),
    },
    parts=(
        # A tenth of what ReLU loses on Fashion-MNIST (29 points), and a fifth on digits (2 to 3).
        _part("fashion", "data=Fashion-MNIST", 0.03),
        _part("digits", "data=digits", 0.005),
    ),
    note=(
        "The smallest weights of all layers together are set to zero after the training, and nothing is trained again. ReLU and"
        " leaky ReLU against GELU and SiLU; learning rates are tuned on the net that is not pruned. The other arms are those of"
        " further claims on the same trainings."
    ),
)
