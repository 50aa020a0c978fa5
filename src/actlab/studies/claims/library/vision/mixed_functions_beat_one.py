"""Nets with different functions in different layers against nets with one function everywhere."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

_PURE = ("relu", "elu", "gelu", "tanh")
# Six draws from the four functions by random.Random(2206).choice, layer by layer, before any training; none has one function only.
_DRAWN = (
    ("tanh", "tanh", "elu", "tanh"),
    ("elu", "tanh", "elu", "gelu"),
    ("elu", "tanh", "elu", "elu"),
    ("gelu", "gelu", "elu", "gelu"),
    ("gelu", "relu", "tanh", "relu"),
    ("gelu", "elu", "relu", "tanh"),
)
_MIXED = tuple("; ".join(f"@{depth}={spec}" for depth, spec in enumerate(drawn)) for drawn in _DRAWN)
# A percentage point: the source reports gains over ReLU of several points on most of its tasks.
_SMALLEST = 0.01


def _parts(study: str) -> tuple[Part, ...]:
    return tuple(
        Part(
            says=f"mixtures are on average more accurate than {pure} everywhere",
            effect=difference(_MIXED, pure, study=study),
            smallest=_SMALLEST,
            unit="accuracy",
            condition=f"init={study}",
        )
        for pure in _PURE
    )


claim = Claim(
    sentence="Mixing functions over the layers of a net beats one function everywhere.",
    source=Source(
        text="Sipper 2021, SN Computer Science 2:470, abstract: functions combined at random or by search beat ReLU nets on 25 tasks",
        arxiv="2206.12166",
    ),
    domain="vision",
    about=("mixed", "importance", "search per site"),
    studies={
        "fixed": ClaimStudy(task="mnist1d:depth-4", arms=(*_PURE, *_MIXED), seeds=10, most=40, tune="lr"),
        "matched": ClaimStudy(
            task="mnist1d:depth-4", arms=(*_PURE, *_MIXED), seeds=10, most=40, tune="lr", init="matched"
        ),
    },
    parts=(*_parts("fixed"), *_parts("matched")),
    note=(
        "The source keeps the best of many drawn or searched mixtures, by validation; here the mean of six drawn ones stands for mixing "
        "itself, so that no choice among mixtures is mistaken for an advantage of mixing. It is compared with each single function."
    ),
)
