"""Warnings of a verdict, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from actlab.evaluate.audit.finding import data_warnings
from actlab.stats.racing import fewest_rounds
from actlab.studies.arm import named
from actlab.studies.trial_inputs import mixed_inputs
from actlab.studies.trials.stage import MAIN, is_tuning
from actlab.studies.verdict.arm_summary import ArmSummary
from actlab.studies.verdict.far_seeds import find_far_seeds
from actlab.studies.verdict.finding import Findings
from actlab.studies.verdict.learned import Learned
from actlab.studies.verdict.outcomes import Outcome, Row, StudyFacts
from actlab.studies.verdict.script_seeds import seed_warnings
from actlab.studies.verdict.words import all_named, capitalized
from actlab.system.plural import plural

__all__ = ["Evidence", "find_warnings"]

# Models whose sizes differ by more than this share are reported as unequal.
_SAME_SIZE = 0.05


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What warnings are made from.

    Attributes:
        arms: summary of every arm, best first.
        outcomes: of every arm.
        findings: about them.
        learned: whether anything was learned.
        rows: all trials, with those of tuning.
        facts: of the study.
    """

    arms: Sequence[ArmSummary]
    outcomes: Mapping[str, Outcome]
    findings: Findings
    learned: Learned
    rows: Sequence[Row]
    facts: StudyFacts


def find_warnings(evidence: Evidence) -> tuple[str, ...]:
    """Return the warnings of a verdict, the most serious first."""
    arms, facts = evidence.arms, evidence.facts
    sentences = (
        *_learning_warnings(evidence.learned, facts),
        *_seed_warnings(evidence),
        *(seed_warnings(evidence.rows) if facts.script else ()),
        *_far_out_warnings(evidence),
        *_selection_warnings(facts),
        *_unfinished_warnings(evidence),
        *_failure_warnings(evidence),
        *_improvement_warnings(evidence.learned, facts),
        *_size_warnings(arms, facts),
        *mixed_inputs(evidence.rows),
        *_tuning_warnings(facts, evidence.rows),
    )
    return tuple(map(capitalized, sentences))


def _learning_warnings(learned: Learned, facts: StudyFacts) -> Iterator[str]:
    if learned.unlearned:
        yield (
            f"Nothing was learned by {all_named(learned.unlearned)}: the {facts.metric} is not clearly better than {learned.constant:.4g}, "
            "that of a constant prediction."
        )
    for group in learned.identical:
        yield (
            f"{all_named(group)} gave identical results on every seed: do they run in the model, or has the {facts.metric} reached "
            "its limit?"
        )


def _seed_warnings(evidence: Evidence) -> Iterator[str]:
    most = max(len(outcome.metrics) + len(outcome.diverged) for outcome in evidence.outcomes.values())
    fewest = fewest_rounds(evidence.facts.alpha)
    if most == 1:
        yield "One seed: the noise is unknown, so no difference can be called real."
    elif 1 < most < fewest:
        yield f"Only {plural(most, 'seed')}: no difference can be shown with fewer than {fewest}."


def _far_out_warnings(evidence: Evidence) -> Iterator[str]:
    far = find_far_seeds(evidence.outcomes, evidence.findings.compared, evidence.facts.rope or 0.0)
    for arm, seeds in far.items():
        metrics = evidence.outcomes[arm].metrics
        shown = ", ".join(f"seed {seed}: {metrics[seed]:.4g}" for seed in seeds[:3]) + (
            ", ..." if len(seeds) > 3 else ""
        )
        yield (
            f"{named(arm, short=True)} is much farther from the other arms on {plural(len(seeds), 'seed')} ({shown}) than on the rest. "
            "The error rate holds for symmetric differences, and an arm that fails on rare seeds breaks that: look at these runs, and "
            "add seeds."
        )


def _selection_warnings(facts: StudyFacts) -> Iterator[str]:
    if facts.hygiene.get("selected_on_test"):
        yield "The test split was used for selection: the results look better than they will be on new data."
    yield from data_warnings(facts.hygiene)


