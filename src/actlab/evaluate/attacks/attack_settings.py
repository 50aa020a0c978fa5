"""Settings of the adversarial axis, with the size of the attacks and their cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from actlab.errors import ActlabError
from actlab.evaluate.input_kind import InputKind

__all__ = ["AttackSettings"]

_IMAGE_EPS: Final = 8 / 255
_OTHER_EPS: Final = 0.1
_L2_SHARE: Final = 0.3


@dataclass(frozen=True, kw_only=True)
class AttackSettings:
    """How far and how hard a model is attacked.

    Attributes:
        eps: radius in L-inf, in units of the range of a channel for images, of the standard deviation of an entry for all else; None for
            8/255 of an image and 0.1 of all else.
        eps_l2: radius in L2, in the same units; None for 0.3 ``eps`` times the square root of the entries, which is 0.52 for images of
            3 x 32 x 32.
        steps: of PGD; the step is ``reach * eps / steps``.
        reach: sum of the lengths of the steps, in radii.
        restarts: of PGD, the first from the clean input, the others from random ones.
        queries: of the attack without gradients; three times as many where a model shows signs of masked gradients.
        multiples: radii of the curve, in multiples of ``eps``.
        numbers: about how many numbers the attacked inputs have together, within 128 to 1,000 examples; it bounds the cost.

    Raises:
        ActlabError: a number is not positive.

    Example:
        >>> AttackSettings(eps=0.03).radius("image"), AttackSettings().radius("table")
        (0.03, 0.1)
    """

    eps: float | None = None
    eps_l2: float | None = None
    steps: int = 20
    reach: float = 2.5
    restarts: int = 2
    queries: int = 100
    multiples: tuple[float, ...] = (0.25, 0.5, 2.0, 4.0)
    numbers: int = 200_000

    def __post_init__(self) -> None:
        for name in ("eps", "eps_l2", "steps", "reach", "restarts", "queries", "numbers"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ActlabError(
                    f"{name} of the attacks is {value!r}; a positive number is needed, such as eps=8/255."
                )
        if any(not (value > 0 and math.isfinite(value)) for value in self.multiples):
            raise ActlabError(f"multiples of the attacks are {self.multiples!r}; positive numbers are needed.")

    def radius(self, kind: InputKind) -> float:
        """Return eps in L-inf for a kind of inputs."""
        if self.eps is not None:
            return self.eps
        return _IMAGE_EPS if kind == "image" else _OTHER_EPS

    def radius_l2(self, kind: InputKind, entries: int) -> float:
        """Return eps in L2 for a kind of inputs, of which each has so many entries."""
        return self.eps_l2 if self.eps_l2 is not None else _L2_SHARE * self.radius(kind) * entries**0.5

    def examples(self, entries: int) -> int:
        """Return how many examples of so many entries are attacked."""
        return min(1_000, max(128, self.numbers // max(entries, 1)))
