"""Claims and rows that are made up, for the tests of claims."""

from __future__ import annotations

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

FILE = '''
"""Claim of the tests."""
from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

claim = Claim(
    sentence="GELU is better than ReLU here.",
    source=Source(text="the tests"),
    domain="vision",
    about=("gelu",),
    studies={"main": ClaimStudy(task=%r, arms=("relu", "gelu"), seeds=3, most=5)},
    parts=(Part(says="better", effect=difference("gelu", "relu"), smallest=0.5, unit="nats"),),
)
'''


def part(effect=None, **differences):
    given = None if "exact" in differences else effect or difference("b", "a")
    settings = {"says": "b beats a", "effect": given, "smallest": 0.5, "unit": "points"}
    return Part(**settings | differences)


def claim(*parts, studies=("main",), **differences):
    settings = {"sentence": "b beats a", "source": Source(text="folklore"), "domain": "vision", "name": "made-up"}
    arms = ("a", "b", "c")
    return Claim(
        **settings
        | {"studies": {key: ClaimStudy(task="digits", arms=arms) for key in studies}, "parts": parts}
        | differences
    )


def row(arm, seed, metric=None, *, status="completed", **columns):
    fixed = {
        "arm": arm,
        "seed": seed,
        "status": status,
        "lr": 0.1,
        "steps": 10,
        "cpu_seconds": 1.0,
        "trainer": "single",
    }
    return fixed | {"metric": metric} | columns


def rows(**metrics):
    """Return rows from the numbers of each arm by seed."""
    return [row(arm, seed, number) for arm, numbers in metrics.items() for seed, number in enumerate(numbers)]
