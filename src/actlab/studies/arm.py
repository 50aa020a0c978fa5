"""Arm of a study, either one spec for all sites or a map from site patterns to specs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from actlab.errors import PlanError
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec

__all__ = ["Arm", "ArmLike", "Assignment", "parse_arm"]

Assignment: TypeAlias = str | tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Arm:
    """One of the compared alternatives, which assigns activations to the sites of a model.

    Attributes:
        label: canonical text, unique in a plan.
        assignment: a spec for all sites, or pairs of site pattern and spec.
    """

    label: str
    assignment: Assignment

    def for_swap(self) -> str | dict[Any, Any]:
        """Return the assignment as ``swap_`` takes it."""
        return self.assignment if isinstance(self.assignment, str) else dict(self.assignment)

    def specs(self) -> tuple[str, ...]:
        """Return the specs of the assignment."""
        return (self.assignment,) if isinstance(self.assignment, str) else tuple(spec for _, spec in self.assignment)


ArmLike: TypeAlias = str | Spec | Mapping[str, str | Spec] | Arm


def parse_arm(arm: ArmLike) -> Arm:
    """Return an arm from a spec (text or record) or a map from site patterns to specs; an arm is returned unchanged.

    Raises:
        PlanError: the value is none of these.
        SpecError: a spec has a syntax error.
        UnknownNameError: a spec names an unknown activation.

    Example:
        >>> parse_arm("leaky_relu(0.01)").label, parse_arm({"0.*": "gelu", "head": "relu"}).label
        ('leaky_relu', '0.*=gelu; head=relu')
    """
    if isinstance(arm, Arm):
        return arm
    if isinstance(arm, str | Spec):
        label = str(parse(arm))
        return Arm(label, label)
    if isinstance(arm, Mapping) and arm and all(isinstance(pattern, str) for pattern in arm):
        pairs = tuple((pattern, str(parse(spec))) for pattern, spec in arm.items())
        return Arm("; ".join(f"{pattern}={spec}" for pattern, spec in pairs), pairs)
    raise PlanError(
        f"An arm is a spec like 'gelu' or a map from site patterns to specs; got {type(arm).__name__}: {arm!r}."
    )
