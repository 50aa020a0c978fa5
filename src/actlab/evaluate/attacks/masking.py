"""Signs that a model hides its gradients from an attack, and so looks robust without being so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["Masking"]

#: Shares from which on a sign counts. Of twenty ordinary ReLU nets none has more than 0.005 of any: docs/evidence/robustness.md.
_HIDDEN: Final = 0.03
_ZERO: Final = 0.1
_SINGLE_STEP: Final = 0.05
_UNBOUNDED: Final = 0.1
_FLAT: Final = 0.5
_FEWEST: Final = 3  # examples


@dataclass(frozen=True, kw_only=True)
class Masking:
    """Shares of examples from which masked gradients show, after arXiv:1802.00420.

    Attributes:
        examples: that are attacked.
        correct: of these, that are classified correctly.
        hidden: share of all that fall only to attacks which do not follow the model's own gradient. Where the cross-entropy has none, those
            that follow the gradient of the margin belong to them.
        single_step: share of all that fall to FGSM, and not to PGD.
        zero_gradients: share of the correct ones whose cross-entropy has a gradient of exactly zero, or none.
        unbounded: share of the correct ones that resist PGD although it may reach every input; 0 where the model knows one class only.
        flat: share of the correct ones whose margin does not fall along the gradient.
        is_random: whether the model answers the same inputs in two ways; then the next attack breaks some whatever it does, and neither
            ``hidden`` nor ``single_step`` is a sign.
        is_constant: whether the model answers one class only; then a gradient of zero hides nothing.

    Example:
        >>> step = Masking(examples=100, correct=90, hidden=0.4, single_step=0.0, zero_gradients=1.0, unbounded=1.0, flat=1.0)
        >>> relu = Masking(examples=100, correct=90, hidden=0.01, single_step=0.0, zero_gradients=0.0, unbounded=0.0, flat=0.02)
        >>> step.is_masked, relu.is_masked
        (True, False)
    """

    examples: int
    correct: int
    single_step: float
    zero_gradients: float
    unbounded: float
    flat: float
    hidden: float = 0.0
    is_random: bool = False
    is_constant: bool = False

    @property
    def vanishes(self) -> bool:
        """Whether the gradient of the cross-entropy is zero for so many that attacks along it say little."""
        return not self.is_constant and _counts(self.zero_gradients, _ZERO, self.correct)

    @property
    def signs(self) -> tuple[str, ...]:
        """The signs that count, as phrases."""
        return tuple(self._signs())

    def _signs(self) -> Iterator[str]:
        if not self.is_random and _counts(self.hidden, _HIDDEN, self.examples):
            yield f"{self.hidden:.0%} of the examples fall only to attacks that do not follow the model's own gradient"
        if not self.is_random and _counts(self.single_step, _SINGLE_STEP, self.examples):
            yield f"{self.single_step:.0%} of the examples fall to one step and resist many"
        if self.vanishes:
            yield f"the gradient is exactly zero for {self.zero_gradients:.0%} of the correct ones"
        if _counts(self.unbounded, _UNBOUNDED, self.correct):
            yield f"{self.unbounded:.0%} of the correct ones resist an attack that may reach every input"
        if not self.is_constant and _counts(self.flat, _FLAT, self.correct):
            yield f"the margin does not fall along the gradient for {self.flat:.0%} of the correct ones"

    @property
    def is_masked(self) -> bool:
        """Whether any sign counts."""
        return bool(self.signs)

    def note(self) -> str:
        """Return the sentence that a verdict shows of masked gradients."""
        return (
            f"Gradients are masked: {'; '.join(self.signs)}. The accuracies under FGSM and PGD alone are not to be believed; those under "
            "the strongest attack are upper bounds."
        )


def _counts(share: float, least: float, of: int) -> bool:
    return share >= least and round(share * of) >= _FEWEST
