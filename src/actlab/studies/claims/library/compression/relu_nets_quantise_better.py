"""Accuracy that ReLU-type and smooth functions keep in int8 and with weights in 4 bits."""

from actlab.studies.claims.claim import Cell, Claim, ClaimStudy, Effect, Part, Source

_ARMS = ("relu", "leaky_relu", "squared_relu", "gelu", "silu", "tanh")
_RELU, _SMOOTH = ("relu", "leaky_relu"), ("gelu", "silu")
_AXES = ("compression",)
# A third of what ReLU loses with weights in 4 bits (1.5 to 3 points), and a fifth of a point in int8, where it loses next to nothing.
_SMALLEST = {"int4_weights": 0.005, "int8_per_tensor": 0.002}
_WORDS = {"int4_weights": "with weights in 4 bits", "int8_per_tensor": "with weights and layer inputs in int8"}


def _kept(column: str, study: str) -> Effect:
    """Return by how much less accuracy ReLU-type functions lose than smooth ones."""
    return Effect(
        cells=tuple(
            Cell(arms=arms, column=f"axes.compression.{name}", study=study, weight=weight)
            for arms, sign in ((_RELU, 1.0), (_SMOOTH, -1.0))
            for name, weight in ((column, sign), ("unchanged", -sign))
        )
    )


def _parts(study: str, condition: str) -> tuple[Part, ...]:
    return tuple(
        Part(
            says=f"less accuracy lost {_WORDS[column]}",
            effect=_kept(column, study),
            smallest=smallest,
            unit="accuracy",
            condition=condition,
        )
        for column, smallest in _SMALLEST.items()
    )


claim = Claim(
    sentence="Nets with ReLU-type functions lose less accuracy when they are quantised than nets with smooth ones.",
    source=Source(
        text="folklore of deployment; Howard et al. 2019, section 5.2, on the loss of precision of swish in quantised nets",
        arxiv="1905.02244",
    ),
    domain="vision",
    about=("relu", "leaky_relu", "gelu", "silu", "quantisation"),
    studies={
        "fashion": ClaimStudy(task="fashion-mnist:depth-4", arms=_ARMS, seeds=10, most=30, tune="lr", evaluate=_AXES),
        "series": ClaimStudy(task="mnist1d:mlp", arms=_ARMS, seeds=14, most=40, tune="lr", evaluate=_AXES),
    },
    parts=(*_parts("fashion", "data=Fashion-MNIST"), *_parts("series", "data=MNIST-1D")),
    note=(
        "Rounding after the training, without fine-tuning: int8 with one scale a tensor for weights and layer inputs, 4 bits "
        "with one scale for each output of the weights. The function itself is computed in float, so that the cost of a smooth "
        "function on a device without floating point is not part of this. ReLU and leaky ReLU against GELU and SiLU; learning "
        "rates are tuned."
    ),
)
