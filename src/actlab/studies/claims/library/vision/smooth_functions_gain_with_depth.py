"""Growth of the advantage of GELU and Swish over ReLU with the depth of the net."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, growth

_ARMS = ("relu", "gelu", "silu")
# A percentage point: Swish's gains on its deepest nets are 0.6 and 0.9 points (abstract), against none on shallow ones.
_SMALLEST = 0.01


def _study(task: str, init: str) -> ClaimStudy:
    return ClaimStudy(task=task, arms=_ARMS, seeds=10, most=30, tune="lr", init=init)  # type: ignore[arg-type] # one of two words


def _parts(init: str, condition: str) -> tuple[Part, ...]:
    return tuple(
        Part(
            says=f"the advantage of {name} over ReLU is larger at 16 than at 2 hidden layers",
            effect=growth(arm, "relu", study=f"deep {init}", beside=f"shallow {init}"),
            smallest=_SMALLEST,
            unit="accuracy",
            condition=condition,
        )
        for arm, name in (("gelu", "GELU"), ("silu", "Swish"))
    )


claim = Claim(
    sentence="The advantage of Swish and GELU over ReLU grows with depth.",
    source=Source(
        text='Ramachandran, Zoph & Le 2017, abstract: "Swish tends to work better than ReLU on deeper models"',
        arxiv="1710.05941",
    ),
    domain="vision",
    about=("silu", "swish", "gelu", "depth"),
    studies={
        "deep fixed": _study("mnist1d:he-init-16", "fixed"),
        "shallow fixed": _study("mnist1d:he-init-2", "fixed"),
        "deep matched": _study("mnist1d:depth-16", "matched"),
        "shallow matched": _study("mnist1d:depth-2", "matched"),
    },
    parts=(*_parts("fixed", "init=fixed (He's, for ReLU)"), *_parts("matched", "init=matched")),
    note=(
        "Plain MLPs with hidden layers of 100 on MNIST-1D, of 2 and of 16 layers, with tuned learning rates; the paper's nets are "
        "convolutional with normalisation, where depth and data set differ as well. The paper has He's init for all functions."
    ),
)
