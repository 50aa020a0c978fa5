"""Signs that a model hides its gradients from an attack, and so looks robust without being so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["Masking"]

#: Shares from which on a sign counts. Ten ReLU nets have at most a fifth of each: docs/evidence/robustness.md.
_HIDDEN: Final = 0.05
_ZERO: Final = 0.1
_SINGLE_STEP: Final = 0.05
_UNBOUNDED: Final = 0.1
_FLAT: Final = 0.5
_FEWEST: Final = 3  # examples


@dataclass(frozen=True, kw_only=True)
class Masking:
    """Shares of the examples that are classified correctly, from which masked gradients show (after arXiv:1802.00420).

    Attributes:
        examples: that are classified correctly.
        hidden: that resist FGSM and PGD, and fall to attacks that need no gradient of the model or take a smoothed one.
        zero_gradients: whose loss has a gradient of exactly zero, or none.
        single_step: that fall to FGSM, and not to PGD.
        unbounded: that resist PGD although the attack may reach every input; 0 where the model knows one class only.
        flat: whose margin does not fall along the gradient.

    Example:
        >>> Masking(examples=100, hidden=0.4, zero_gradients=1.0, single_step=0.0, unbounded=1.0, flat=1.0).is_masked
        True
        >>> Masking(examples=100, hidden=0.01, zero_gradients=0.0, single_step=0.0, unbounded=0.0, flat=0.02).is_masked
        False
    """

    examples: int
    zero_gradients: float
    single_step: float
    unbounded: float
    flat: float
    hidden: float = 0.0

    @property
    def signs(self) -> tuple[str, ...]:
        """The signs that count, as phrases."""
        return tuple(self._signs())

    def _signs(self) -> Iterator[str]:
        if self._counts(self.hidden, _HIDDEN):
            yield f"{self.hidden:.0%} fall only to attacks that do not follow the model's own gradient"
        if self._counts(self.zero_gradients, _ZERO):
            yield f"the gradient is exactly zero for {self.zero_gradients:.0%}"
        if self._counts(self.single_step, _SINGLE_STEP):
            yield f"{self.single_step:.0%} fall to one step and resist many"
        if self._counts(self.unbounded, _UNBOUNDED):
            yield f"{self.unbounded:.0%} resist an attack that may reach every input"
        if self._counts(self.flat, _FLAT):
            yield f"the margin does not fall along the gradient for {self.flat:.0%}"

    def _counts(self, share: float, least: float) -> bool:
        return share >= least and share * self.examples >= _FEWEST - 1e-9

    @property
    def is_masked(self) -> bool:
        """Whether any sign counts."""
        return bool(self.signs)

    def note(self) -> str | None:
        """Return the sentence that a verdict shows, or None."""
        if not self.is_masked:
            return None
        return (
            f"Gradients are masked: of the examples that are classified correctly, {'; '.join(self.signs)}. The accuracies under FGSM and "
            "PGD alone are not to be believed; those under the strongest attack are upper bounds."
        )
