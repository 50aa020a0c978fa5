"""What a transform changed, and undo()."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from actlab.errors import SiteError
from actlab.nn.sites.find import Site
from actlab.nn.transforms.replacements import Replacement, undo_all

__all__ = ["Change", "Changes", "Skipped"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that was replaced.

    Attributes:
        path: path of the site, or of the Linear that got another width.
        old: spec that ran there; its name, or "?", where the parameters are not known. For a Linear, its shape.
        new: spec that runs there now.
        idle: whether the site did not run on the example inputs, so that nothing has shown that the swap makes a difference.
    """

    path: str
    old: str
    new: str
    idle: bool = False


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A site that was asked for and left as it is.

    Attributes:
        site: the site.
        reason: why.
    """

    site: Site
    reason: str


class Changes(Sequence[Change]):
    """What a swap has changed: a sequence of :class:`Change`, one for each site.

    Attributes:
        skipped: sites that a pattern took, or a swap of everything, and that were left, with the reason.
        widened: Linears that got another width, for gated activations.
    """

    def __init__(
        self,
        changes: Sequence[Change],
        skipped: Sequence[Skipped],
        widened: Sequence[Change],
        replacements: Sequence[Replacement],
    ) -> None:
        self._changes = tuple(changes)
        self._replacements: tuple[Replacement, ...] | None = tuple(replacements)
        self.skipped = tuple(skipped)
        self.widened = tuple(widened)

    @overload
    def __getitem__(self, index: int) -> Change: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Change, ...]: ...
    def __getitem__(self, index: int | slice) -> Change | tuple[Change, ...]:
        return self._changes[index]

    def __len__(self) -> int:
        return len(self._changes)

    @property
    def replacements(self) -> tuple[Replacement, ...]:
        """The single changes to the model's objects; none once they are undone."""
        return self._replacements or ()

    def __repr__(self) -> str:
        idle = ", which did not run on example_inputs"
        lines = [f"{c.path}: {c.old} -> {c.new}{idle if c.idle else ''}" for c in (*self, *self.widened)]
        lines += [f"{skip.site.path}: left as it is, {skip.reason}" for skip in self.skipped]
        return "\n".join(lines)

    def undo(self) -> None:
        """Take everything back: the model computes what it computed before, bit for bit, and its ``state_dict`` has its old keys.

        Weights that were trained meanwhile stay trained. Linears that were widened come back with the weights they had.

        Raises:
            SiteError: it was undone already, or something was changed on top of it that must be undone first.

        Example:
            >>> from torch import nn
            >>> from actlab import swap_
            >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
            >>> swap_(model, "gelu").undo()
            >>> model[1]
            ReLU()
        """
        if self._replacements is None:
            raise SiteError("This swap was undone already. Call swap_ again to swap once more.")
        if not all(replacement.intact() for replacement in self._replacements):
            raise SiteError(
                "The model was changed again after this swap. Undo the later changes first, the last one first."
            )
        undo_all(self._replacements)
        self._replacements = None
