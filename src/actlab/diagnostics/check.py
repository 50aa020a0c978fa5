"""Dataclasses of a check of the doctor and of its findings, faults or hints with remedies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from actlab.diagnostics.measurements import Measurements
from actlab.diagnostics.remedy import MatchedInit, Remedy
from actlab.studies.claims.citation import Citation, claims_about

__all__ = ["Check", "Finding", "Kind"]

Kind = Literal["fault", "hint"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Result of a check that fired.

    Attributes:
        rule: name of the check.
        kind: "fault" for a measured fault; "hint" for a rule of thumb, which counts only if a remedy wins its trial on this model.
        layer: path of the layer with weights where it begins; "" for the whole model.
        site: path of the activation; "" if none is concerned.
        sentence: description with the measured numbers.
        source: publication behind the check.
        evidence: the numbers by name.
        prescriptions: remedies to try, most promising first.
        topics: sets of words by which claims of the literature about it are found.
    """

    rule: str
    kind: Kind
    layer: str
    site: str
    sentence: str
    source: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    prescriptions: tuple[Remedy, ...] = ()
    topics: tuple[tuple[str, ...], ...] = ()

    @property
    def claims(self) -> list[Citation]:
        """Claims of the literature about it that were tried, with their outcomes."""
        return claims_about(*self.topics)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check of the doctor.

    Attributes:
        name: short name.
        kind: of its findings.
        statement: what the check tests, in one sentence.
        source: publication behind it.
        run: yields findings from measurements; it gets the check itself for :meth:`finding`.
        topics: of its findings.
    """

    name: str
    kind: Kind
    statement: str
    source: str
    run: Callable[[Check, Measurements], Iterator[Finding]]
    topics: tuple[tuple[str, ...], ...] = ()

    def findings(self, measured: Measurements) -> tuple[Finding, ...]:
        """Run the check, and leave out the remedies that the model does not allow."""
        return tuple(replace(each, prescriptions=_allowed(each, measured)) for each in self.run(self, measured))

    def finding(
        self,
        sentence: str,
        *,
        layer: str = "",
        site: str = "",
        evidence: Mapping[str, float] | None = None,
        remedies: tuple[Remedy, ...] = (),
    ) -> Finding:
        """Return a finding with this check's name, kind and source."""
        return Finding(
            rule=self.name,
            kind=self.kind,
            layer=layer,
            site=site,
            sentence=sentence,
            source=self.source,
            evidence=dict(evidence or {}),
            prescriptions=remedies,
            topics=self.topics,
        )


def _allowed(finding: Finding, measured: Measurements) -> tuple[Remedy, ...]:
    """Return the remedies without those that draw weights where :func:`actlab.init_` would refuse to."""
    if not measured.init_obstacle:
        return finding.prescriptions
    return tuple(
        remedy
        for remedy in finding.prescriptions
        if not any(isinstance(change, MatchedInit) for change in remedy.changes)
    )
