"""Churn counts the examples that two trainings label differently, on those that are in both test splits."""

from __future__ import annotations

import numpy as np
import pytest
from tests.studies.verdict.axes.simulated import axes_of, churn_result, row

from actlab.studies.verdict.axes.axes_verdict import AxesVerdict
from actlab.studies.verdict.axes.churn import expected_share, jackknife_interval

CHURN = {"name": "churn", "columns": {"disagreement": {"direction": "min", "unit": "share"}}}


def study(
    seeds: int, *, flips: dict[str, float], examples: int = 400, shared: int = 200, order: bool = True
) -> AxesVerdict:
    """Every seed has its own examples beside the shared ones; an arm flips a share of the labels, anew on each seed."""
    rng, rows = np.random.default_rng(0), []
    for seed in range(seeds):
        keys = np.concatenate([np.arange(shared), 10_000 * (seed + 1) + np.arange(examples - shared)])
        for arm, share in flips.items():
            flipped = rng.random(examples) < share
            at = np.arange(examples) if order else rng.permutation(examples)
            found = churn_result(
                keys[at].tolist(), flipped[at].astype(int).tolist(), (~flipped[at]).astype(int).tolist()
            )
            rows.append(row(arm, seed, {"churn": found}))
    return axes_of(rows, axes=(CHURN,))


def test_only_common_examples_count_and_their_number_is_said() -> None:
    churn = study(3, flips={"relu": 0.1, "gelu": 0.1}).churn
    assert churn is not None
    within = churn.of("relu").within
    assert within is not None
    assert within.common == (200, 200)
    assert within.pairs == 3
    assert within.expected == pytest.approx(0.18, abs=0.05)
    assert within.mean == pytest.approx(0.18, abs=0.06)


def test_predictions_in_another_order_are_matched_by_their_examples() -> None:
    flips = {"relu": 0.1, "gelu": 0.1}
    one, other = study(4, flips=flips, shared=400).churn, study(4, flips=flips, shared=400, order=False).churn
    assert one is not None
    assert other is not None
    assert other.of("relu").within is not None
    assert one.of("gelu").within.mean == pytest.approx(other.of("gelu").within.mean, abs=0.05)


def test_the_share_equals_a_count_by_hand() -> None:
    rows = [
        row("relu", 0, {"churn": churn_result([1, 2, 3, 9], [0, 1, 1, 0], [1, 1, 0, 1])}),
        row("relu", 1, {"churn": churn_result([3, 1, 2, 8], [1, 0, 0, 0], [0, 1, 0, 1])}),
        row("gelu", 0, {"churn": churn_result([1, 2, 3, 9], [1, 1, 1, 1], [0, 1, 0, 0])}),
        row("gelu", 1, {"churn": churn_result([7, 6], [1, 1], [0, 1])}),
    ]
    found = axes_of(rows, axes=(CHURN,))
    churn = found.churn
    assert churn is not None
    within, beside = churn.of("relu").within, churn.of("gelu").beside_baseline
    assert within is not None
    assert beside is not None
    assert within.mean == pytest.approx(1 / 3)  # of examples 1, 2, 3 only 2 is labelled differently
    assert within.accuracy_gap == pytest.approx(1 / 3)
    assert within.expected == pytest.approx(2 / 3 * 2 / 3 + 1 / 3 * 1 / 3)
    assert beside.mean == pytest.approx(2 / 4)  # on seed 0; on seed 1 the two have no example in common
    assert beside.pairs == 1
    assert churn.of("gelu").undefined == "no example is in the test splits of two seeds"
    assert any("Churn of gelu is undefined" in sentence for sentence in found.sentences)


def test_an_arm_with_more_churn_is_worse_and_tested_on_separate_pairs() -> None:
    found = study(24, flips={"relu": 0.02, "gelu": 0.3, "tanh": 0.02})
    column = found.of("churn", "disagreement")
    assert column is not None
    assert column.of("gelu").relation == "worse"
    assert column.of("tanh").relation == "undecided"
    assert column.of("gelu").difference.mean == pytest.approx(0.42 - 0.04, abs=0.05)
    assert study(10, flips={"relu": 0.02, "gelu": 0.3}).columns[0].of("gelu").relation == "undecided"  # five pairs


def test_sentences_name_published_quantities_side_by_side() -> None:
    text = " ".join(study(6, flips={"relu": 0.1, "gelu": 0.1}).sentences)
    assert "Two trainings of relu label" in text
    assert "15 pairs of seeds, 200 examples in both test splits" in text
    assert "if errors were independent" in text
    assert "gelu and relu on the same seed" in text


def test_without_predictions_churn_is_undefined_with_the_reason_of_the_axis() -> None:
    undefined = {
        "numbers": {},
        "curves": {},
        "undefined": {"disagreement": "the outputs are values"},
        "notes": [],
        "record": {},
    }
    found = axes_of(
        [row(arm, seed, {"churn": undefined}) for arm in ("relu", "gelu") for seed in range(3)], axes=(CHURN,)
    )
    assert found.churn is None
    assert found.columns == ()
    assert any("the outputs are values" in sentence for sentence in found.sentences)


def test_the_expected_share_is_that_of_simulated_independent_errors() -> None:
    rng, n, classes = np.random.default_rng(1), 400_000, 5
    labels = rng.integers(classes, size=n)

    def answers(accuracy: float) -> np.ndarray:
        wrong = (labels + rng.integers(1, classes, size=n)) % classes
        return np.where(rng.random(n) < accuracy, labels, wrong)

    measured = (answers(0.7) != answers(0.9)).mean()
    assert expected_share(0.7, 0.9, classes=classes) == pytest.approx(measured, abs=0.004)


def test_the_interval_of_a_mean_over_pairs_covers_it() -> None:
    rng, hits = np.random.default_rng(2), 0
    for _ in range(400):
        effect = rng.normal(size=8)
        pairs = {(i, j): 0.3 + 0.02 * (effect[i] + effect[j]) + 0.01 * rng.normal() for i in range(8) for j in range(i)}
        low, high = jackknife_interval(pairs)
        hits += low is not None and high is not None and low < 0.3 < high
    assert 0.92 < hits / 400 < 0.99
    assert jackknife_interval({(0, 1): 0.1}) == (None, None)
