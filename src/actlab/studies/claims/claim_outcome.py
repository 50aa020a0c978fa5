"""Outcome of a claim from the judgements of its parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from actlab.studies.claims.claim import Claim
from actlab.studies.claims.effect import Rows
from actlab.studies.claims.part_judgement import Decision, PartJudgement, judge_part
from actlab.system.name_list import listed
from actlab.system.plural import plural

__all__ = ["ClaimOutcome", "Result", "judge_claim"]

Result: TypeAlias = Literal["holds", "does not hold", "holds only if", "undecided"]


@dataclass(frozen=True, kw_only=True)
class ClaimOutcome:
    """What was found about a claim.

    Attributes:
        result: "holds" (all parts do), "does not hold", "holds only if" (under some conditions it does, under others it does not) or
            "undecided".
        conditions: the decision under each condition; empty where the parts have none.
        parts: judgements, in the order of the claim.
        more: about how many more seeds decide it, where it is undecided and that is foreseeable.
    """

    result: Result
    conditions: Mapping[str, Decision]
    parts: tuple[PartJudgement, ...]
    more: int | None = None

    @property
    def text(self) -> str:
        """The result in words, with the conditions or the number of seeds that are missing.

        Example:
            >>> ClaimOutcome(result="undecided", conditions={}, parts=(), more=4).text
            'undecided at this power (about 4 more seeds)'
        """
        if self.result == "undecided":
            pending = [part.n for part in self.parts if part.judged and part.decision == "undecided"]
            unknown = "too few seeds for a forecast" if min(pending, default=2) < 2 else "not within 200 seeds"
            more = unknown if self.more is None else f"about {plural(self.more, 'more seed')}"
            holding = [name for name, decision in self.conditions.items() if decision == "holds"]
            return f"undecided at this power ({more})" + (f"; holds if {listed(holding)}" if holding else "")
        if self.result != "holds only if":
            return self.result
        holding = [name for name, decision in self.conditions.items() if decision == "holds"]
        open_ones = [name for name, decision in self.conditions.items() if decision == "undecided"]
        rest = f"; undecided if {listed(open_ones)}" if open_ones else ""
        return f"holds only if {listed(holding)}{rest}"

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as plain values, ready for JSON."""
        parts = [part.to_dict() for part in self.parts]
        return {
            "result": self.result,
            "text": self.text,
            "conditions": dict(self.conditions),
            "more": self.more,
            "parts": parts,
        }


def judge_claim(claim: Claim, rows: Rows) -> ClaimOutcome:
    """Judge a claim by its pass rule.

    Args:
        claim: with its parts.
        rows: of its studies, by key.
    """
    parts = tuple(judge_part(part, claim, rows) for part in claim.parts)
    judged = [part for part in parts if part.judged]
    always = _together(part for part in judged if part.condition is None)
    names = dict.fromkeys(part.condition for part in judged if part.condition is not None)
    conditions = {name: _together(part for part in judged if part.condition == name) for name in names}
    result = _result(always, list(conditions.values()))
    pending = [part for part in judged if part.decision == "undecided"]
    forecasts = [part.more for part in pending if part.more is not None]
    more = max(forecasts) if result == "undecided" and len(forecasts) == len(pending) and forecasts else None
    return ClaimOutcome(result=result, conditions=conditions, parts=parts, more=more)


def _together(parts: Iterable[PartJudgement]) -> Decision:
    """Return the decision on a statement that needs all parts; without any it holds."""
    decisions = {part.decision for part in parts}
    return "does not hold" if "does not hold" in decisions else "undecided" if "undecided" in decisions else "holds"


def _result(always: Decision, conditions: list[Decision]) -> Result:
    if always == "does not hold" or (conditions and set(conditions) == {"does not hold"}):
        return "does not hold"
    if always == "undecided":
        return "undecided"
    if set(conditions) <= {"holds"}:
        return "holds"
    return "holds only if" if {"holds", "does not hold"} <= set(conditions) else "undecided"
