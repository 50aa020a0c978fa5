"""List of a model's activation sites, with what the arms of a study do to each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from actlab.studies.arm import EVERY_SITE
from actlab.studies.site_roles import Role
from actlab.studies.tried_arms import TriedArms

__all__ = ["StudySite", "list_sites"]


@dataclass(frozen=True, kw_only=True)
class StudySite:
    """A site of the model, and what becomes of it.

    Attributes:
        path: of the site.
        function: spec that runs there in the model as it is.
        elements: number of inputs of the function in one pass over a batch of the task; 0 where it did not run.
        role: what it does, see :func:`actlab.studies.site_roles.find_roles`.
        swapped_by: labels of the arms that swap it, or that have there what the model has.
        reason: why arms leave it; empty where all that could swap it do.
    """

    path: str
    function: str
    elements: int
    role: Role
    swapped_by: tuple[str, ...] = ()
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the site as plain values, ready for JSON."""
        return {**asdict(self), "swapped_by": list(self.swapped_by)}


def list_sites(tried: TriedArms) -> tuple[StudySite, ...]:
    """Return all sites of a model, in order of execution."""
    return tuple(_sites(tried))


def _sites(tried: TriedArms) -> Iterator[StudySite]:
    skipped = {path: reason for swap in tried.swaps.values() for path, reason in swap.skipped.items()}
    one_spec = {arm.label for arm in tried.arms if arm.is_one_spec}
    is_by_name = bool(tried.patterns) and tried.patterns != EVERY_SITE
    for role in tried.roles:
        by = tuple(label for label, swap in tried.swaps.items() if role.path in swap.changed)
        unnamed = "it is not among the named sites" if is_by_name else role.reason
        yield StudySite(
            path=role.path,
            function=role.function,
            elements=role.elements,
            role=role.role,
            swapped_by=by,
            reason="" if by and one_spec <= {*by} else skipped.get(role.path, unnamed),
        )