def _unfinished_warnings(evidence: Evidence) -> Iterator[str]:
    facts, found = evidence.facts, evidence.findings
    short = [
        f"{named(arm.spec)} {evidence.outcomes[arm.spec].trials} of {len(facts.seeds)}"
        for arm in evidence.arms
        if found.of(arm.spec).standing in ("best", "diverged", "not run")
        and evidence.outcomes[arm.spec].trials < len(facts.seeds)
    ]
    if found.decided or not short:
        return
    shown = ", ".join(short[:4]) + (f" and {plural(len(short) - 4, 'more arm')}" if len(short) > 4 else "")
    if facts.budget_hit:
        yield f"Time-boxed: the budget ended the study before all seeds were run ({shown})."
    else:
        yield f"Unfinished: not all seeds have been run ({shown})."


def _failure_warnings(evidence: Evidence) -> Iterator[str]:
    for arm in evidence.arms:
        outcome, found = evidence.outcomes[arm.spec], evidence.findings.of(arm.spec)
        name = named(arm.spec, short=True)
        if outcome.failed:
            yield f"{name} {_failure(outcome, found.standing, is_final=found.is_final)}."
        if outcome.diverged:
            lost = "" if found.standing == "withdrawn" else "; those count as lost"
            yield f"{name} diverged on {len(outcome.diverged)} of {plural(outcome.trials, 'seed')}{lost}."


def _failure(outcome: Outcome, standing: str, *, is_final: bool) -> str:
    failed = f"{plural(len(outcome.failed), 'trial')} failed ({outcome.troubles[outcome.failed[0]].rstrip('.')})"
    if standing != "withdrawn":
        return f"has a failure that does not count in the comparison: {failed}"
    return f"is excluded: {failed}" if is_final else f"is excluded for now: {failed}; the same command runs it again"


def _improvement_warnings(learned: Learned, facts: StudyFacts) -> Iterator[str]:
    found = learned.improving
    if not found:
        return
    most = max(found, key=lambda improvement: improvement.gain)
    names = [improvement.arm for improvement in found]
    of = all_named(names) if len(names) <= 4 else f"{len(names)} arms"
    if most.is_loss:
        change = f"the training loss still fell, by up to {most.gain:.2g}"
    else:
        up = "rose" if facts.direction == "max" else "fell"
        change = f"the held-out {facts.metric} still {up}, by up to {most.gain:.2g} ({named(most.arm)})"
    yield f"The training may be too short for {of}: in its {most.part} {change}. Longer training may change the order."


def _size_warnings(arms: Sequence[ArmSummary], facts: StudyFacts) -> Iterator[str]:
    base = next(arm.parameters for arm in arms if arm.spec == facts.baseline)
    for arm in arms:
        if base and arm.parameters is not None and abs(arm.parameters / base - 1) > _SAME_SIZE:
            more = "more" if arm.parameters > base else "fewer"
            share = f"{abs(arm.parameters / base - 1):.0%}"
            larger = f"{named(arm.spec, short=True)} has {share} {more} parameters than {named(facts.baseline)}"
            yield f"{larger}: the models are not equal in size."


def _tuning_warnings(facts: StudyFacts, rows: Iterable[Row]) -> Iterator[str]:
    tried: dict[str, list[Row]] = {}
    for row in rows:
        if is_tuning(row.get("stage", MAIN)):
            tried.setdefault(row["arm"], []).append(row)
    if len(facts.arms) == 1:
        return
    lost = [
        arm for arm, trials in tried.items() if all(row.get("status", "completed") != "completed" for row in trials)
    ]
    if lost:
        why = next(
            (row["error"].splitlines()[0] for arm in lost for row in tried[arm] if row.get("error")), "no result"
        )
        yield (
            f"The learning rate of {all_named(lost)} is the task's own and was not chosen, because every trial that tried a rate failed or "
            f"diverged ({why.rstrip('.')})."
        )
    tuned = set(tried)
    if not tuned:
        yield "The learning rate was not tuned: an arm that needs another one is undervalued (see --tune lr)."
    elif not set(facts.arms) <= tuned:
        names = all_named([arm for arm in facts.arms if arm in tuned])
        yield f"The learning rate was tuned for {names} only: that is an unfair advantage over the other arms."
