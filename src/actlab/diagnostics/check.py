"""The finding: what is wrong with a model, where, by which rule, with the numbers measured on this model and what could help."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from actlab.diagnostics.measurements import Measurements
from actlab.diagnostics.remedy import Remedy

__all__ = ["Check", "Finding", "Kind"]

Kind = Literal["fault", "hint"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a rule has found.

    Attributes:
        rule: name of the rule.
        kind: "fault" for what was measured to be wrong; "hint" for what experience advises against, and which counts only where a change
            wins its trial on this model.
        layer: path of the layer with weights at which it begins; "" where it concerns the whole.
        site: path of the activation; "" where it concerns none.
        sentence: what was found.
        evidence: the numbers, by name.
        source: of the rule.
        prescriptions: what could help, the likeliest first.
    """

    rule: str
    kind: Kind
    layer: str
    site: str
    sentence: str
    source: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    prescriptions: tuple[Remedy, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Check:
    """Something to look for.

    Attributes:
        name: short.
        kind: of its findings.
        says: the rule in a sentence.
        source: who says so.
        read: yields findings from an examination, without ``rule``, ``kind`` and ``source``: those are the rule's.
    """

    name: str
    kind: Kind
    says: str
    source: str
    read: Callable[[Check, Measurements], Iterator[Finding]]

    def findings(self, examined: Measurements) -> tuple[Finding, ...]:
        """Return what the rule finds."""
        return tuple(self.read(self, examined))

    def found(
        self,
        sentence: str,
        *,
        layer: str = "",
        site: str = "",
        evidence: Mapping[str, float] | None = None,
        prescriptions: tuple[Remedy, ...] = (),
    ) -> Finding:
        """Return a finding of this rule."""
        return Finding(
            rule=self.name,
            kind=self.kind,
            layer=layer,
            site=site,
            sentence=sentence,
            source=self.source,
            evidence=dict(evidence or {}),
            prescriptions=prescriptions,
        )
