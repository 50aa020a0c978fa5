"""The diagnosis: what a checkup has measured, found and tried, and the one sentence it comes to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from actlab.diagnostics.check import Finding
from actlab.diagnostics.measurements import Measurements
from actlab.diagnostics.remedy import Remedy
from actlab.diagnostics.training_record import Course
from actlab.nn.probes.propagation import Propagation

__all__ = ["Diagnosis", "PairedTrial", "TrialVerdict"]

TrialVerdict = Literal["helped", "did not help", "undecided", "does not fit", "not tried"]


@dataclass(frozen=True, kw_only=True)
class PairedTrial:
    """A prescription against the model as it is, seed by seed.

    Attributes:
        prescription: what was tried.
        seeds: on which.
        before: the metric of the model as it is, by seed.
        after: with the prescription.
        difference: mean of the paired differences, positive where the prescription is better.
        interval: of that mean, at a level that allows for all trials of the diagnosis; None below two seeds.
        verdict: "helped" if the interval lies above zero and the mean beyond the region of practical equivalence (of a hint, the whole
            interval); "did not help" if the interval ends below that region's end; else "undecided".
        reason: why it does not fit, or was not tried.
        diverged: how many trainings diverged, before and after.
        decades: of the gradient from the last layer to the first, before and after, at the init of the first seed; NaN where not measured.
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
class Diagnosis:
    """What a checkup came to.

    Attributes:
        name: of the task or of the model.
        metric: by which prescriptions are judged; "" where none could be tried.
        direction: "max" or "min".
        steps: of a trial.
        examined: everything that was measured.
        all_findings: what the rules found, hints among them.
        trials: of their prescriptions, in the order of the findings.
        notes: what could not be done, and what to add.
        stopped: whether it was stopped before the end.
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
        """Faults, and the hints of which a prescription helped on this model."""
        return tuple(found for found in self.all_findings if found.kind == "fault" or self.helped(found))

    @property
    def hints(self) -> tuple[Finding, ...]:
        """Hints that did not win their trial, or had none."""
        return tuple(found for found in self.all_findings if found not in self.findings)

    @property
    def healthy(self) -> bool:
        """Whether there is nothing to do."""
        return not self.findings

    @property
    def recommended(self) -> tuple[PairedTrial, ...]:
        """The trials whose prescription helped, the best first."""
        won = [trial for trial in self.trials if trial.verdict == "helped"]
        return tuple(sorted(won, key=lambda trial: -trial.difference))

    @property
    def propagation(self) -> Propagation | None:
        """Signal and gradient by depth."""
        return self.examined.propagation

    @property
    def course(self) -> Course | None:
        """The first steps of training."""
        return self.examined.course

    def helped(self, found: Finding) -> bool:
        """Tell whether a prescription of a finding helped."""
        return any(trial.verdict == "helped" for trial in self.trials_of(found))

    def trials_of(self, found: Finding) -> tuple[PairedTrial, ...]:
        """Return the trials of a finding's prescriptions."""
        return tuple(trial for trial in self.trials if trial.prescription in found.prescriptions)

    @property
    def sentence(self) -> str:
        """What it comes to."""
        if self.healthy:
            return "Nothing to do." if not self._untried else f"No fault was measured. {self._untried}"
        first = self.findings[0]
        more = f", and {len(self.findings) - 1} more" if len(self.findings) > 1 else ""
        where = f" at {first.layer or first.site}" if first.layer or first.site else ""
        return f"{first.rule[0].upper()}{first.rule[1:]}{where}{more}. {self._advice()}"

    @property
    def _untried(self) -> str:
        """Say that hints could not be tried."""
        waiting = [
            found for found in self.hints if all(trial.verdict == "not tried" for trial in self.trials_of(found))
        ]
        waiting = [found for found in waiting if found.prescriptions]
        return f"Not tried: {', '.join(found.prescriptions[0].name for found in waiting)}." if waiting else ""

    def _advice(self) -> str:
        if self.recommended:
            best = self.recommended[0]
            return f"Recommended: {best.prescription.name} ({self.metric} {_means(best)}, mean of {len(best.seeds)} seeds)."
        if any(trial.verdict not in {"not tried", "does not fit"} for trial in self.trials):
            return "Nothing that was tried is shown to help."
        return "Nothing was tried yet."

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON; numbers that are not finite are None."""
        whole = {
            "name": self.name,
            "healthy": self.healthy,
            "sentence": self.sentence,
            "metric": self.metric,
            "direction": self.direction,
            "steps": self.steps,
            "findings": [self._finding(found) for found in self.findings],
            "hints": [self._finding(found) for found in self.hints],
            "recommended": [trial.prescription.name for trial in self.recommended],
            "trials": [_trial(trial) for trial in self.trials],
            "propagation": self._propagation(),
            "units": self._units(),
            "course": None if self.course is None else _course(self.course),
            "notes": list(self.notes),
            "stopped": self.stopped,
        }
        plain: dict[str, Any] = _finite(whole)
        return plain

    def _finding(self, found: Finding) -> dict[str, Any]:
        keys = ("rule", "kind", "layer", "site", "sentence", "source")
        told = {key: getattr(found, key) for key in keys} | {"evidence": dict(found.evidence)}
        return told | {"prescriptions": [prescription.name for prescription in found.prescriptions]}

    def _propagation(self) -> dict[str, Any] | None:
        found = self.propagation
        if found is None:
            return None
        told: dict[str, Any] = {"decades": found.decades, "decades_forecast": found.decades_forecast}
        return told | {"layers": [asdict(layer) for layer in found.layers]}

    def _units(self) -> list[dict[str, Any]]:
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


def _trial(trial: PairedTrial) -> dict[str, Any]:
    keys = ("seeds", "before", "after", "difference", "interval", "verdict", "reason", "diverged", "decades")
    told = {key: getattr(trial, key) for key in keys}
    prescription = trial.prescription
    return {"prescription": prescription.name, "code": prescription.code, "source": prescription.source, **told}


def _course(course: Course) -> dict[str, Any]:
    return {
        "learning_rate": course.learning_rate,
        "losses": course.losses,
        "diverged": course.diverged,
        "deaths": [asdict(death) for death in course.deaths],
        "looks": [asdict(look) for look in course.looks],
    }


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(held) for key, held in value.items()}
    return [_finite(held) for held in value] if isinstance(value, (list, tuple)) else value
