"""Outline of what each arm does to a model, found by trying its swap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from actlab.studies.arm import EVERY_SITE, MAIN_FUNCTION, Arm
from actlab.studies.arm_model import TriedModel
from actlab.studies.repeated_swap import RepeatedSwap
from actlab.studies.site_roles import SiteRole

__all__ = ["SwapOutline", "TriedArms", "outline_arms", "site_patterns"]


@dataclass(frozen=True, kw_only=True)
class SwapOutline:
    """What a swap does to a model, without the means to repeat it.

    Attributes:
        changed: paths of the sites that have the arm's function afterwards.
        skipped: selected sites that it leaves, with the reason, by path.
        is_empty: whether it leaves every module as it is.
    """

    changed: tuple[str, ...] = ()
    skipped: Mapping[str, str]
    is_empty: bool

    @classmethod
    def of(cls, swap: RepeatedSwap) -> SwapOutline:
        """Return the outline of a swap."""
        return cls(
            changed=tuple(change.path for change in swap.changes),
            skipped={skipped.site.path: skipped.reason for skipped in swap.skipped},
            is_empty=swap.is_empty,
        )


@dataclass(frozen=True, kw_only=True)
class TriedArms:
    """The sites of a model, and what the arms of a study do to it.

    Attributes:
        roles: of the sites.
        patterns: of the sites that a single spec is for; none for those of the main function.
        arms: the arms, each single spec for these sites.
        swaps: outlines by label, the unchanged arm aside.
    """

    roles: tuple[SiteRole, ...]
    patterns: tuple[str, ...]
    arms: tuple[Arm, ...]
    swaps: Mapping[str, SwapOutline]

    def to_dict(self) -> dict[str, Any]:
        """Return sites, patterns and outlines as plain values, ready for JSON."""
        swaps = {label: asdict(swap) for label, swap in self.swaps.items()}
        return {"roles": [asdict(role) for role in self.roles], "patterns": list(self.patterns), "swaps": swaps}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], arms: Sequence[Arm]) -> TriedArms:
        """Return what :meth:`to_dict` has made of the record, in another process.

        Args:
            values: the plain values.
            arms: the arms that were tried.
        """
        patterns = tuple(values["patterns"])
        swaps = {label: {**swap, "changed": tuple(swap["changed"])} for label, swap in values["swaps"].items()}
        return cls(
            roles=tuple(SiteRole(**role) for role in values["roles"]),
            patterns=patterns,
            arms=_for_sites(arms, patterns),
            swaps={label: SwapOutline(**swap) for label, swap in swaps.items()},
        )


def outline_arms(
    tried: TriedModel, arms: Sequence[Arm], patterns: Sequence[str] | None, swap: Callable[[Arm], RepeatedSwap]
) -> TriedArms:
    """Try every arm on a model.

    Args:
        tried: the model.
        arms: the arms.
        patterns: of the sites for single specs, or None for those that follow from the model.
        swap: tries an arm.

    Raises:
        ActlabError: an arm does not fit the model.
    """
    chosen = site_patterns(tried) if patterns is None else tuple(patterns)
    fitted = _for_sites(arms, chosen)
    swaps = {arm.label: SwapOutline.of(swap(arm)) for arm in fitted if not arm.is_unchanged}
    return TriedArms(roles=tried.roles, patterns=chosen, arms=fitted, swaps=swaps)


def _for_sites(arms: Iterable[Arm], patterns: tuple[str, ...]) -> tuple[Arm, ...]:
    return tuple(replace(arm, sites=patterns) if arm.is_one_spec else arm for arm in arms)


def site_patterns(tried: TriedModel) -> tuple[str, ...]:
    """Return the patterns of the sites for single specs where none are named.

    Where all sites that can be replaced are of the main function, that is every site that fits: such a plan is the one that was made
    before there was a choice.
    """
    sites = [entry.site for entry in tried.survey.entries]
    fitting = {site.path for site in sites if site.replaceable and not site.output}
    return EVERY_SITE if fitting == tried.main_sites() else MAIN_FUNCTION
