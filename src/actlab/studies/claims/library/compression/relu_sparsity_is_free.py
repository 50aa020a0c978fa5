"""Zeros in the outputs of ReLU, and what they cost in accuracy against GELU and SiLU."""

from actlab.studies.claims.claim import Cell, Claim, ClaimStudy, Effect, Part, Source, difference

_ARMS = ("relu", "leaky_relu", "squared_relu", "gelu", "silu", "tanh")
_SMOOTH = ("gelu", "silu")
_AXES = ("compression",)
_ALLOWED = (
    0.005  # half a percentage point of accuracy, below which a difference does not matter by the default of a study
)


def _parts(study: str, condition: str) -> tuple[Part, ...]:
    accuracy = difference("relu", _SMOOTH, study=study)
    sparse = tuple(
        Cell(arms=arms, column=f"axes.compression.{name}", study=study, weight=weight)
        for arms, sign in ((("relu",), 1.0), (_SMOOTH, -1.0))
        for name, weight in (("sparse_50", sign), ("unchanged", -sign))
    )
    return (
        Part(
            says="more layer inputs are exactly zero than with GELU and SiLU",
            effect=difference("relu", _SMOOTH, study=study, column="axes.compression.sparsity"),
            smallest=0.25,  # a quarter of the multiplications; the source has no smallest number
            unit="share of layer inputs",
            condition=condition,
        ),
        Part(
            says="accuracy at most half a point below that of GELU and SiLU",
            effect=Effect(cells=accuracy.cells, minus=-_ALLOWED),
            smallest=0.001,
            unit="accuracy above the allowed loss",
            condition=condition,
        ),
        Part(
            says="less accuracy lost than with GELU and SiLU where the smaller half of all layer inputs is set to zero",
            effect=Effect(cells=sparse),
            smallest=_ALLOWED,
            unit="accuracy",
            condition=condition,
            judged=False,
        ),
    )


claim = Claim(
    sentence="The outputs of ReLU are sparse, which saves multiplications at no cost in accuracy.",
    source=Source(text="Glorot et al. 2011; for language models Mirzadeh et al. 2023", arxiv="2310.04564"),
    domain="vision",
    about=("relu", "gelu", "silu", "sparsity"),
    studies={
        "fashion": ClaimStudy(task="fashion-mnist:depth-4", arms=_ARMS, seeds=10, most=30, tune="lr", evaluate=_AXES),
        "series": ClaimStudy(task="mnist1d:mlp", arms=_ARMS, seeds=14, most=40, tune="lr", evaluate=_AXES),
    },
    parts=(*_parts("fashion", "data=Fashion-MNIST"), *_parts("series", "data=MNIST-1D")),
    note=(
        "Multiplications with a zero can be left out; whether a device does so is not measured. Smooth functions have no exact "
        "zeros, and a threshold makes some: the last part of each condition says whether ReLU has an advantage that a threshold"
        " does not give to the others. Nets are trained from the start with each function; learning rates are tuned."
    ),
)
