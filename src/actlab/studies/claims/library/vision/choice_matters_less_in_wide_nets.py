"""Variance of the accuracy over activations in narrow and in wide nets."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source
from actlab.studies.claims.effect import variance

_ARMS = ("relu", "elu", "gelu", "silu", "tanh")
# A standard deviation over functions of one percentage point more in the narrow net: what a reader of a comparison would act on.
_SMALLEST = 0.01**2


def _study(width: int, init: str) -> ClaimStudy:
    return ClaimStudy(
        task=f"mnist1d:width-{width}",
        arms=_ARMS,
        seeds=16,
        most=48,
        tune="lr",
        init=init,  # type: ignore[arg-type] # one of two words
    )


def _part(init: str) -> Part:
    return Part(
        says="accuracies of the functions vary more at 16 than at 128 units a layer",
        effect=variance(_ARMS, study=f"narrow {init}", beside=f"wide {init}"),
        smallest=_SMALLEST,
        unit="accuracy squared",
        condition=f"init={init}",
    )


claim = Claim(
    sentence="The choice of the activation matters less the wider the net.",
    source=Source(text="folklore: advice given with over-parametrised nets, without a measurement known to us"),
    domain="vision",
    about=("width", "relu", "elu", "gelu", "silu", "tanh"),
    studies={
        f"{name} {init}": _study(width, init)
        for name, width in (("narrow", 16), ("wide", 128))
        for init in ("fixed", "matched")
    },
    parts=(_part("fixed"), _part("matched")),
    note=(
        "MLPs of four hidden layers on MNIST-1D with tuned learning rates. What seeds add to the variance over functions is left out, "
        "because narrow nets scatter more; one number for each pair of seeds."
    ),
)
