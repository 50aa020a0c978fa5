"""Outliers of layer inputs with squared ReLU and ReLU against tanh, and what they cost in int8."""

from actlab.studies.claims.claim import Cell, Claim, ClaimStudy, Effect, Part, Source, difference

_ARMS = ("relu", "leaky_relu", "squared_relu", "gelu", "silu", "tanh")
_AXES = ("compression",)
_FACTOR = 0.2  # decades, a factor of 1.6 of the kurtosis


def _parts(study: str, condition: str) -> tuple[Part, ...]:
    lost = tuple(
        Cell(arms=(arm,), column=f"axes.compression.{name}", study=study, weight=weight)
        for arm, sign in (("tanh", 1.0), ("squared_relu", -1.0))
        for name, weight in (("int8_per_tensor", sign), ("unchanged", -sign))
    )
    tails = tuple(
        Part(
            says=f"kurtosis of the layer inputs with {words} above that with tanh",
            effect=difference(arm, "tanh", study=study, column="axes.compression.kurtosis", scale="log10"),
            smallest=_FACTOR,
            unit="decades",
            condition=condition,
        )
        for arm, words in (("squared_relu", "squared ReLU"), ("relu", "ReLU"))
    )
    return (
        *tails,
        Part(
            says="more accuracy lost in int8 with squared ReLU than with tanh",
            effect=Effect(cells=lost),
            smallest=0.002,  # a fifth of a point; with ReLU int8 costs less than that
            unit="accuracy",
            condition=condition,
        ),
    )


claim = Claim(
    sentence="Squared ReLU and ReLU have heavier outliers than bounded functions, and lose more accuracy when they are quantised.",
    source=Source(
        text="folklore of low precision; Fishman et al. 2024 on functions that grow as squares", arxiv="2409.12517"
    ),
    domain="vision",
    about=("squared_relu", "relu", "tanh", "outliers", "quantisation"),
    studies={
        "fashion": ClaimStudy(task="fashion-mnist:depth-4", arms=_ARMS, seeds=10, most=30, tune="lr", evaluate=_AXES),
        "series": ClaimStudy(task="mnist1d:mlp", arms=_ARMS, seeds=14, most=40, tune="lr", evaluate=_AXES),
    },
    parts=(*_parts("fashion", "data=Fashion-MNIST"), *_parts("series", "data=MNIST-1D")),
    note=(
        "Kurtosis of the inputs of the layer where it is largest, 3 for a normal distribution; int8 with one scale a tensor, "
        "without fine-tuning. The source is on SwiGLU in language models of billions of parameters, trained in 8 bits; these "
        "are small nets, trained in float32 and rounded afterwards. Learning rates are tuned."
    ),
)
