"""Arm of a study, which is a spec, a map from site patterns to specs, or the model as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from actlab.errors import PlanError
from actlab.functions.activation import Activation
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.functions.spec_text import split_site_map

__all__ = [
    "EVERY_SITE",
    "MAIN_FUNCTION",
    "UNCHANGED",
    "Arm",
    "ArmLike",
    "Assignment",
    "arm_from_dict",
    "arm_to_dict",
    "named",
    "parse_arm",
]

Assignment: TypeAlias = str | tuple[tuple[str, str], ...]

UNCHANGED: Final = "unchanged"
"""Label of the arm that is the model as it is; no activation has this name."""
EVERY_SITE: Final = ("*",)
"""Patterns that select every site that fits, gates included. Plans of before there was a choice have no others."""
MAIN_FUNCTION: Final[tuple[str, ...]] = ()
"""No pattern: the sites of the model's main function, see :func:`actlab.studies.site_roles.find_roles`."""


@dataclass(frozen=True)
class Arm:
    """One of the compared alternatives, which assigns activations to the sites of a model.

    Attributes:
        label: canonical text, unique in a plan.
        assignment: a spec, pairs of site pattern and spec, or "unchanged".
        sites: patterns of the sites that a single spec is for, as :func:`actlab.swap_` takes them; none for those of the main function.
    """

    label: str
    assignment: Assignment
    sites: tuple[str, ...] = EVERY_SITE

    @property
    def is_unchanged(self) -> bool:
        """Whether the arm is the model as it is."""
        return self.assignment == UNCHANGED

    @property
    def is_one_spec(self) -> bool:
        """Whether the arm is a single spec, which depends on the choice of sites."""
        return isinstance(self.assignment, str) and not self.is_unchanged

    def for_swap(self) -> str | dict[Any, Any]:
        """Return the assignment as ``swap_`` takes it; a spec for the main function is returned without a choice of sites."""
        if isinstance(self.assignment, str):
            return dict.fromkeys(self.sites, self.assignment) if self.sites else self.assignment
        return dict(self.assignment)

    def specs(self) -> tuple[str, ...]:
        """Return the specs of the assignment."""
        if self.is_unchanged:
            return ()
        return (self.assignment,) if isinstance(self.assignment, str) else tuple(spec for _, spec in self.assignment)


ArmLike: TypeAlias = str | Spec | Activation | Mapping[str, Any] | Arm | Callable[..., Any]


def parse_arm(arm: ArmLike, sites: tuple[str, ...] = EVERY_SITE) -> Arm:
    """Return an arm from a spec, ``"unchanged"`` or a map from site patterns to specs; an arm is returned as it is.

    A spec is text or a record, or a module, a class of modules or a function; one that computes no registered activation is registered,
    see :func:`actlab.nn.own_activation.own_spec`.

    A map can be written as one text, as its label is.

    Args:
        arm: the value.
        sites: of a single spec.

    Raises:
        PlanError: the value is none of these.
        SpecError: a spec has a syntax error.
        UnknownNameError: a spec names an unknown activation.

    Example:
        >>> parse_arm("leaky_relu(0.01)").label, parse_arm({"0.*": "gelu", "head": "relu"}).label
        ('leaky_relu', '0.*=gelu; head=relu')
        >>> parse_arm("0.*=gelu; head=relu") == parse_arm({"0.*": "gelu", "head": "relu"})
        True
    """
    if isinstance(arm, Arm):
        return arm
    if isinstance(arm, str) and arm.strip() == UNCHANGED:
        return Arm(UNCHANGED, UNCHANGED)
    if isinstance(arm, str) and (pairs_of_text := split_site_map(arm)):
        return parse_arm(dict(pairs_of_text))
    if isinstance(arm, str | Spec | Activation) or callable(arm):
        label = str(parse(arm))
        return Arm(label, label, sites)
    if isinstance(arm, Mapping) and arm and all(isinstance(pattern, str) for pattern in arm):
        pairs = tuple((pattern, str(parse(spec))) for pattern, spec in arm.items())
        return Arm("; ".join(f"{pattern}={spec}" for pattern, spec in pairs), pairs)
    raise PlanError(
        f"An arm is a spec like 'gelu', 'unchanged', or a map from site patterns to specs; got {type(arm).__name__}: {arm!r}."
    )


def named(arm: str, *, short: bool = False) -> str:
    """Return how a sentence names an arm: its label, or words for the model as it is.

    Args:
        arm: label of the arm.
        short: whether a verb or an apostrophe follows.

    Example:
        >>> named("gelu"), named("unchanged"), named("unchanged", short=True)
        ('gelu', 'the model as it is', 'the unchanged model')
    """
    if arm != UNCHANGED:
        return arm
    return "the unchanged model" if short else "the model as it is"


def arm_to_dict(arm: Arm) -> dict[str, Any]:
    """Return an arm as plain values, ready for JSON."""
    return {"label": arm.label, "assignment": arm.assignment, "sites": list(arm.sites)}


def arm_from_dict(values: Mapping[str, Any]) -> Arm:
    """Return the arm of :func:`arm_to_dict`; an arm of earlier builds, without sites, is for every site.

    Example:
        >>> arm_from_dict(arm_to_dict(parse_arm({"0.*": "gelu"}))) == parse_arm({"0.*": "gelu"})
        True
    """
    stored = values["assignment"]
    assignment = stored if isinstance(stored, str) else tuple((pattern, spec) for pattern, spec in stored)
    return Arm(values["label"], assignment, tuple(values.get("sites", EVERY_SITE)))
