"""List of a model's activation sites, with what the arms of a study do to each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from actlab.studies.arm import Arm
from actlab.studies.repeated_swap import RepeatedSwap
from actlab.studies.site_roles import Role, SiteRole

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


def list_sites(
    roles: Sequence[SiteRole], swaps: Mapping[Arm, RepeatedSwap], patterns: Sequence[str]
) -> tuple[StudySite, ...]:
    """Return all sites of a model, in order of execution.

    Args:
        roles: of the sites.
        swaps: what each arm swaps, the unchanged one aside.
        patterns: of the sites that a single spec is for; none for those of the main function.
    """
    return tuple(_sites(roles, swaps, patterns))


def _sites(
    roles: Sequence[SiteRole], swaps: Mapping[Arm, RepeatedSwap], patterns: Sequence[str]
) -> Iterator[StudySite]:
    changed = {arm.label: {change.path for change in swap.changes} for arm, swap in swaps.items()}
    skipped = {skip.site.path: skip.reason for swap in swaps.values() for skip in swap.skipped}
    one_spec = {arm.label for arm in swaps if arm.is_one_spec}
    is_by_name = bool(patterns) and tuple(patterns) != ("*",)
    for role in roles:
        by = tuple(label for label, paths in changed.items() if role.path in paths)
        unnamed = "it is not among the named sites" if is_by_name else role.reason
        yield StudySite(
            path=role.path,
            function=role.function,
            elements=role.elements,
            role=role.role,
            swapped_by=by,
            reason="" if by and one_spec <= {*by} else skipped.get(role.path, unnamed),
        )
