"""Smooth functions against ReLU and its cube where second derivatives of a net are trained."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

claim = Claim(
    sentence="A net whose second derivatives are trained needs tanh or another smooth function.",
    source=Source(
        text="Raissi, Perdikaris & Karniadakis 2019, Physics-informed neural networks; folklore",
        arxiv="1711.10561",
    ),
    domain="physics",
    about=("tanh", "silu", "relu", "repu", "second derivatives"),
    studies={
        "helmholtz": ClaimStudy(
            task="helmholtz", arms=("tanh", "silu", "relu", "repu(p=3)"), seeds=8, most=20, tune="lr"
        )
    },
    parts=(
        Part(
            says="error of tanh a tenth of that of ReLU or less",
            effect=difference("tanh", "relu", study="helmholtz", larger=False, scale="log10"),
            smallest=1.0,  # ReLU's second derivative is zero, so that it is said to fail and not to be somewhat worse
            unit="decades of relative error",
            condition="against=ReLU",
        ),
        Part(
            says="error of Swish a tenth of that of ReLU or less",
            effect=difference("silu", "relu", study="helmholtz", larger=False, scale="log10"),
            smallest=1.0,
            unit="decades of relative error",
            condition="against=ReLU",
        ),
        Part(
            says="error of tanh half of that of cubed ReLU or less",
            effect=difference("tanh", "repu(p=3)", study="helmholtz", larger=False, scale="log10"),
            smallest=0.3,  # a factor of two; cubed ReLU has two continuous derivatives and is not smooth
            unit="decades of relative error",
            condition="against=cubed ReLU",
        ),
    ),
    note=(
        "Helmholtz equation with the boundary values built in. Cubed ReLU tells whether smoothness is needed or two derivatives "
        "suffice. Learning rates are tuned with an equal budget. Five seeds of tanh and ReLU at the task's own rate were known "
        "before the registration (errors 0.0096 and 3.6), and so on Burgers' equation (0.0051 and 0.31)."
    ),
)
