"""Handicap of GELU and Swish in deep plain nets under the init of torch, and under a matched one."""

from dataclasses import replace

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference, growth

_ARMS = ("relu", "gelu", "silu")
_NAMES = {"gelu": "GELU", "silu": "Swish"}
# A percentage point, twice the tasks' region of practical equivalence: what a reader of a comparison would act on.
_SMALLEST = 0.01


def _not_behind(arm: str) -> Part:
    """Return the part that an arm is less than a point behind ReLU: its lead and a point are positive together."""
    lead = difference(arm, "relu", study="matched")
    return Part(
        says=f"with matched init {_NAMES[arm]} is less than a point behind ReLU",
        effect=replace(lead, minus=-_SMALLEST),
        smallest=0.001,  # a lead below -0.9 points is what refutes it
        unit="accuracy",
    )


claim = Claim(
    sentence="In deep plain nets GELU and Swish are behind ReLU for the init only: a matched init removes their handicap.",
    source=Source(
        text="Hayou, Doucet & Rousseau 2019, on the edge of chaos; forecast from the closed form of the gradient's size",
        arxiv="1902.06853",
    ),
    domain="vision",
    about=("gelu", "silu", "swish", "initialization", "depth"),
    studies={
        "fixed": ClaimStudy(task="mnist1d:depth-16", arms=_ARMS, seeds=10, most=30, tune="lr"),
        "matched": ClaimStudy(task="mnist1d:depth-16", arms=_ARMS, seeds=10, most=30, tune="lr", init="matched"),
    },
    parts=(
        *(
            Part(
                says=f"with torch's init {name} is behind ReLU",
                effect=difference("relu", arm, study="fixed"),
                smallest=_SMALLEST,
                unit="accuracy",
            )
            for arm, name in _NAMES.items()
        ),
        *(
            Part(
                says=f"matched init gains more for {name} than for ReLU",
                effect=growth(arm, "relu", study="matched", beside="fixed"),
                smallest=_SMALLEST,
                unit="accuracy",
            )
            for arm, name in _NAMES.items()
        ),
        *map(_not_behind, _NAMES),
    ),
    note=(
        "MLPs of 16 hidden layers of 100 without norms or shortcuts, on MNIST-1D, with tuned learning rates. By the closed form the first "
        "layer's gradient is smaller than the last one's by 7.4 decades with ReLU and 10.1 with GELU in 20 layers under torch's init; "
        "matched init gives every function the gain that keeps its signal's size."
    ),
)
