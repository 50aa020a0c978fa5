"""Functions with learned numbers for each channel against the fixed functions that they start from."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

_PRELU = "prelu(weight=learned_per_channel)"
_SWISH = "swish(beta=learned_per_channel)"
_PAU_NUMBERS = ("a0", "a1", "a2", "a3", "a4", "a5", "b1", "b2", "b3", "b4")
_PAU = f"rational_pau({', '.join(f'{number}=learned_per_channel' for number in _PAU_NUMBERS)})"
# PReLU's gain over ReLU in its paper is 1.2 points (top-1 error of a 14-layer net, 33.82 to 32.64 %).
_SMALLEST = 0.01


def _better(learned: str, fixed: str, says: str, study: str) -> Part:
    return Part(
        says=says, effect=difference(learned, fixed, study=study), smallest=_SMALLEST, unit="accuracy", condition=study
    )


def _parts(study: str) -> tuple[Part, ...]:
    return (
        _better(_PRELU, "relu", "PReLU is more accurate than ReLU", study),
        _better(_SWISH, "silu", "Swish with learned beta is more accurate than with beta 1", study),
    )


claim = Claim(
    sentence="Functions that are learned for each channel beat fixed ones at an equal budget.",
    source=Source(
        text="He et al. 2015, table 2 (PReLU, channel-wise); Molina, Schramowski & Kersting 2019 (Pade activation units), 1907.06732",
        arxiv="1502.01852",
    ),
    domain="vision",
    about=("prelu", "swish", "rational_pau", "learned functions"),
    studies={
        "MLP": ClaimStudy(
            task="mnist1d:depth-4",
            arms=("relu", "silu", _PRELU, _SWISH, _PAU),
            seeds=10,
            most=30,
            tune="lr",
        ),
        "convolutions": ClaimStudy(
            task="mnist1d:cnn", arms=("relu", "silu", _PRELU, _SWISH), seeds=10, most=30, tune="lr"
        ),
    },
    parts=(
        *_parts("MLP"),
        _better(_PAU, "relu", "Pade units are more accurate than ReLU, from which they start", "MLP"),
        *_parts("convolutions"),
    ),
    note=(
        "Equal steps and equal tuning of the learning rate for every arm. Pade units have their ten numbers for each channel here, for "
        "each layer in their paper. Data are MNIST-1D, without weight decay."
    ),
)
