"""Recommendation and warnings of a verdict, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from actlab.studies.verdict.arm_summary import ArmSummary
from actlab.studies.verdict.outcomes import Outcome, Row, StudyFacts
from actlab.studies.verdict.ties import Tie

__all__ = ["find_warnings", "recommend", "tuned_arms"]

# Fewer seeds than this cannot reach 5 % even in a two-sided Wilcoxon test, whatever the results.
_ENOUGH_SEEDS = 6
# Models whose sizes differ by more than this share are reported as unequal.
_SAME_SIZE = 0.05
# Step times closer than this are reported as equal; interleaved timing on a busy machine is not more accurate.
_SAME_TIME = 0.02


def recommend(arms: Sequence[ArmSummary], best: Sequence[str], ties: Sequence[Tie], facts: StudyFacts) -> str:
    """Return a recommendation in one sentence without statistical terms.

    Args:
        arms: every arm, best first.
        best: labels of the best set, best first.
        ties: as in the verdict.
        facts: of the study.
    """
    baseline = next(arm for arm in arms if arm.spec == facts.baseline)
    chosen = [arm for arm in arms if arm.spec in best]
    if not chosen:
        return "No recommendation: no arm has a result yet, or none could be trained; see the status of each arm."
    if len(arms) == 1:
        return f"Nothing to choose from: {chosen[0].spec} was the only arm; name at least one more activation."
    if max(arm.n for arm in arms) == 1:
        return f"Stay with {facts.baseline} for now: one seed cannot tell a real difference from luck; run at least 6."
    if not baseline.n:
        return _without_baseline(chosen, baseline)
    if facts.baseline in best:
        return _stay(chosen, ties, facts)
    return _switch(chosen, facts)


def _without_baseline(chosen: Sequence[ArmSummary], baseline: ArmSummary) -> str:
    pick = _cheapest(chosen)
    why = f"{baseline.spec}, the baseline, gave no result to compare with"
    if len(chosen) == 1:
        return f"Use {pick.spec}: it is the best of the arms that could be trained; {why}."
    return f"Use {pick.spec}: {_cheapest_of(chosen)}; {why}."


def _stay(chosen: Sequence[ArmSummary], ties: Sequence[Tie], facts: StudyFacts) -> str:
    others = [arm.spec for arm in chosen if arm.spec != facts.baseline]
    with_baseline = [tie for tie in ties if facts.baseline in tie.arms and set(tie.arms) <= {facts.baseline, *others}]
    undecided = [tie for tie in with_baseline if tie.kind == "undecided"]
    if not others:
        return f"Stay with {facts.baseline}: it is better than every other activation tried."
    if not undecided:
        verb = "is" if len(others) == 1 else "are"
        same = f"practically the same, within {facts.rope:.3g} of its {facts.metric}"
        return f"Stay with {facts.baseline}: {_listed(others)} {verb} {same}."
    sentence = f"Stay with {facts.baseline}: no other activation has been shown to be better"
    soonest = min((tie for tie in undecided if tie.seeds_needed), key=lambda tie: tie.seeds_needed or 0, default=None)
    if soonest is None:
        return f"{sentence}."
    rival = next(arm for arm in soonest.arms if arm != facts.baseline)
    return f"{sentence}; about {_counted(soonest.seeds_needed or 0, 'more seed')} would settle how {rival} compares."


def _switch(chosen: Sequence[ArmSummary], facts: StudyFacts) -> str:
    if all(_equivalent(arm, facts) for arm in chosen):
        better = "is better" if len(chosen) == 1 else "are better"
        limit = f"but by less than the {facts.rope:.3g} of {facts.metric} that matters"
        return f"Stay with {facts.baseline}: {_listed([arm.spec for arm in chosen])} {better}, {limit}."
    # An arm may be in the best set without being separated from the baseline itself; prefer one that is.
    separated = [arm for arm in chosen if arm.diff is not None and arm.diff.p_corrected < facts.alpha] or list(chosen)
    pick = _cheapest(separated)
    reasons = [_gain(pick, facts), _time(pick, facts)]
    if len(chosen) > 1:
        reasons.insert(0, _cheapest_of(chosen) if len(separated) == len(chosen) else "it is one of the best")
    return f"Switch from {facts.baseline} to {pick.spec}: {_listed([reason for reason in reasons if reason])}."


def _equivalent(arm: ArmSummary, facts: StudyFacts) -> bool:
    probability = arm.diff.prob_equivalent if arm.diff else None
    return probability is not None and probability >= 1 - facts.alpha


def _cheapest(arms: Sequence[ArmSummary]) -> ArmSummary:
    """Return the arm with the shortest step, of those that never diverged; of equal ones the first."""
    stable = [arm for arm in arms if arm.status != "diverged"] or list(arms)
    return min(stable, key=lambda arm: float("inf") if arm.step_time_ratio is None else round(arm.step_time_ratio, 2))


def _cheapest_of(arms: Sequence[ArmSummary]) -> str:
    names = _listed([arm.spec for arm in arms])
    if any(arm.step_time_ratio is None for arm in arms):
        return f"it is one of the {len(arms)} best ({names})"
    return f"it is the cheapest of the {len(arms)} best ({names})"


def _gain(arm: ArmSummary, facts: StudyFacts) -> str:
    if arm.diff is None:
        return ""
    side = "higher" if arm.diff.mean > 0 else "lower"
    return f"its {facts.metric} is {abs(arm.diff.mean):.2g} {side} on average"


def _time(arm: ArmSummary, facts: StudyFacts) -> str:
    ratio = arm.step_time_ratio
    if ratio is None:
        return ""
    if abs(ratio - 1) < _SAME_TIME:
        return f"a training step takes as long as with {facts.baseline}"
    if ratio >= 2:
        return f"a training step takes {ratio:.1f} times as long"
    return f"a training step takes {abs(ratio - 1):.0%} {'longer' if ratio > 1 else 'less time'}"


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def tuned_arms(rows: Iterable[Row]) -> frozenset[str]:
    """Return the arms with a trial of stage "tune", whose learning rate was tuned."""
    return frozenset(row["arm"] for row in rows if row.get("stage") == "tune")


def find_warnings(
    arms: Sequence[ArmSummary],
    outcomes: Mapping[str, Outcome],
    facts: StudyFacts,
    *,
    tuned: AbstractSet[str],
    decided: bool,
) -> tuple[str, ...]:
    """Return the warnings of a verdict, the most serious first.

    Args:
        arms: every arm, best first.
        outcomes: of every arm.
        facts: of the study.
        tuned: arms for which the learning rate was tuned.
        decided: whether the race ended because one arm was left, so that seeds not run are not missing.
    """
    sentences = [
        *_seed_warnings(arms),
        *_selection_warnings(facts),
        *(() if decided else _unfinished_warnings(outcomes, arms, facts)),
        *_failure_warnings(arms, outcomes),
        *_size_warnings(arms, facts),
        *_tuning_warnings(facts, tuned),
    ]
    return tuple(sentences)


def _seed_warnings(arms: Sequence[ArmSummary]) -> Iterator[str]:
    most = max(arm.n for arm in arms)
    if most == 1:
        yield "One seed: the noise is unknown, so no difference can be called real."
    elif 1 < most < _ENOUGH_SEEDS:
        yield f"Only {most} seeds: fewer than {_ENOUGH_SEEDS} show none but very large differences."


def _selection_warnings(facts: StudyFacts) -> Iterator[str]:
    total = facts.hygiene.get("test_examples")
    if facts.hygiene.get("selected_on_test"):
        yield "The test split was used for selection: the results look better than they will be on new data."
    for key, split in (("test_in_train", "training"), ("test_in_validation", "validation")):
        count = facts.hygiene.get(key) or 0
        if count:
            of = f" of {total}" if total else ""
            yield f"{count}{of} test examples are also in the {split} split: the results favour arms that memorise."


def _unfinished_warnings(
    outcomes: Mapping[str, Outcome], arms: Sequence[ArmSummary], facts: StudyFacts
) -> Iterator[str]:
    short = [
        f"{arm.spec} {outcomes[arm.spec].trials} of {len(facts.seeds)}"
        for arm in arms
        if arm.status != "eliminated" and not outcomes[arm.spec].failed and outcomes[arm.spec].trials < len(facts.seeds)
    ]
    if not short:
        return
    shown = ", ".join(short[:4]) + (f" and {len(short) - 4} more arms" if len(short) > 4 else "")
    if facts.budget_hit:
        yield f"Time-boxed: the budget ended the study before all seeds were run ({shown})."
    else:
        yield f"Unfinished: not all seeds have been run ({shown})."


def _failure_warnings(arms: Sequence[ArmSummary], outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    for arm in arms:
        outcome = outcomes[arm.spec]
        if outcome.failed:
            why = outcome.troubles[outcome.failed[0]]
            yield f"{arm.spec} is excluded: {_counted(len(outcome.failed), 'trial')} failed ({why})."
        if outcome.diverged:
            yield f"{arm.spec} diverged on {len(outcome.diverged)} of {outcome.trials} seeds; those count as lost."


def _size_warnings(arms: Sequence[ArmSummary], facts: StudyFacts) -> Iterator[str]:
    base = next(arm.parameters for arm in arms if arm.spec == facts.baseline)
    for arm in arms:
        if base and arm.parameters is not None and abs(arm.parameters / base - 1) > _SAME_SIZE:
            more = "more" if arm.parameters > base else "fewer"
            share = f"{abs(arm.parameters / base - 1):.0%}"
            yield f"{arm.spec} has {share} {more} parameters than {facts.baseline}: the models are not equal in size."


def _tuning_warnings(facts: StudyFacts, tuned: AbstractSet[str]) -> Iterator[str]:
    if len(facts.arms) == 1:
        return
    if not tuned:
        yield "The learning rate was not tuned: an arm that needs another one is undervalued (see --tune lr)."
    elif not set(facts.arms) <= tuned:
        names = _listed([arm for arm in facts.arms if arm in tuned])
        yield f"The learning rate was tuned for {names} only: that is an unfair advantage over the other arms."
