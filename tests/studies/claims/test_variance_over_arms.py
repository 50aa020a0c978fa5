"""The variance over arms counts what arms differ by, not what seeds add to each of them."""

import math

import numpy as np
import pytest

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source
from actlab.studies.claims.effect import variance
from actlab.studies.claims.part_judgement import decisions, judge_part

ARMS = ("a", "b", "c", "d")


def rows(means, noise, *, seeds=40, start=0):
    draws = np.random.default_rng(start).normal(0, noise, (seeds, len(ARMS)))
    return [
        {"arm": arm, "seed": seed, "status": "completed", "metric": mean + draws[seed, index]}
        for seed in range(seeds)
        for index, (arm, mean) in enumerate(zip(ARMS, means, strict=True))
    ]


def decision(effect, narrow, wide, smallest):
    study = ClaimStudy(task="digits", arms=ARMS)
    part = Part(says="it shrinks", effect=effect, smallest=smallest, unit="accuracy")
    claim = Claim(
        sentence="It shrinks.",
        source=Source(text="test"),
        domain="vision",
        parts=(part,),
        studies={"narrow": study, "wide": study},
    )
    return judge_part(part, claim, {"narrow": narrow, "wide": wide}).decision


def test_its_mean_is_the_difference_of_the_variances_of_the_means():
    means = np.array([0.0, 1.0, 2.0, 4.0])
    given = {"narrow": rows(means, 0.5, seeds=2000), "wide": rows(means / 2, 0.1, seeds=2000, start=1)}
    found = variance(ARMS, study="narrow", beside="wide").by_seed(given)

    assert list(found)[:3] == [1, 3, 5]
    assert np.mean(list(found.values())) == pytest.approx(np.var(means, ddof=1) * 0.75, rel=0.05)


def deviations(given):
    """Return the standard deviation over arms of each seed."""
    return np.array([row["metric"] for row in given]).reshape(-1, len(ARMS)).std(axis=1, ddof=1)


def test_equal_arms_that_scatter_more_are_taken_for_different_ones_by_the_deviation_of_each_seed_only():
    equal, wrong = np.zeros(4), {"deviation": 0, "variance": 0}
    for start in range(8):
        given = rows(equal, 1.0, start=2 * start), rows(equal, 0.5, start=2 * start + 1)
        narrow, wide = map(deviations, given)
        wrong["deviation"] += bool(decisions(narrow - wide, "better", 0.1, 0.05)[0][-1])
        wrong["variance"] += decision(variance(ARMS, study="narrow", beside="wide"), *given, 0.1) == "holds"

    assert wrong["deviation"] >= 6
    assert wrong["variance"] <= 1


def test_a_variance_that_shrinks_is_found():
    means = np.array([0.0, 1.0, 2.0, 4.0])

    assert (
        decision(variance(ARMS, study="narrow", beside="wide"), rows(means, 0.3), rows(means / 4, 0.3, start=1), 1.0)
        == "holds"
    )


def test_a_seed_without_its_partner_gives_nothing_and_a_diverged_arm_an_infinite_variance():
    given = rows(np.arange(4.0), 0.1, seeds=5)
    given[0] |= {"metric": None, "status": "diverged"}
    found = variance(ARMS, study="narrow", beside="wide").by_seed(
        {"narrow": given, "wide": rows(np.zeros(4), 0.1, seeds=5)}
    )

    assert list(found) == [1, 3]
    assert found[1] == math.inf
    assert math.isfinite(found[3])
