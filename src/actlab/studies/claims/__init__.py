"""Claims of the literature as plans with a pass rule that is written before the run."""

from typing import Final

__all__ = ["OUTCOMES"]

#: Words by which claims are filtered: results of current records, and states of all others.
OUTCOMES: Final = ("holds", "holds only if", "does not hold", "undecided", "not run", "outdated", "refused")
