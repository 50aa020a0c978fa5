"""Signs of masked gradients."""

from __future__ import annotations

from typing import Any

import pytest

from actlab.evaluate.attacks.masking import Masking

CLEAN: dict[str, Any] = {"single_step": 0.0, "zero_gradients": 0.0, "unbounded": 0.0, "flat": 0.0, "hidden": 0.0}


def masking(examples: int = 200, correct: int = 180, *, is_random: bool = False, **shares: float) -> Masking:
    return Masking(examples=examples, correct=correct, is_random=is_random, **{**CLEAN, **shares})


def test_small_shares_are_no_sign() -> None:
    small = masking(hidden=0.02, single_step=0.02, zero_gradients=0.05, unbounded=0.05, flat=0.3)
    assert small.signs == ()
    assert not small.is_masked


@pytest.mark.parametrize(
    ("share", "words"),
    [
        ({"hidden": 0.1}, "10% of the examples fall only to attacks that do not follow"),
        ({"single_step": 0.1}, "fall to one step and resist many"),
        ({"zero_gradients": 0.2}, "exactly zero for 20% of the correct ones"),
        ({"unbounded": 0.3}, "resist an attack that may reach every input"),
        ({"flat": 0.6}, "does not fall along the gradient"),
    ],
)
def test_each_sign_is_enough_and_is_said(share: Any, words: str) -> None:
    found = masking(**share)
    assert len(found.signs) == 1
    assert words in found.note()


def test_one_or_two_examples_are_no_sign() -> None:
    assert not masking(examples=20, correct=18, hidden=0.1, zero_gradients=0.11).is_masked
    assert masking(examples=40, correct=36, hidden=0.1).is_masked


def test_a_constant_answer_hides_nothing() -> None:
    found = Masking(**{**vars(masking(zero_gradients=1.0, flat=1.0)), "is_constant": True})
    assert not found.is_masked
    assert not found.vanishes


def test_what_a_random_model_answers_wrong_by_chance_is_no_sign_but_zero_gradients_are() -> None:
    assert not masking(is_random=True, hidden=0.2, single_step=0.2).is_masked
    assert masking(is_random=True, zero_gradients=0.2).is_masked
