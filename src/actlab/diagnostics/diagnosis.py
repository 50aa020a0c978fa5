"""Result of the doctor, with measurements, findings, paired trials and a summary sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from actlab.diagnostics.check import Finding
from actlab.diagnostics.measurements import Measurements
from actlab.diagnostics.remedy import Remedy
from actlab.diagnostics.training_record import TrainingRecord
from actlab.nn.probes.propagation import Propagation
from actlab.system.display import Displayed
from actlab.system.plural import plural

__all__ = ["Diagnosis", "PairedTrial", "TrialVerdict"]

TrialVerdict = Literal["helped", "did not help", "undecided", "does not fit", "not tried"]


@dataclass(frozen=True, kw_only=True)
class PairedTrial:
    """Comparison of a remedy with the unchanged model, paired by seed.

    Attributes:
        prescription: the remedy.
        seeds: seeds of the trainings.
        before: metric of the unchanged model, by seed.
        after: metric with the remedy, by seed.
        difference: mean of the paired differences, positive if the remedy is better.
        interval: confidence interval of that mean, corrected for all trials of the diagnosis; None with fewer than two seeds.
        verdict: "helped" if the interval lies above zero and the mean beyond the region of practical equivalence (for a hint, the whole
            interval beyond it); "did not help" if the interval ends within that region or below; otherwise "undecided".
        reason: why the remedy does not fit, or was not tried.
        diverged: number of trainings that diverged, before and after.
        decades: change of the gradient from the last layer to the first in powers of ten, before and after, at initialization of the
            first seed; NaN if not measured.
    """

    prescription: Remedy
    seeds: tuple[int, ...] = ()
    before: tuple[float, ...] = ()
    after: tuple[float, ...] = ()
    difference: float = math.nan
    interval: tuple[float, float] | None = None
    verdict: TrialVerdict = "not tried"
    reason: str = ""
    diverged: tuple[int, int] = (0, 0)
    decades: tuple[float, float] = (math.nan, math.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class Diagnosis(Displayed):
    """Result of :func:`actlab.doctor`.

    Attributes:
        name: of the task or model.
        metric: that remedies are judged by; "" if none could be tried.
        direction: "max" or "min".
        steps: training steps of a trial.
        examined: all measurements.
        all_findings: findings of all checks, hints included.
        trials: of the remedies, in the order of the findings.
        notes: what could not be done, and what to add.
        stopped: whether the run was interrupted.
    """

    name: str
    metric: str
    direction: str
    steps: int
    examined: Measurements
    all_findings: tuple[Finding, ...]
    trials: tuple[PairedTrial, ...]
    notes: tuple[str, ...] = field(default_factory=tuple)
    stopped: bool = False

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Faults, and hints with a remedy that helped on this model."""
        return tuple(finding for finding in self.all_findings if finding.kind == "fault" or self.helped(finding))

    @property
    def hints(self) -> tuple[Finding, ...]:
        """Hints without a remedy that helped."""
        return tuple(finding for finding in self.all_findings if finding not in self.findings)

    @property
    def healthy(self) -> bool:
        """Whether there are no findings."""
        return not self.findings

    @property
    def recommended(self) -> tuple[PairedTrial, ...]:
        """Trials of remedies that helped, largest difference first."""
        won = [trial for trial in self.trials if trial.verdict == "helped"]
        return tuple(sorted(won, key=lambda trial: -trial.difference))

    @property
    def propagation(self) -> Propagation | None:
        """Signal and gradient by depth at initialization."""
        return self.examined.propagation

    @property
    def course(self) -> TrainingRecord | None:
        """Record of the first training steps."""
        return self.examined.course

    def helped(self, finding: Finding) -> bool:
        """Tell whether a remedy of a finding helped."""
        return any(trial.verdict == "helped" for trial in self.trials_of(finding))

    def trials_of(self, finding: Finding) -> tuple[PairedTrial, ...]:
        """Return the trials of a finding's remedies."""
        return tuple(trial for trial in self.trials if trial.prescription in finding.prescriptions)

    @property
    def sentence(self) -> str:
        """Summary in one or two sentences."""
        if self.healthy:
            return "Nothing to do." if not self._untried else f"No fault was measured. {self._untried}"
        first = self.findings[0]
        more = f", and {len(self.findings) - 1} more" if len(self.findings) > 1 else ""
        where = f" at {first.layer or first.site}" if first.layer or first.site else ""
        return f"{first.rule[0].upper()}{first.rule[1:]}{where}{more}. {self._advice()}"

    @property
    def _untried(self) -> str:
        """Name the first remedy of each hint of which none was tried."""
        untried = [
            hint
            for hint in self.hints
            if hint.prescriptions and all(trial.verdict == "not tried" for trial in self.trials_of(hint))
        ]
        return f"Not tried: {', '.join(hint.prescriptions[0].name for hint in untried)}." if untried else ""

    def _advice(self) -> str:
        if self.recommended:
            best = self.recommended[0]
            return f"Recommended: {best.prescription.name} ({self.metric} {_means(best)}, mean of {plural(len(best.seeds), 'seed')})."
        if any(trial.verdict not in {"not tried", "does not fit"} for trial in self.trials):
            return "No remedy that was tried is shown to help."
        return "No remedy was tried."

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain data for JSON; numbers that are not finite become None."""
        data = {
            "name": self.name,
            "healthy": self.healthy,
            "sentence": self.sentence,
            "metric": self.metric,
            "direction": self.direction,
            "steps": self.steps,
            "findings": [_finding_data(finding) for finding in self.findings],
            "hints": [_finding_data(hint) for hint in self.hints],
            "recommended": [trial.prescription.name for trial in self.recommended],
            "trials": [_trial_data(trial) for trial in self.trials],
            "propagation": None if self.propagation is None else _propagation_data(self.propagation),
            "units": self._unit_data(),
            "course": None if self.course is None else _record_data(self.course),
            "notes": list(self.notes),
            "stopped": self.stopped,
        }
        plain: dict[str, Any] = _finite(data)
        return plain

    def _unit_data(self) -> list[dict[str, Any]]:
        last = self.course.looks[-1] if self.course and self.course.looks else None
        return [
            {
                "site": row.path,
                "layer": row.after,
                "spec": row.spec,
                "units": row.units,
                "dead": row.dead,
                "saturated": row.stuck,
                "dead_at_end": last.dead.get(row.name) if last else None,
                "saturated_at_end": last.stuck.get(row.name) if last else None,
            }
            for row in self.examined.at_init or ()
            if row.units
        ]


def _means(trial: PairedTrial) -> str:
    before, after = (sum(values) / len(values) for values in (trial.before, trial.after))
    return f"{before:.4g} before, {after:.4g} after"


def _finding_data(finding: Finding) -> dict[str, Any]:
    keys = ("rule", "kind", "layer", "site", "sentence", "source")
    data = {key: getattr(finding, key) for key in keys} | {"evidence": dict(finding.evidence)}
    data["claims"] = [citation.to_dict() for citation in finding.claims]
    return data | {"prescriptions": [remedy.name for remedy in finding.prescriptions]}


def _trial_data(trial: PairedTrial) -> dict[str, Any]:
    keys = ("seeds", "before", "after", "difference", "interval", "verdict", "reason", "diverged", "decades")
    data = {key: getattr(trial, key) for key in keys}
    remedy = trial.prescription
    return {"prescription": remedy.name, "code": remedy.code, "source": remedy.source, **data}


def _propagation_data(measured: Propagation) -> dict[str, Any]:
    return {
        "decades": measured.decades,
        "decades_forecast": measured.decades_forecast,
        "layers": [asdict(layer) for layer in measured.layers],
    }


def _record_data(record: TrainingRecord) -> dict[str, Any]:
    return {
        "learning_rate": record.learning_rate,
        "losses": record.losses,
        "diverged": record.diverged,
        "deaths": [asdict(death) for death in record.deaths],
        "looks": [asdict(look) for look in record.looks],
    }


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
