"""Record of the changes and skipped sites of an in-place transform, with undo()."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from actlab.errors import SiteError
from actlab.nn.sites.find import Site
from actlab.nn.transforms.replacements import Replacement, undo_all

__all__ = ["Change", "Changes", "Savings", "Skipped"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One replaced activation, or one Linear of another width.

    Attributes:
        path: path of the site or Linear.
        old: spec that ran there before; its name, or "?", where the parameters are not known. For a Linear, its shape.
        new: spec that runs there now.
        idle: whether the site did not run on the example inputs, so that the effect of the swap is untested.
    """

    path: str
    old: str
    new: str
    idle: bool = False


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A selected site that was left as it is.

    Attributes:
        site: the site.
        reason: why it was left.
    """

    site: Site
    reason: str


class Changes(Sequence[Change]):
    """What a transform changed: a sequence of :class:`Change`, one for each site.

    Attributes:
        skipped: selected sites that were left as they are, with the reason.
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
        """The changes to the model's objects; empty once they are undone."""
        return self._replacements or ()

    def __repr__(self) -> str:
        idle = ", which did not run on example_inputs"
        lines = [f"{c.path}: {c.old} -> {c.new}{idle if c.idle else ''}" for c in (*self, *self.widened)]
        lines += [f"{skip.site.path}: left as it is, {skip.reason}" for skip in self.skipped]
        return "\n".join(lines)

    def undo(self) -> None:
        """Restore the original modules: the model computes the same as before, to the bit, and its ``state_dict`` has its old keys.

        Weights trained since then stay trained. Linears that got another width are restored with their old weights.

        Raises:
            SiteError: it was undone already, or a later change must be undone first.

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
        if not all(replacement.is_intact() for replacement in self._replacements):
            raise SiteError(
                "The model was changed again after this swap. Undo the later changes first, the last one first."
            )
        undo_all(self._replacements)
        self._replacements = None


class Savings(Changes):
    """Changes of :func:`actlab.slim_`, with the memory they save.

    Attributes:
        before: bytes that autograd saved in the forward pass of a training step; None without example inputs.
        after: bytes that it saves now.
    """

    def __init__(
        self,
        changes: Sequence[Change],
        skipped: Sequence[Skipped],
        replacements: Sequence[Replacement],
        measured: tuple[int, int] | None,
    ) -> None:
        super().__init__(changes, skipped, (), replacements)
        self.before = measured[0] if measured else None
        self.after = measured[1] if measured else None

    def __repr__(self) -> str:
        if self.before is None:
            return super().__repr__()
        return f"{super().__repr__()}\nkept for backward: {self.before} bytes -> {self.after}".lstrip()
