"""Steps until GELU and ReLU nets generalise on a modular sum."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

_ARMS = ("relu", "gelu")
# A factor of 1.25; the source has 45,600 steps for GELU and 196,800 for ReLU, a factor of 4.3.
_STEPS = 0.1


def _part(study: str, condition: str) -> Part:
    return Part(
        says="GELU nets generalise after fewer steps than ReLU nets",
        effect=difference("gelu", "relu", column="metric", larger=False, study=study, scale="log10"),
        smallest=_STEPS,
        unit="decades of the steps, at most 6,000",
        condition=condition,
    )


claim = Claim(
    sentence="GELU nets need fewer steps to grok a modular sum than ReLU nets.",
    source=Source(text="Table of steps from memorising to generalising, depth 4, width 512", arxiv="2603.25009"),
    domain="theory",
    about=("gelu", "relu", "grokking"),
    studies={
        "strong": ClaimStudy(task="modular-sum:decay-1", arms=_ARMS, seeds=10, most=40),
        "matched": ClaimStudy(task="modular-sum:decay-1", arms=_ARMS, seeds=10, most=40, init="matched"),
        "weak": ClaimStudy(task="modular-sum:decay-0.5", arms=_ARMS, seeds=10, most=40),
    },
    parts=(
        _part("strong", "weight decay=1"),
        _part("matched", "weight decay=1, init=matched"),
        _part("weak", "weight decay=0.5"),
        Part(
            says="more GELU nets than ReLU nets generalise within 6,000 steps",
            effect=difference("gelu", "relu", column="metrics.generalised", study="weak"),
            smallest=0.1,
            unit="share of the nets",
            judged=False,
        ),
    ),
    note=(
        "A short version: sums modulo 31 (97), 70 % of the pairs (20 %), two hidden layers of 128 (four of 512), AdamW at 0.003 (SGD with "
        "momentum), 95 % of the unseen pairs (99 %), at most 6,000 steps (400,000). Nets that have not generalised by then count with "
        "6,000 steps; the source leaves them out of its means. Two weight decays, as the source's order turns around with it."
    ),
)
